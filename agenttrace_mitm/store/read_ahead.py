"""Reads what is about to be deleted, before anybody has to wait for it.

A step of retention holds the lock; what it reads then from a slow disk, every writer waits for.
So rows, and the places of each in the indexes of its table, are looked at first, without a lock:
then they are in memory.
"""

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

CHUNK = 1_000_000
BYTES_OF_MAP = 5
"""Of each page."""
_ROWID = -1
A_ROW = 250
"""Characters of a message that take as long as a row: each word is taken out of the index."""
_IN_THE_INDEX = "(select sz from messages_fts_docsize d where d.id = messages.id)"
"""The search index keeps how many words each message has."""
_MADE: dict[tuple[str, str], str] = {}
"""What `look_at` gave, by table and schema: a step asks for a dozen."""
_SCHEMA = "select group_concat(sql) from sqlite_master where tbl_name = ?"
# All but the keys of tables that have no rowid: these are the tables.
_INDEXES = """
select l.name, x.cid, x.name, m.sql
from pragma_index_list(?) l, pragma_index_xinfo(l.name) x
left join sqlite_master m on m.name = l.name
where m.name is not null order by l.seq, x.seqno
"""


def look_at(db: sqlite3.Connection, table: str) -> str:
    """SQL that reads rows of *table* as deleting them would, and counts them.

    A long text counts as several.  It ends where a condition on them follows.  The end of a row is
    asked for, which leads along the pages of a long one; of messages everything, since the search
    index wants their words.
    """
    key = table, str(db.execute(_SCHEMA, (table,)).fetchone()[0])
    if key not in _MADE:
        _MADE[key] = _looking_at(db, table)
    return _MADE[key]


def _looking_at(db: sqlite3.Connection, table: str) -> str:
    found = db.execute(
        "select name from pragma_table_info(?) where pk = 0 order by cid desc", (table,)
    )
    columns = [f'"{name}"' for (name,) in found]
    parts = columns if table == "messages" else [f"coalesce({', '.join(columns)}, null)"]
    said = [f"count(substr({part}, -1))" for part in parts]
    said += [f"count(({sql}))" for sql in _places(db, table)]
    if table == "messages":
        said.append(f"count({_IN_THE_INDEX})")
    texts = f"coalesce(sum(iif(content is null, 0, size)), 0) / {A_ROW}"
    rows = f"count(*) + {texts}" if table == "messages" else "count(*)"
    return f'select {rows}, {", ".join(said)} from "{table}" where '


def read(db: sqlite3.Connection, sql: str, given: Mapping[str, object] | None = None) -> int:
    """Read what *sql*, of `look_at` and a condition, asks for; how many rows."""
    return int(db.execute(sql, given or {}).fetchone()[0])


def map_and_end(db: sqlite3.Connection, pages: int) -> None:
    """Read the last *pages* of the file, which move when as many are given back, and its map.

    SQLite notes there, on every 1,639th page of 8 KB, who leads to each page: it changes with every
    page that comes, goes or moves.  No SQL reads a page by its number.  SQLite's own descriptor
    does: closing one of ours would end all locks that this process has on the file, as POSIX has
    it.  Where it cannot be found, who writes waits for the disk.
    """
    (size,) = db.execute("pragma page_size").fetchone()
    (count,) = db.execute("pragma page_count").fetchone()
    with contextlib.suppress(OSError):
        descriptor = _descriptor(db)
        for page in range(1, count, size // BYTES_OF_MAP + 1):
            os.pread(descriptor, size, page * size)
        for offset in range(max(count - pages, 0) * size, count * size, CHUNK):
            os.pread(descriptor, min(CHUNK, count * size - offset), offset)


def _descriptor(db: sqlite3.Connection) -> int:
    """One that is open on the file of *db*."""
    (file,) = db.execute("select file from pragma_database_list where name = 'main'").fetchone()
    wanted = Path(file).stat()
    for one in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the list itself is closed
            if os.path.samestat(os.fstat(int(one.name)), wanted):
                return int(one.name)
    raise FileNotFoundError(file)


def _places(db: sqlite3.Connection, table: str) -> list[str]:
    """SQL that finds a row in each index of its table but the first, by the columns of that."""
    columns: dict[str, list[str | None]] = {}
    conditions: dict[str, str] = {}
    for index, cid, column, sql in db.execute(_INDEXES, (table,)):
        name = "rowid" if cid == _ROWID else column
        columns.setdefault(index, []).append(name)
        conditions[index] = (sql or "").partition(" where ")[2]
    found = []
    for index, names in columns.items():
        if None in names:  # by an expression: with the time behind it, old ones are together
            continue
        same = [f'x."{name}" is "{table}"."{name}"' for name in names]
        if conditions[index]:
            same.append(f"({conditions[index]})")
        found.append(
            f'select 1 from "{table}" x indexed by "{index}" where {" and ".join(same)} limit 1'
        )
    return found
