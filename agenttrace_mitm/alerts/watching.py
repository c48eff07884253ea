"""Checks again and again: what `alerts watch` and the server of `start` do."""

import contextlib
import logging
from collections.abc import Callable

from ..clock import now_us
from ..errors import AgentTraceError, StoreError
from ..hosts import hosts
from ..settings import Settings
from ..store.alerting import AlertStore
from .checking import Report, check
from .moments import zone_of
from .outbox import drain, sender

log = logging.getLogger(__name__)

EVERY_S = 60.0


def checked(settings: Settings, wait_s: float = 0) -> Report:
    """One check of all rules, and what is due sent; retries within *wait_s* as well.

    Raises `AgentTraceError` when it could not be done; the rules remember why, for who looks.
    """
    store = AlertStore(settings.database)
    try:
        try:
            known = hosts(settings.hosts_added, (), settings.hosts_enabled)
            zone = zone_of(settings.time_zone)
            report = check(store, now_us(), zone, settings.pages_url, hosts=known)
        except AgentTraceError as error:
            with contextlib.suppress(StoreError):
                store.could_not_check(str(error))
            raise
        drain(store, sender(settings), wait_s)
    finally:
        store.close()
    return report


def watch(
    settings: Settings,
    pause: Callable[[float], bool],
    tell: Callable[[Report], None] = lambda report: None,
    every_s: float = EVERY_S,
) -> None:
    """Check every *every_s* seconds, until *pause* says True; *tell* gets each report.

    Between two checks messages that did not arrive are sent again when they are due.  A check that
    cannot be done is logged, and done again later.
    """
    while True:
        try:
            report = checked(settings)
        except AgentTraceError as error:
            log.warning("alerts could not be checked (%s)", error)
        else:
            tell(report)
        if _sends(settings, pause, every_s):
            return


def _sends(settings: Settings, pause: Callable[[float], bool], every_s: float) -> bool:
    """Send what falls due until the next check; True when it is time to stop."""
    stop = False

    def waited(seconds: float) -> bool:
        nonlocal stop
        stop = pause(seconds)
        return stop

    began_us = now_us()
    try:
        store = AlertStore(settings.database)
        try:
            drain(store, sender(settings), every_s, sleep=waited)
        finally:
            store.close()
    except AgentTraceError as error:
        log.warning("alerts could not be sent (%s)", error)
    if stop:
        return True
    rest_s = every_s - (now_us() - began_us) / 1e6
    return pause(max(rest_s, 0.0))
