"""What we changed on this machine: whole, still there, and still of use."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import AgentTraceError
from ..launch import crontab as cron
from ..launch.changes import Entry, Journal, rebuild, undo
from ..launch.changes.keychain import Keychain
from .finding import Finding, Patient
from .running import status

FIX = "agenttrace-mitm doctor --fix"


def changes(patient: Patient) -> Iterator[Finding]:
    """Each change, and whatever is left of one that was cut short."""
    journal = Journal(patient.settings.installed_folder)
    if rubbish := journal.rubbish():
        said = f"{len(rubbish)} changes to this machine were given up before they began"
        yield Finding("machine", "wrong", said, FIX, lambda: [shutil.rmtree(e) for e in rubbish])
    entries = journal.entries()
    for entry in entries:
        yield _judged(patient, journal, entry)
    if patient.machine.system == "darwin" and not any(_is_keychain(entry) for entry in entries):
        said = "Go, Swift and other programs that ask the keychain do not trust our root"
        yield Finding("machine", "note", said, "agenttrace-mitm ca install --system")
    if not entries and not rubbish:
        yield Finding("machine", "ok", "trust stores and system proxy are as we found them")


def crontab(patient: Patient) -> Iterator[Finding]:
    """The line that checks the alert rules, if there is one, and whether its log has a place."""
    try:
        if not cron.has_line(patient.settings):
            return
    except AgentTraceError as error:
        yield Finding("crontab", "note", error.problem)
        return
    folder = patient.settings.log_folder

    def mend() -> None:
        folder.mkdir(mode=0o700, parents=True)

    if folder.is_dir():
        said = "your crontab checks the alert rules; `uninstall` takes the line out"
        yield Finding("crontab", "ok", said)
    else:
        said = f"the line in your crontab checks no alert rule: {folder} is not there"
        yield Finding("crontab", "wrong", said, FIX, mend)


def _is_keychain(entry: Entry) -> bool:
    return entry.kind == Keychain.kind


def _judged(patient: Patient, journal: Journal, entry: Entry) -> Finding:
    def mend() -> None:
        undo(entry, patient.machine, journal)

    try:
        change = rebuild(entry, patient.machine)
        if entry.state == "begun":
            return Finding("machine", "wrong", f"{change.name} is half changed", FIX, mend)
        applied = change.is_applied()
    except AgentTraceError as error:
        return Finding("machine", "wrong", error.problem, error.remedy)
    if not applied:
        said = f"{change.name} no longer has what we put there"
        return Finding("machine", "note", said, f"{FIX}; then make the change again", mend)
    if "certificate" in entry.facts:
        return _of_today(patient, entry, change.name)
    return _leads_somewhere(patient, entry, change.name, mend)


def _of_today(patient: Patient, entry: Entry, name: str) -> Finding:
    root = patient.settings.root_file
    kept = Path(entry.facts["certificate"])
    if not root.exists() or kept.read_bytes() != root.read_bytes():
        said = f"{name} has a root of ours that is no longer in use"
        return Finding("machine", "wrong", said, "agenttrace-mitm ca install, as before")
    return Finding("machine", "ok", f"{name} has our root")


def _leads_somewhere(patient: Patient, entry: Entry, name: str, mend: object) -> Finding:
    facts = status(patient)
    address = f"{entry.facts['host']}:{entry.facts['port']}"
    if facts is None or str(facts["proxy_port"]) != entry.facts["port"]:
        said = f"{name} leads to {address}, where we do not listen"
        remedy = "agenttrace-mitm system-proxy disable; or start"
        return Finding("machine", "wrong", said, remedy, mend if callable(mend) else None)
    return Finding("machine", "ok", f"{name} leads to {address}")
