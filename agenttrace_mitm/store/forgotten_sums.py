"""Takes names out of the rollups: sums of days whose calls have gone cannot be made anew.

Goes in: whose rows go, or what no name may hold.  Goes out: rows without; those that are told apart
no more are added up.
"""

import sqlite3

from . import histograms, spent
from .rollups import COUNTS, MODEL_NAMES, NAMES, SESSION_NAMES, SUMS, Statements

_NAMES = {
    "hour": ("hour", *NAMES),
    "day": ("day", *NAMES),
    "model": ("day", *MODEL_NAMES),
    "session": ("day", *SESSION_NAMES),
}


def forget(db: sqlite3.Connection, key: str, name: str) -> None:
    """Remove the rows of the agent or session *name*, inside the caller's transaction."""
    days = []
    if key in SESSION_NAMES:
        sql = f"select distinct day from rollup_session where {key} = ?"
        days = db.execute(sql, (name,)).fetchall()
    for table, names in _NAMES.items():
        if key in names:
            db.execute(f"delete from rollup_{table} where {key} = ?", (name,))
    for (day,) in days:
        spent.tell_again(db, day, day)


def replace(db: sqlite3.Connection, forms: list[str], by: str) -> int:
    """Put *by* in the place of each of *forms* in names; how many rows had one."""
    changed = 0
    for table, names in _NAMES.items():
        columns = ", ".join((*names, *COUNTS, *SUMS, *(["latencies"] * (table != "session"))))
        holds = " or ".join(f"instr({name}, ?)" for name in names[1:])
        found = set()
        for form in forms:
            sql = f"select {columns} from rollup_{table} where {holds}"
            found |= set(db.execute(sql, [form] * (len(names) - 1)))
        for row in found:
            key = row[: len(names)]
            same = " and ".join(f"{name} = ?" for name in names)
            db.execute(f"delete from rollup_{table} where {same}", key)
        for row in found:
            _add(db, table, [_without(name, forms, by) for name in row[: len(names)]], row)
        if table == "session":
            for day in {row[0] for row in found}:
                spent.tell_again(db, day, day)
        changed += len(found)
    return changed


def _add(db: sqlite3.Connection, table: str, key: list[int | str], row: tuple[object, ...]) -> None:
    """Add the figures of *row* to the row of *key*."""
    names = _NAMES[table]
    figures = row[len(names) : len(names) + len(COUNTS) + len(SUMS)]
    statements = Statements(table, *names, has_latencies=table != "session")
    if table == "session":
        db.execute(statements.upsert, (*key, *figures))
        return
    before = db.execute(statements.latencies, key).fetchone()
    took = [
        stored for stored in (row[-1], before[0] if before else None) if isinstance(stored, bytes)
    ]
    packed = None
    if took:
        packed = histograms.pack(sum(map(histograms.unpack, took)))
    db.execute(statements.upsert, (*key, *figures, packed))


def _without(name: int | str, forms: list[str], by: str) -> int | str:
    if isinstance(name, str):
        for form in forms:
            name = name.replace(form, by)
    return name
