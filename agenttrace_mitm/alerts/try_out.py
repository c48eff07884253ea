"""A rule tried out against the past: when it would have fired, had it been checked then.

Nothing is stored or told.  Calls are judged as they ended, so a call that ran for an hour counts
from its beginning on.
"""

from collections.abc import Callable, Iterator

from ..model import AlertRule, Firing
from .engine import changes
from .findings import Ask, find, type_of
from .moments import DAY_US, MINUTE_US
from .rule_type import At


class TookTooLong(Exception):
    """There were too many moments to judge."""


def step_us(days: int, most_checks: int) -> int:
    """The time between two checks: five minutes, more where that would be too many checks."""
    return max(5 * MINUTE_US, days * DAY_US // most_checks)


def would_have_fired(
    rule: AlertRule,
    ask: Ask,
    at: At,
    days: int,
    *,
    most_checks: int = 10_000,
    stop: Callable[[], bool] = lambda: False,
) -> list[Firing]:
    """The firings of the last *days*, oldest first; those without an end hold now.

    Raises `TookTooLong` once *stop* says so.
    """
    open_firings: dict[str, Firing] = {}
    done: dict[str, Firing] = {}
    gone = type_of(rule).gone
    for at_us in _moments(at.now_us, days, step_us(days, most_checks)):
        if stop():
            raise TookTooLong
        found = find(rule, ask, at._replace(now_us=at_us))
        for change in changes(rule, open_firings, found, at_us, gone):
            firing = change.firing
            done[firing.id] = firing
            if firing.resolved_us is None:
                open_firings[firing.subject] = firing
            elif open_firings.get(firing.subject, firing).id == firing.id:
                open_firings.pop(firing.subject, None)
    return sorted(done.values(), key=lambda one: one.started_us)


def _moments(now_us: int, days: int, step: int) -> Iterator[int]:
    yield from range(now_us - days * DAY_US, now_us, step)
    yield now_us
