"""Making and undoing changes, in an order that survives being killed at any point."""

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from ...errors import AgentTraceError
from . import (
    gnome,
    java_store,
    keychain,
    networksetup,
    nft,
    nss,
    registry,
    root_store,
    system_store,
)
from .change import Change, Facts
from .journal import Entry, Journal, Saved, digest, put_back
from .machine import Machine

CHANGES: tuple[type[Change], ...] = (
    system_store.SystemStore,
    nss.NssDatabase,
    java_store.JavaStore,
    keychain.Keychain,
    root_store.RootStore,
    gnome.GnomeProxy,
    networksetup.NetworkService,
    registry.InternetSettings,
    nft.Redirect,
)
TRUST = ("system", "nss", "java")


def trust_stores(machine: Machine, which: Iterable[str], certificate: Path) -> list[Change]:
    """The stores of *which* kinds (`system`, `nss`, `java`) that are on this machine.

    Raises `AgentTraceError` when one that was asked for is not there.
    """
    facts = {"certificate": str(certificate)}
    found: list[Change] = []
    for name in which:
        match name, machine.system:
            case "system", "darwin":
                found.append(keychain.Keychain(machine, facts))
            case "system", "win32":
                found.append(root_store.RootStore(machine, facts))
            case "system", _:
                found.append(system_store.SystemStore(machine, facts))
            case "nss", _:
                found += nss.databases(machine, facts)
            case _:
                found += java_store.keystores(machine, facts)
    return found


def desktop_proxy(machine: Machine, host: str, port: int) -> list[Change]:
    """The proxy settings of this desktop.  Raises `AgentTraceError` when we know of none."""
    facts = {"host": host, "port": str(port)}
    if machine.system == "darwin":
        return networksetup.services(machine, facts)
    if machine.system == "win32":
        return [registry.InternetSettings(machine, facts)]
    return [gnome.GnomeProxy(machine, facts)]


def redirect(machine: Machine, facts: Facts) -> Change:
    """What one user or control group sends to port 443: *facts* of `nft.Redirect`."""
    return nft.Redirect(machine, facts)


def make(change: Change, machine: Machine, journal: Journal) -> bool:
    """Make *change*; False when it was made before and still holds."""
    if known := journal.find(change):
        if known.state == "done" and _says_the_same(known, change) and change.is_applied():
            return False
        undo(known, machine, journal)
    entry_id = journal.new_id(change)
    if given := change.facts.get("certificate"):
        # The root may be replaced one day; what was installed has to be found again.
        kept = journal.certificate(entry_id)
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(given, kept)
        change = type(change)(machine, {**change.facts, "certificate": str(kept)})
    entry = journal.begin(entry_id, change)
    change.apply()
    journal.complete(entry)
    return True


def undo(entry: Entry, machine: Machine, journal: Journal) -> list[str]:
    """Put everything back as it was.

    Returns the files of which we could only take our part out, because others changed them
    meanwhile, or have them open.
    """
    change = rebuild(entry, machine)
    change.revert(entry.values)
    left = []
    for saved in entry.files:
        copy = journal.copy_of(entry, saved)
        same = _is_the_same(change, saved, copy)
        if same and not (digest(Path(saved.path)) != digest(copy) and _is_open(saved.path)):
            put_back(saved, copy)
        else:
            left.append(saved.path)
    journal.forget(entry)
    return left


def rebuild(entry: Entry, machine: Machine) -> Change:
    """The change behind an entry."""
    for change in CHANGES:
        if change.kind == entry.kind:
            return change(machine, entry.facts)
    raise AgentTraceError(
        f"The change {entry.id} was made by another version", "Undo it with that version"
    )


def _says_the_same(entry: Entry, change: Change) -> bool:
    before = {k: v for k, v in entry.facts.items() if k != "certificate"}
    now = {k: v for k, v in change.facts.items() if k != "certificate"}
    certificates = (Path(each.facts.get("certificate", "")) for each in (entry, change))
    return before == now and len({digest(each) for each in certificates}) == 1


def _is_open(path: str) -> bool:
    """Whether a program has the file open: a database must not be replaced below it."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - only here

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if any(file.path == path for file in process.open_files()):
                return True
    return False


def _is_the_same(change: Change, saved: Saved, copy: Path) -> bool:
    now = Path(saved.path)
    if not saved.copy or not now.exists():
        return not saved.copy and not now.exists()
    return digest(now) == digest(copy) or change.is_same(now, copy)
