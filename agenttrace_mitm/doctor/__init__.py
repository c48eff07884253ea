"""`doctor`: whether everything is as it should be, and where we are blind.

Each check is a function from the `Patient` to findings, listed below in the order in which they
are shown.  Checks only look; a finding may carry what would mend it.
"""

from collections.abc import Collection, Iterator

from . import alerts, authority, database, home, machine, rehearsal, running
from .finding import Check, Finding, Patient

__all__ = ["Finding", "Patient", "examine"]

CHECKS: tuple[Check, ...] = (
    home.folder,
    running.instance,
    running.shell,
    alerts.checks,
    authority.sound,
    machine.changes,
    machine.crontab,
    home.leftovers,
    database.health,
    database.spool,
    database.blind_spots,
)


def examine(
    patient: Patient, *, runtimes: bool = True, only: Collection[str] = ()
) -> Iterator[Finding]:
    """Everything that there is to say about *patient*; *only* these runtimes make a call."""
    running.settle(patient)
    for check in CHECKS:
        yield from check(patient)
    yield rehearsal.namespaces()
    if runtimes:
        yield from rehearsal.rehearse(patient, only)
