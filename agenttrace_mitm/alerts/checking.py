"""One check: every enabled rule judged, what changed written together with what is to be told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import AgentTraceError
from ..hosts import HOSTS
from ..model import AlertRule, Delivery, Firing
from ..store.alerting import AlertStore
from .engine import changes
from .findings import find, type_of
from .messages import deliveries
from .moments import MINUTE_US, Zone
from .rule_type import At, Question

LATE_US = 10 * MINUTE_US
"""`start` and cron check every minute; who asks every five minutes is in time as well."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule after it was judged; *problem* says why it could not be."""

    rule: AlertRule
    firing: tuple[Firing, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A check."""

    rules: tuple[Checked, ...]

    @property
    def exit_code(self) -> int:
        """0 nothing fires, 1 something does, 2 a rule could not be checked."""
        if any(one.problem for one in self.rules):
            return 2
        return int(any(one.firing for one in self.rules))


def check(
    store: AlertStore,
    now_us: int,
    zone: Zone,
    pages_url: str,
    rules: Iterable[AlertRule] | None = None,
    *,
    hosts: Mapping[str, str] = HOSTS,
) -> Report:
    """Judge the enabled rules (or *rules*) as of *now_us*; *hosts* are whose, by name."""
    chosen = [rule for rule in (store.rules() if rules is None else rules) if rule.enabled]
    at = At(now_us, zone, hosts)
    return Report(tuple(_check(store, rule, at, pages_url) for rule in chosen))


def unchecked_since(rules: Iterable[AlertRule], now_us: int) -> int | None:
    """The moment since when nobody judges the enabled *rules*; None while somebody does."""
    done = [max(rule.checked_us or 0, rule.updated_us) for rule in rules if rule.enabled]
    return max(done) if done and now_us - max(done) > LATE_US else None


def _check(store: AlertStore, rule: AlertRule, at: At, pages_url: str) -> Checked:
    def ask(question: Question) -> list[dict[str, Any]]:
        return store.ask(question.sql, question.parameters)

    try:
        found = find(rule, ask, at)
        gone = type_of(rule).gone
    except AgentTraceError as error:
        store.could_not_judge(rule, str(error))
        return Checked(rule, _firing(store, rule), str(error))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # A row of a shape that its rule did not expect: the other rules do not suffer.
        store.could_not_judge(rule, f"{type(error).__name__}: {error}")
        return Checked(rule, _firing(store, rule), f"{type(error).__name__}: {error}")

    def decide(open_firings: dict[str, Firing]) -> tuple[list[Firing], list[Delivery]]:
        done = changes(rule, open_firings, found, at.now_us, gone)
        messages = [
            message
            for change in done
            if change.tell
            for message in deliveries(rule, change.firing, change.tell, at, pages_url)
        ]
        return [change.firing for change in done], messages

    store.apply(rule, decide, at.now_us)
    return Checked(rule, _firing(store, rule))


def _firing(store: AlertStore, rule: AlertRule) -> tuple[Firing, ...]:
    return tuple(store.firings(open_only=True, rule_id=rule.id, limit=1_000))
