"""What the Alerts page shows."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agenttrace_mitm.alerts.checking import unchecked_since
from agenttrace_mitm.alerts.moments import MINUTE_US
from agenttrace_mitm.alerts.rule_type import At, Question
from agenttrace_mitm.alerts.targets import shown
from agenttrace_mitm.alerts.try_out import TookTooLong, step_us, would_have_fired
from agenttrace_mitm.alerts.wording import in_force, said
from agenttrace_mitm.alerts.words import about
from agenttrace_mitm.errors import AgentTraceError
from agenttrace_mitm.model import AlertRule, Firing
from agenttrace_mitm.store.alerting import AlertStore

from ..asking import Value
from ..page import site_of
from ..site import Datasette

DAYS = (1, 7, 30)
SHOWN = 50
MOST_CHECKS = 750
TRY_OUT_S = 15.0


class ShownRule(Value):
    """A rule, its addresses hidden."""

    id: str
    name: str
    type: str
    enabled: bool
    state: str
    firing: int
    silent: bool
    settings: str
    told: tuple[str, ...]
    checked_us: int | None
    problem: str | None


class ShownDelivery(Value):
    """A message, its address hidden."""

    target: str
    transition: str
    state: str
    attempts: int
    problem: str | None


class ShownFiring(Value):
    """A firing with its calls and messages."""

    id: str
    rule: str
    subject: str
    severity: str
    message: str
    resolution: str | None
    started_us: int
    resolved_us: int | None
    acknowledged: bool
    calls: tuple[str, ...]
    costs: dict[str, int]
    """Nano-dollars of those of `calls` that have a price."""
    evidence: dict[str, Any] | None
    deliveries: tuple[ShownDelivery, ...]


class TryOut(Value):
    """When a rule would have fired."""

    rule: str
    days: int
    every_minutes: int
    firings: tuple[ShownFiring, ...] = ()
    problem: str = ""


class Alerts(Value):
    """The page."""

    rules: tuple[ShownRule, ...]
    firing: tuple[ShownFiring, ...]
    history: tuple[ShownFiring, ...]
    try_out: TryOut | None = None
    unchecked_since_us: int | None = None
    """Since when nobody checks; None while somebody does."""
    unchecked_why: str | None = None


async def using[Found](datasette: Datasette, work: Callable[[AlertStore], Found]) -> Found:
    """What *work* makes of the alerts of our database, in a thread of its own.

    Raises `StoreError` when the database cannot be used.
    """
    path = Path(datasette.get_database(site_of(datasette).database).path)

    def run() -> Found:
        store = AlertStore(path)
        try:
            return work(store)
        finally:
            store.close()

    return await asyncio.to_thread(run)


def load(store: AlertStore, arguments: Mapping[str, str], at: At) -> Alerts:
    """Everything the page shows; `rule` and `days` in its address ask for a try-out."""
    now_us = at.now_us
    rules = store.rules()
    firing = store.firings(open_only=True, limit=1_000)
    history = [one for one in store.firings(limit=SHOWN * 2) if one.resolved_us][:SHOWN]
    asked = next((rule for rule in rules if rule.id == arguments.get("rule")), None)
    since_us = unchecked_since(rules, now_us)
    return Alerts(
        rules=tuple(_rule(rule, firing, now_us, late=since_us is not None) for rule in rules),
        firing=tuple(_firing(store, one) for one in firing[:SHOWN]),
        history=tuple(_firing(store, one) for one in history),
        try_out=_try_out(store, asked, arguments, at) if asked else None,
        unchecked_since_us=since_us,
        unchecked_why=next((one.problem for one in rules if one.enabled and one.problem), None)
        if since_us is not None
        else None,
    )


def _rule(rule: AlertRule, firing: list[Firing], now_us: int, *, late: bool) -> ShownRule:
    number = sum(one.rule_id == rule.id for one in firing)
    state = "off" if not rule.enabled else "unknown" if rule.problem or late else "ok"
    return ShownRule(
        id=rule.id,
        name=rule.name,
        type=rule.type,
        enabled=rule.enabled,
        state="firing" if number and rule.enabled else state,
        firing=number,
        silent=(rule.silenced_until_us or 0) > now_us,
        settings=said(in_force(rule)),
        told=tuple(shown(target) for target in rule.deliver),
        checked_us=rule.checked_us,
        problem=rule.problem,
    )


def _firing(store: AlertStore, firing: Firing, *, told: bool = True) -> ShownFiring:
    evidence = firing.evidence if isinstance(firing.evidence, dict) else None
    calls = tuple((evidence or {}).get("calls", ()))
    messages = store.deliveries(firing_id=firing.id)[::-1] if told else []
    return ShownFiring(
        id=firing.id,
        rule=firing.rule_name,
        subject=about(firing.subject),
        severity=firing.severity,
        message=firing.message,
        resolution=firing.resolution,
        started_us=firing.started_us,
        resolved_us=firing.resolved_us,
        acknowledged=firing.acknowledged_us is not None,
        calls=calls,
        costs=_costs(store, calls) if calls else {},
        evidence=evidence,
        deliveries=tuple(
            ShownDelivery(
                target=shown(one.target),
                transition=one.transition,
                state="arrived" if one.delivered_us else "given up" if one.failed_us else "waits",
                attempts=one.attempts,
                problem=one.problem,
            )
            for one in messages
        ),
    )


def _costs(store: AlertStore, calls: tuple[str, ...]) -> dict[str, int]:
    given = {f"call_{n}": call for n, call in enumerate(calls)}  # a rule's reader has no json_each
    names = ", ".join(f":{name}" for name in given)
    priced = "cost_nano_usd is not null"
    sql = f"select id, cost_nano_usd from llm_calls where id in ({names}) and {priced}"
    return {row["id"]: row["cost_nano_usd"] for row in store.ask(sql, given)}


def _try_out(store: AlertStore, rule: AlertRule, arguments: Mapping[str, str], at: At) -> TryOut:
    days = next((one for one in DAYS if str(one) == arguments.get("days")), 7)
    every = step_us(days, MOST_CHECKS) // MINUTE_US
    ends = time.monotonic() + TRY_OUT_S

    def ask(question: Question) -> list[dict[str, Any]]:
        return store.ask(*question)

    try:
        firings = would_have_fired(
            rule, ask, at, days, most_checks=MOST_CHECKS, stop=lambda: time.monotonic() > ends
        )
    except TookTooLong:
        problem = "That takes too long here: agenttrace-mitm alerts test NAME --days DAYS"
        return TryOut(rule=rule.name, days=days, every_minutes=every, problem=problem)
    except AgentTraceError as error:
        return TryOut(rule=rule.name, days=days, every_minutes=every, problem=str(error))
    newest = firings[::-1][:SHOWN]
    told = tuple(_firing(store, one, told=False) for one in newest)
    return TryOut(rule=rule.name, days=days, every_minutes=every, firings=told)
