"""The alert rules: somebody judges them, or nobody would be told."""

import time
from collections.abc import Iterator

from ..alerts.checking import LATE_US
from ..clock import now_us
from ..errors import StoreError
from ..store import examined
from .finding import Finding, Patient
from .running import status


def checks(patient: Patient) -> Iterator[Finding]:
    """Whether the rules were judged lately; nothing where there are none."""
    try:
        found = examined.alerts_checked(patient.settings.database)
    except StoreError:
        return  # told with the database
    if found is None:
        return
    at_us, problem = found
    if now_us() - at_us <= LATE_US:
        yield Finding("alerts", "ok", "the rules are checked")
        return
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(at_us / 1e6))
    said = f"alerts have not been checked since {since}{f': {problem}' if problem else ''}"
    if status(patient) is None:
        remedy = "agenttrace-mitm start checks them, and so does cron: alerts install-cron"
        yield Finding("alerts", "note", said, remedy)
    elif patient.settings.alerts:
        yield Finding("alerts", "wrong", said, "See agenttrace-mitm logs web")
    else:
        remedy = 'Set "alerts": true, or let cron do it: agenttrace-mitm alerts install-cron'
        yield Finding("alerts", "wrong", said, remedy)
