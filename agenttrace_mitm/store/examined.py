"""What can be told about a database from outside, reading only, in little time."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from .. import clock
from .queries import _explained, reading

READ_BELOW = 1 << 30
"""A larger file is opened, and not read through: that would take minutes."""
WEEK_US = 7 * 86_400_000_000
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Blind:
    """Connections to a host that could not be read, for one reason."""

    host: str
    reason: str
    client: str
    times: int
    last_us: int

    @property
    def is_recent(self) -> bool:
        """Whether it happened within a day."""
        return self.last_us > clock.now_us() - DAY_US


def damage(database: Path) -> str:
    """What SQLite finds wrong with the file, empty when nothing.  Raises `StoreError`."""
    with reading(database) as connection, _explained(f"{database} is damaged"):
        connection.execute("select count(*) from sqlite_master").fetchone()
        if database.stat().st_size > READ_BELOW:
            return ""
        first = connection.execute("pragma quick_check(1)").fetchone()[0]
        return "" if first == "ok" else str(first)


def blind_spots(database: Path) -> list[Blind]:
    """Those of the last week, the newest first.  Raises `StoreError`."""
    sql = """
        select host, reason, client, count(*) as times, max(at_us) as last_us
        from blind_spots where at_us >= ? group by host, reason, client
        order by last_us desc limit 20
    """
    with reading(database) as connection, _explained(f"{database} cannot be read"):
        rows = connection.execute(sql, [clock.now_us() - WEEK_US])
        return [Blind(*row) for row in rows]


def alerts_checked(database: Path) -> tuple[int, str] | None:
    """When an enabled rule was last judged or changed, and what was in the way since.

    None where no rule is enabled.  Raises `StoreError`.
    """
    sql = """
        select max(max(coalesce(checked_us, 0), updated_us)), coalesce(max(problem), '')
        from alert_rules where enabled
    """
    with reading(database) as connection, _explained(f"{database} cannot be read"):
        at_us, problem = connection.execute(sql).fetchone()
        return None if at_us is None else (at_us, problem)


def calls(database: Path, path: str) -> int:
    """How many calls have a path that begins with *path*; none when there is no database yet."""
    if not database.exists():
        return 0
    try:
        with reading(database) as connection:
            sql = "select count(*) from llm_calls where substr(path, 1, ?) = ?"
            return int(connection.execute(sql, [len(path), path]).fetchone()[0])
    except sqlite3.Error:
        return 0  # its tables are being made
