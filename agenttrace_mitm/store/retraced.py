"""Stored calls read for placing them anew, and the new places put where the old ones were.

Reading gives each call with its whole request, in the order in which calls began.  The new rows
gather in a scratch database; one short transaction puts them in.  Ids, times, content and prints
stay: only what was inferred is written again.
"""

import contextlib
import itertools
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database

from ..errors import StoreError, no_database
from . import rollups
from .commits import link_again
from .known import KnownContent
from .opening import open_database
from .places import write_placements
from .prompts import UNUSED, write_prompt
from .retention import NAMES_GO_AGAIN
from .rows import result_text
from .schema import migrations
from .talks import Placing, StoredTalk, Talks
from .transactions import writing

BATCH = 500
ROUNDS = 2
"""How often calls are read: all of them, then those that ended meanwhile."""
PLACED = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "thread_id",
    "agent_id",
    "continues_call_id",
    "continues_how",
    "continues_confidence",
    "history",
    "prompt_id",
)
"""The columns of a call that say where it belongs."""
TABLES = {
    "sessions": "session_id",
    "traces": "trace_id",
    "threads": "thread_id",
    "spans": "trace_id",
}
"""The tables of places, with the column by which a call names a row."""

_SCRATCH = f"""
create table placed (id text primary key, {", ".join(PLACED)}, moved int);
create table answered (call_id, position, result, is_error, ended_us, answered_by_call_id, how,
    confidence, primary key (call_id, position));
create table added (call_id, position int, message_id int, primary key (call_id, position));
"""
_ANSWER = """
insert into answered values (?, ?, ?, ?, ?, ?, ?, ?)
on conflict do update set result = excluded.result, is_error = excluded.is_error,
    ended_us = excluded.ended_us, answered_by_call_id = excluded.answered_by_call_id,
    how = excluded.how, confidence = excluded.confidence
where excluded.ended_us < answered.ended_us
"""


class Retracing:
    """The calls of a database, and a place for what is found of them."""

    def __init__(self, db: sqlite3.Connection, scratch: sqlite3.Connection) -> None:
        self._db = db
        self._scratch = scratch
        self._talks = Talks(db)
        self._seen: set[str] = set()
        self.changed = 0
        """Calls that got another place, known at the end."""
        scratch.executescript(_SCRATCH)
        scratch.execute("begin")

    def count(self) -> int:
        """How many calls there are."""
        [[number]] = self._db.execute("select count(*) from llm_calls where outcome <> 'in_flight'")
        return int(number)

    def talks(self) -> Iterator[StoredTalk]:
        """Every ended call in the order in which they began."""
        for _ in range(ROUNDS):
            for ids in itertools.batched(self._unread(), BATCH):
                self._seen.update(ids)
                yield from self._talks.of(ids)

    def _unread(self) -> list[str]:
        """Ended calls that were not read yet."""
        sql = "select id from llm_calls where outcome <> 'in_flight' order by started_us, id"
        return [row[0] for row in self._db.execute(sql) if row[0] not in self._seen]

    def keep(self, placing: Placing) -> None:
        """Note where a call belongs."""
        call, db = placing.call, self._scratch
        write_placements(db, (placing.placement,))
        if placing.prompt:
            write_prompt(db, placing.prompt, call.started_us, call.privacy_tier)
        values = [getattr(call, name) for name in PLACED]
        moved = placing.told != self._talks.first(call)
        marks = ", ".join("?" * (len(PLACED) + 2))
        db.execute(f"insert into placed values ({marks})", (call.id, *values, moved))
        for call_id, position, result, is_error, at_us, how, sure in placing.answers:
            row = (call_id, position, result_text(result), is_error, at_us, call.id, how, sure)
            db.execute(_ANSWER, row)
        if moved:
            whole = self._talks.request(call.id)
            db.executemany(
                "insert into added values (?, ?, ?)",
                [(call.id, n, whole[n]) for n in range(placing.told, len(whole))],
            )


_COLUMNS = ", ".join(PLACED)
_DIFFERS = f"({', '.join('c.' + n for n in PLACED)}) is not ({', '.join('p.' + n for n in PLACED)})"
_ANSWER_COLUMNS = "result, is_error, ended_us, answered_by_call_id, how, confidence"
_CHANGED = f"select c.id from scratch.placed p join llm_calls c on c.id = p.id where {_DIFFERS}"
_HOURS = """
select distinct c.hour from scratch.placed p join llm_calls c on c.id = p.id
where c.agent_id is not p.agent_id
    or c.prompt_id is not p.prompt_id
"""
_PUT = (
    # Calls run, and some have ended since the last was read: what they belong to stays.
    """
    create temp table unread as
    select session_id, thread_id, trace_id from llm_calls
    where id not in (select id from scratch.placed)
    """,
    *(
        f"delete from {table} where {key} not in"
        f" (select {key} from temp.unread where {key} is not null)"
        for table, key in TABLES.items()
    ),
    "drop table temp.unread",
    *(f"insert or replace into {table} select * from scratch.{table}" for table in TABLES),
    f"""
    update llm_calls as c set ({_COLUMNS}) =
        (select {_COLUMNS} from scratch.placed p where p.id = c.id)
    where id in ({_CHANGED})
    """,
    f"""
    update tool_calls as t set ({_ANSWER_COLUMNS}) =
        (select {_ANSWER_COLUMNS} from scratch.answered a
         where a.call_id = t.call_id and a.position = t.position)
    where exists (select 1 from scratch.answered a
        where a.call_id = t.call_id and a.position = t.position
        and (a.answered_by_call_id, a.how, a.confidence)
            is not (t.answered_by_call_id, t.how, t.confidence))
    """,
    f"""
    update tool_calls as t set ({_ANSWER_COLUMNS}) = (null, null, null, null, null, null)
    where answered_by_call_id in (select id from scratch.placed)
    and not exists (select 1 from scratch.answered a
        where a.call_id = t.call_id and a.position = t.position)
    """,
    """
    delete from call_messages
    where direction = 'in' and call_id in (select id from scratch.placed where moved)
    """,
    # The words of a version that only went to another agent are there already.
    """
    insert into prompts
    select n.prompt_id, n.agent_id, n.first_seen_us, n.system_print, n.tools_print,
           coalesce(n.system, o.system), coalesce(n.tools, o.tools),
           n.system_chars, n.tools_chars, n.n_tools, coalesce(o.privacy_tier, n.privacy_tier),
           coalesce(n.tool_sizes, o.tool_sizes)
    from scratch.prompts n left join prompts o on o.prompt_id = (
        select prompt_id from prompts p
        where p.system_print = n.system_print and p.tools_print = n.tools_print
        order by p.privacy_tier desc limit 1)
    where true
    on conflict (prompt_id) do update
    set first_seen_us = min(prompts.first_seen_us, excluded.first_seen_us)
    """,
    f"delete from prompts where {UNUSED}",
    "insert into call_messages select call_id, 'in', position, 0, message_id from scratch.added",
    NAMES_GO_AGAIN,
)


@contextlib.contextmanager
def retracing(database: Path) -> Iterator[Retracing]:
    """Read *database* for placing its calls anew; what was kept goes in at the end.

    Raises `StoreError` when it is not there or cannot be used.
    """
    if not database.exists():
        raise no_database(database)
    db = open_database(database).conn
    db.row_factory = sqlite3.Row
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scratch.db"
            scratch = open_database(file).conn
            scratch.execute("pragma synchronous = off")
            found = Retracing(db, scratch)
            yield found
            scratch.execute("commit")
            scratch.close()
            found.changed = _put_in(db, file)
    except sqlite3.Error as error:
        raise StoreError(f"{database} cannot be used ({error})", "Try again") from error
    finally:
        db.close()


def nothing_known(remembered: int) -> KnownContent:
    """What is known of no calls at all, and then of the last *remembered* that are placed."""
    empty = Database(memory=True)
    migrations.apply(empty)
    return KnownContent(empty.conn, remembered)


def _put_in(db: sqlite3.Connection, scratch: Path) -> int:
    """Let the new places take effect; how many calls have another one."""
    db.execute("attach ? as scratch", (str(scratch),))
    try:
        with writing(db):
            hours = {row[0] for row in db.execute(_HOURS)}
            [[changed]] = db.execute(f"select count(*) from ({_CHANGED})")
            for sql in _PUT:
                db.execute(sql)
            link_again(db)
            if hours:
                rollups.recount(db, hours)
    finally:
        db.execute("detach scratch")
    return int(changed)
