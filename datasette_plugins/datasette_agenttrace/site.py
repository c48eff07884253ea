"""Where our database is in a Datasette, and where its token is: everything hangs on this answer.

`find()` says None for a Datasette without an AgentTrace database, and the plugin then does
nothing at all.  Our own server says more about itself beforehand, with `announce()`.
"""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from agenttrace_mitm.settings import Settings, home_folder

type Datasette = Any  # datasette has no types
type Stamp = tuple[int, ...]

OUR_COLUMNS = {"id", "started_us", "kind", "outcome", "cost_nano_usd"}


@dataclass(frozen=True, slots=True)
class Server:
    """What our own server knows beyond what a plain `datasette data.db` does."""

    token_file: Path
    hosts: frozenset[str] = frozenset()
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A Datasette that shows an AgentTrace database."""

    databases: tuple[str, ...]
    token_file: Path
    hosts: frozenset[str] = frozenset()
    own_server: bool = False
    settings: Settings | None = None
    """Those of our own server; None in a plain Datasette."""

    @property
    def database(self) -> str:
        """The name of the database that the pages show: the first of ours."""
        return self.databases[0]

    @property
    def run_folder(self) -> Path:
        """Where the processes that record say how they fare."""
        return self.token_file.parent / "run"


@dataclass(slots=True)
class _Known:
    """What was found out about one Datasette; `ours` by file, with the file's state then."""

    server: Server | None = None
    ours: dict[str, tuple[Stamp, bool]] = field(default_factory=dict)


_known: WeakKeyDictionary[Datasette, _Known] = WeakKeyDictionary()


def announce(datasette: Datasette, server: Server) -> None:
    """Say that *datasette* is run by our own server, which has looked at its databases."""
    known = _known.setdefault(datasette, _Known())
    known.server = server
    # So they stay ours, and the gate shut, also where a look at the file fails now.
    files = (db.path for db in datasette.databases.values() if db.path)
    known.ours.update(dict.fromkeys(files, ((), True)))


def find(datasette: Datasette) -> Site | None:
    """The site that *datasette* is, None when none of its databases is ours."""
    ours = databases(datasette)
    if not ours:
        return None
    server = _known[datasette].server
    if server:
        return Site(ours, server.token_file, server.hosts, True, server.settings)
    file = Path(datasette.databases[ours[0]].path)
    return Site(ours, _token_file(file), _configured_hosts(datasette))


def databases(datasette: Datasette) -> tuple[str, ...]:
    """The names of our databases in *datasette*."""
    known = _known.setdefault(datasette, _Known())
    files = {name: db.path for name, db in datasette.databases.items() if db.path}
    return tuple(name for name, file in files.items() if _is_ours(file, known))


def _configured_hosts(datasette: Datasette) -> frozenset[str]:
    config = datasette.plugin_config("agenttrace") or {}
    return frozenset(str(host).lower() for host in config.get("allowed_hosts") or ())


def _token_file(database: Path) -> Path:
    """The token that guards *database*: one lying beside it before the one at home."""
    beside = database.resolve().parent / "token"
    return beside if beside.exists() else home_folder() / "token"


def _is_ours(file: str, known: _Known) -> bool:
    # Asked for every request and cell, so the answer is kept.  Yes stays yes: a gate does not
    # open again.  No is asked again when the file changes: the recorder may yet make its tables.
    before = known.ours.get(file)
    if before and before[1]:
        return True
    path = Path(file)
    stamp = _stamp(path)
    if before and before[0] == stamp:
        return False
    found = has_our_tables(path)
    if found is not None:
        known.ours[file] = (stamp, found)
    return bool(found)


def _stamp(path: Path) -> Stamp:
    stamp: list[int] = []
    for file in (path, path.with_name(path.name + "-wal")):
        try:
            state = file.stat()
        except OSError:
            stamp.append(0)
        else:
            stamp += [state.st_mtime_ns, state.st_size, state.st_ino]
    return tuple(stamp)


def has_our_tables(path: Path) -> bool | None:
    """Whether the file has the table of calls; None when that cannot be said now."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)
    except sqlite3.Error:
        return None
    try:
        rows = connection.execute("select name from pragma_table_xinfo('llm_calls')").fetchall()
    except sqlite3.Error:
        return None
    finally:
        connection.close()
    return {name for (name,) in rows} >= OUR_COLUMNS
