"""What the command line reads from the database: recent calls, totals, agents, somebody's SQL.

Everything here opens the file read-only and closes it again; typed rows out, named parameters in.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..errors import StoreError, no_database
from .counting import FAILED, METERED, MODEL_CALLS, UNPRICED, known_sum

REPORTED = ("tokens_in", "tokens_out", "cost_nano_usd")
ESTIMATED = (
    "coalesce(tokens_in, json_extract(usage_detail, '$.estimated_input_tokens'))",
    "coalesce(tokens_out, json_extract(usage_detail, '$.estimated_output_tokens'))",
    "coalesce(cost_nano_usd, json_extract(cost_detail, '$.estimated'))",
)
"""What sums are made of; estimates only where somebody asks for them."""


@dataclass(frozen=True, slots=True)
class RecentCall:
    """A call as one line tells it.  `number` grows with every new row."""

    number: int
    id: str
    started_us: int
    provider: str
    kind: str
    model: str | None
    outcome: str
    status_code: int | None
    tokens_in: int | None
    tokens_out: int | None
    cost_nano_usd: int | None
    latency_ms: float | None
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over calls.  Tokens and cost count what is known; `unpriced` says what is not.

    Each of them is None where nobody knows any of it.

    `errors` are calls that failed or were cut short; one that its client cancelled is none.
    `spend_nano_usd` is what of the cost was metered: the rest is the list price of calls that a
    subscription or a free tier covers.
    """

    name: str
    calls: int
    errors: int
    tokens_in: int | None
    tokens_out: int | None
    cost_nano_usd: int | None
    spend_nano_usd: int | None
    unpriced: int
    last_us: int | None


SCHEMA = "Tables and columns: docs/schema.md"
VALUES = "Give the value of each :name with -p NAME VALUE"
NO_VALUES: Mapping[str, str] = MappingProxyType({})
OTHER_FILE = "Choose another file with --db"
NOT_OURS = (
    "It is another program's, or of another version: agenttrace-mitm start brings an older one up"
    " to date"
)
REMEDIES = {
    sqlite3.SQLITE_BUSY: "Another program is writing to it: try again",
    sqlite3.SQLITE_CORRUPT: "See: agenttrace-mitm db verify",
    sqlite3.SQLITE_NOTADB: OTHER_FILE,
    sqlite3.SQLITE_IOERR: "Try again",
    sqlite3.SQLITE_FULL: "Make room on the disk",
}
"""By the primary code of SQLite's error."""
STEPS_A_LOOK = 100_000
"""Of SQLite's machine: a millisecond or so."""


def last_number(database: Path) -> int:
    """The number of the newest call; 0 when there is none."""
    with reading(database) as connection:
        found: int = connection.execute("select coalesce(max(rowid), 0) from llm_calls").fetchone()[
            0
        ]
    return found


def recent_calls(
    database: Path, after: int, waiting: Iterable[str] = (), limit: int = 1000
) -> list[RecentCall]:
    """Calls with a number beyond *after*, and those in *waiting*, oldest first."""
    sql = """
        select rowid, id, started_us, provider, kind, coalesce(response_model, model), outcome,
               status_code, tokens_in, tokens_out, cost_nano_usd, latency_ms, agent_id
        from llm_calls
        where rowid > :after or id in (select value from json_each(:waiting))
        order by rowid
        limit :limit
    """
    given = {"after": after, "waiting": json.dumps(list(waiting)), "limit": limit}
    with reading(database) as connection:
        return [RecentCall(*row) for row in connection.execute(sql, given)]


def reports(database: Path, kind: str, since_us: int) -> list[str]:
    """The particulars of the recorder's events of *kind* since *since_us*, oldest first."""
    sql = """
        select detail from recorder_events where at_us >= :since_us and kind = :kind order by id
    """
    with reading(database) as connection:
        found = connection.execute(sql, {"since_us": since_us, "kind": kind})
        return [str(detail) for (detail,) in found]


def totals(
    database: Path,
    since_us: int = 0,
    *,
    by: str | None = None,
    run: str | None = None,
    estimates: bool = False,
) -> list[Totals]:
    """Sums since *since_us*, dearest first: one line, or one for each value of *by*.

    *by* is `model`, `provider`, `agent`, `project`, `session` or None; *run* keeps to the calls of
    one run.  With *estimates* calls of which the provider reported nothing count with their
    estimated usage.
    """
    name = {
        None: "''",
        "model": "coalesce(response_model, model, '?')",
        "provider": "provider",
        "agent": "coalesce(agent_id, '?')",
        "project": "coalesce(project, '?')",
        "session": "coalesce(session_id, '?')",
    }[by]
    tokens_in, tokens_out, cost = ESTIMATED if estimates else REPORTED
    sql = f"""
        select {name} as name, count(*) as calls, coalesce(sum({FAILED}), 0) as errors,
               sum({tokens_in}) as tokens_in, sum({tokens_out}) as tokens_out,
               {known_sum(cost)} as cost_nano_usd,
               {known_sum(cost, METERED)} as spend_nano_usd,
               coalesce(sum({UNPRICED} and {cost} is null), 0) as unpriced,
               max(started_us) as last_us
        from llm_calls
        where started_us >= :since_us and {MODEL_CALLS} and outcome <> 'in_flight'
          and (:run is null or json_extract(tags, '$.run') = :run)
        group by 1
        order by spend_nano_usd desc, cost_nano_usd desc, calls desc
    """
    with reading(database) as connection:
        return [Totals(*row) for row in connection.execute(sql, {"since_us": since_us, "run": run})]


def select(
    database: Path, sql: str, values: Mapping[str, str] = NO_VALUES
) -> tuple[list[str], Iterator[tuple[object, ...]]]:
    """Columns and rows of the user's own *sql*, with *values* for its `:names`.

    Raises `StoreError` with SQLite's words.
    """
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(reading(database))
        connection.set_authorizer(_without_other_files)
        # Python looks for a Ctrl-C only between two of its own steps, and a query may go on.
        connection.set_progress_handler(lambda: 0, STEPS_A_LOOK)
        with _explained("The SQL does not work", SCHEMA):
            try:
                cursor = connection.execute(sql, values)
            except sqlite3.ProgrammingError as error:  # Python's own: about values
                raise StoreError(
                    f"The SQL does not work ({str(error).rstrip('.')})", VALUES
                ) from None
        if cursor.description is None:
            raise StoreError("That SQL asks for no rows", SCHEMA)
        columns = [column[0] for column in cursor.description]
        keep = stack.pop_all()

    def rows() -> Iterator[tuple[object, ...]]:
        with keep, _explained("The SQL does not work", SCHEMA):
            yield from cursor

    return columns, rows()


def _without_other_files(action: int, name: str | None, value: str | None, *_: object) -> int:
    """To attach a file that is not there makes it, and so does `vacuum into`.

    And another mode of the log, which cannot be had here, fails as if the disk had.
    """
    is_mode = action == sqlite3.SQLITE_PRAGMA and name == "journal_mode" and value is not None
    refused = action == sqlite3.SQLITE_ATTACH or is_mode
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


@contextlib.contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads.  Raises `StoreError` when there is nothing to read."""
    with _explained(f"{database} cannot be read", NOT_OURS):
        connection = connected(database)
        try:
            yield connection
        finally:
            connection.close()


def connected(
    database: Path, *, busy_s: float = 5.0, any_thread: bool = False
) -> sqlite3.Connection:
    """A connection that only reads, for whoever closes it.  Raises `StoreError` as above."""
    if not database.exists():
        raise no_database(database)
    if database.is_dir():
        raise StoreError(f"{database} is a folder", OTHER_FILE)
    return sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=busy_s, isolation_level=None,
        check_same_thread=not any_thread,
    )  # fmt: skip


@contextlib.contextmanager
def _explained(problem: str, remedy: str = "See: agenttrace-mitm db verify") -> Iterator[None]:
    """`StoreError` for SQLite's; *remedy* is for those of which the code does not say enough."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{problem} ({error})", remedy_of(error, remedy)) from None


def remedy_of(error: sqlite3.Error, otherwise: str) -> str:
    """What to do about SQLite's *error*; *otherwise* where its code does not say."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return REMEDIES.get(code & 0xFF, otherwise)
