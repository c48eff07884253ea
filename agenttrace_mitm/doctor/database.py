"""The database: readable, sound, nothing waiting, nothing refused, and room to grow."""

import shutil
from collections.abc import Iterator

from .. import figures
from ..errors import StoreError
from ..store import Spool, examined
from . import roots
from .finding import Finding, Patient, State

LEAST_FREE = 1 << 30
CHECK = "database"


def health(patient: Patient) -> Iterator[Finding]:
    """SQLite's own opinion, and ours."""
    settings = patient.settings
    database = settings.database
    if not database.exists():
        yield Finding(CHECK, "note", f"{database} is not there yet; recording makes it")
    else:
        try:
            found = examined.damage(database)
        except StoreError as error:
            found = error.problem
        if found:
            yield Finding(CHECK, "wrong", found, "agenttrace-mitm db verify says more")
        else:
            size = database.stat().st_size
            yield Finding(CHECK, "ok", f"{database} is sound ({figures.size(size)})")
    folder = database.parent
    if folder.exists() and (free := shutil.disk_usage(folder).free) < LEAST_FREE:
        said = f"only {figures.size(free)} are left on the disk of {database}"
        yield Finding("disk", "wrong", said, "Make room, or lower --retention-days")


def spool(patient: Patient) -> Iterator[Finding]:
    """Records that wait, and records that were refused."""
    if not patient.settings.spool_folder.exists():
        return
    found = Spool(patient.settings.spool_folder)
    if letters := found.dead_letters():
        said = f"the database refused {len(letters)} records: {letters[0].reason}"
        yield Finding("spool", "wrong", said, "agenttrace-mitm db spool --requeue")
    if waiting := found.waiting():
        said = f"{len(waiting)} files of records wait for the database"
        yield Finding("spool", "note", said, "A running recorder takes them in by itself")


def blind_spots(patient: Patient) -> Iterator[Finding]:
    """Connections to provider hosts that nobody could read, in the last week."""
    try:
        found = examined.blind_spots(patient.settings.database)
    except StoreError:
        return
    for spot in found:
        times = "once" if spot.times == 1 else f"{spot.times} times"
        said = f"you are blind here: {spot.host}, {times}, {spot.client}: {spot.reason}"
        state: State = "wrong" if spot.is_recent else "note"
        yield Finding("blind spot", state, said, _remedy(spot, patient.machine.system))
    if not found:
        yield Finding("blind spot", "ok", "every connection to a provider could be read this week")


def _remedy(spot: examined.Blind, system: str) -> str:
    """What one can do about a connection that could not be read."""
    if "certificate" in spot.reason:
        return roots.distrust(spot.client, spot.reason, system)
    return next((said for part, said in _REMEDIES.items() if part in spot.reason), "")


_REMEDIES = {
    "NO_PROXY": "Take the host out of NO_PROXY in that program's environment",
    "another name": "Nothing to do: it was not meant for that provider, or hides that it was",
    "WebSocket": "A newer version of AgentTrace may know it; its size is recorded",
    "HTTP/3": "Switch HTTP/3 off in that program; over TCP it is recorded",
    "Encrypted ClientHello": "Switch ECH off in that program",
}
