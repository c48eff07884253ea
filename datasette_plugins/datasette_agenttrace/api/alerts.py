"""`/api/alerts` and `/api/alert-history`: rules made, changed and removed, and what they found.

`command:` targets are refused here: a token for alerts is not one for running programs.
"""

from typing import Any, Literal

from pydantic import Field

from agenttrace_mitm import clock
from agenttrace_mitm.alerts.making import changed, made
from agenttrace_mitm.alerts.rules import BY_NAME
from agenttrace_mitm.alerts.targets import shown
from agenttrace_mitm.errors import SettingsError
from agenttrace_mitm.model import AlertRule, Firing, Json
from agenttrace_mitm.store.alerting import AlertStore

from .endpoint import Answer, Call, Endpoint, Refused, Said
from .events import moment


class Rule(Answer):
    """A rule.  Addresses are shown without what makes them secret."""

    id: str
    name: str
    type: str
    params: Json
    deliver: list[str]
    enabled: bool
    repeat_minutes: int | None
    tell_resolved: bool
    silenced_until: str | None
    checked_at: str | None
    problem: str | None


class Rules(Answer):
    """All rules, by name."""

    alerts: list[Rule]


class NewRule(Said):
    """A rule to be made: `docs/rules.md` has the types and their params."""

    name: str = Field(min_length=1, max_length=100)
    type: str = Field(json_schema_extra={"enum": list(BY_NAME)})
    params: dict[str, Json] = Field(default_factory=dict)
    deliver: list[str] = Field(default_factory=list, max_length=20)
    enabled: bool = True
    repeat_minutes: int | None = Field(None, ge=1, le=10**6)
    tell_resolved: bool = True


class Found(Answer):
    """A firing."""

    id: str
    rule: str
    rule_type: str
    subject: str
    severity: Literal["warning", "critical"]
    state: Literal["firing", "resolved"]
    message: str
    resolution: str | None
    value: float | None
    started_at: str
    resolved_at: str | None
    acknowledged_at: str | None
    calls: list[str]


class History(Answer):
    """Firings, newest first."""

    history: list[Found]


class HistoryAsked(Said):
    """Which firings."""

    limit: int = Field(100, ge=1, le=10_000)
    rule_id: str = Field("", max_length=100)
    firing: bool = Field(False, description="only those that fire now")


class Gone(Answer):
    """It is gone."""

    status: Literal["ok"] = "ok"


async def _rules(call: Call) -> Rules:
    return Rules(alerts=[_rule(one) for one in await call.alerts(lambda store: store.rules())])


async def _one(call: Call) -> Rule:
    return _rule(await call.alerts(lambda store: store.rule(call.path["id"])))


async def _make(call: Call) -> tuple[int, Rule]:
    values = _values(call.body)
    try:
        rule = made(clock.now_us(), **values)
    except SettingsError as error:
        raise Refused(400, error.problem, error.remedy) from None
    await call.alerts(lambda store: store.put_rule(rule))
    return 201, _rule(rule)


async def _change(call: Call) -> Rule:
    values = _values(call.body)
    return await _with(call, lambda rule: changed(rule, clock.now_us(), **values))


async def _toggle(call: Call) -> Rule:
    return await _with(call, lambda rule: changed(rule, clock.now_us(), enabled=not rule.enabled))


async def _remove(call: Call) -> Gone:
    def remove(store: AlertStore) -> None:
        store.remove_rule(store.rule(call.path["id"]), clock.now_us())

    await call.alerts(remove)
    return Gone()


async def _with(call: Call, change: Any) -> Rule:
    def work(store: AlertStore) -> AlertRule:
        rule: AlertRule = change(store.rule(call.path["id"]))
        store.put_rule(rule)
        return rule

    try:
        return _rule(await call.alerts(work))
    except SettingsError as error:
        raise Refused(400, error.problem, error.remedy) from None


async def _history(call: Call) -> History:
    asked: HistoryAsked = call.query
    found = await call.alerts(
        lambda store: store.firings(
            open_only=asked.firing, rule_id=asked.rule_id or None, limit=asked.limit
        )
    )
    return History(history=[_found(one) for one in found])


def _values(said: NewRule) -> dict[str, Any]:
    if any(target.startswith("command:") for target in said.deliver):
        raise Refused(400, "deliver: commands are set up on the machine itself")
    return said.model_dump() | {"deliver": tuple(said.deliver)}


def _rule(rule: AlertRule) -> Rule:
    until, checked = rule.silenced_until_us, rule.checked_us
    return Rule(
        id=rule.id, name=rule.name, type=rule.type, params=rule.params,
        deliver=[shown(target) for target in rule.deliver], enabled=rule.enabled,
        repeat_minutes=rule.repeat_minutes, tell_resolved=rule.tell_resolved,
        silenced_until=moment(until) if until else None,
        checked_at=moment(checked) if checked else None, problem=rule.problem,
    )  # fmt: skip


def _found(firing: Firing) -> Found:
    evidence = firing.evidence if isinstance(firing.evidence, dict) else {}
    ended, known = firing.resolved_us, firing.acknowledged_us
    return Found(
        id=firing.id, rule=firing.rule_name, rule_type=firing.rule_type, subject=firing.subject,
        severity=firing.severity, state="resolved" if ended else "firing", message=firing.message,
        resolution=firing.resolution, value=firing.value, started_at=moment(firing.started_us),
        resolved_at=moment(ended) if ended else None,
        acknowledged_at=moment(known) if known else None, calls=evidence.get("calls", []),
    )  # fmt: skip


ENDPOINTS = (
    Endpoint("GET", "/api/alerts", "read", "The alert rules.", Rules, _rules),
    Endpoint("POST", "/api/alerts", "admin", "Make a rule.", Rule, _make, body=NewRule,
             others={201: "Made", 409: "There is one of that name"}),
    Endpoint("GET", "/api/alerts/{id}", "read", "A rule, by id or name.", Rule, _one),
    Endpoint("PUT", "/api/alerts/{id}", "admin", "Change a rule.", Rule, _change, body=NewRule,
             others={409: "There is one of that name"}),
    Endpoint("DELETE", "/api/alerts/{id}", "admin", "Remove a rule; its history stays.", Gone,
             _remove),
    Endpoint("PATCH", "/api/alerts/{id}/toggle", "admin", "Switch a rule on or off.", Rule,
             _toggle),
    Endpoint("GET", "/api/alert-history", "read", "Firings, newest first.", History, _history,
             query=HistoryAsked),
)  # fmt: skip
