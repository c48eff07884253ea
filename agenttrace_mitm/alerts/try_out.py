"""A rule tried out against the past: when it would have fired, had it been checked then.

Nothing is stored or told.  Calls are judged as they ended, so a call that ran for an hour counts
from its beginning on.
"""

from collections.abc import Iterator

from ..model import AlertRule, Firing
from .engine import changes
from .findings import Ask, find, type_of
from .moments import DAY_US, MINUTE_US, Zone
from .rule_type import At

MOST_CHECKS = 750


def step_us(days: int) -> int:
    """The time between two checks: five minutes, more where that would be too many."""
    return max(5 * MINUTE_US, days * DAY_US // MOST_CHECKS)


def would_have_fired(rule: AlertRule, ask: Ask, now_us: int, days: int, zone: Zone) -> list[Firing]:
    """The firings of the last *days*, oldest first; those without an end hold now."""
    open_firings: dict[str, Firing] = {}
    done: dict[str, Firing] = {}
    gone = type_of(rule).gone
    for at_us in _moments(now_us, days):
        found = find(rule, ask, At(at_us, zone))
        for change in changes(rule, open_firings, found, at_us, gone):
            firing = change.firing
            done[firing.id] = firing
            if firing.resolved_us is None:
                open_firings[firing.subject] = firing
            elif open_firings.get(firing.subject, firing).id == firing.id:
                open_firings.pop(firing.subject, None)
    return sorted(done.values(), key=lambda one: one.started_us)


def _moments(now_us: int, days: int) -> Iterator[int]:
    step = step_us(days)
    yield from range(now_us - days * DAY_US, now_us, step)
    yield now_us
