"""Stored calls read for placing them anew, and the new places put where the old ones were.

Reading gives each call with its whole request, in the order in which calls ended.  The new rows
gather in a scratch database; one short transaction puts them in.  Ids, times, content and prints
stay: only what was inferred is written again.
"""

import contextlib
import sqlite3
import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..errors import StoreError
from ..model import Json, JsonObject, LlmCall, Placement, StoredPrompt
from . import rollups
from .places import write_placement
from .prompts import UNUSED, VERSIONS_SINCE, write_prompt
from .revise import StoredWire, wire_of
from .rows import call_of
from .schema import open_database

BATCH = 500
REMEMBERED = 20_000
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
TABLES = ("sessions", "traces", "threads", "spans")

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


@dataclass(frozen=True, slots=True)
class StoredMade:
    """A stored tool call with its prints, and what is known of its answer."""

    call_id: str
    position: int
    tool_call_id: str
    item_id: str
    name: str
    fingerprint: str
    server: bool
    started_us: int
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """That a call brought the result of a tool call."""

    call_id: str
    position: int
    is_error: bool
    how: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Words:
    """A stored message; *content* is None where it is not kept."""

    fingerprint: str
    role: str
    content: list[JsonObject] | None


@dataclass(frozen=True, slots=True)
class StoredTalk:
    """A call, its whole request (None where earlier calls are gone), and how it was placed."""

    call: LlmCall
    asked: list[Words] | None
    told: int
    made: tuple[StoredMade, ...]
    answers: tuple[StoredAnswer, ...]
    above: str
    """The client's own span around the call's agent; empty for none."""
    trace_is_told: bool
    session_how: str
    session_confidence: float
    thread_how: str
    thread_confidence: float
    parent_thread: str
    parent_span: str
    """Of a thread that works for another's tool call."""
    prompt: StoredPrompt | None
    """What its agent was told, without the words."""
    wire: StoredWire | None
    """The bytes of a call from before there were versions of prompts, where they are kept."""


type ToolAnswer = tuple[str, int, Json, bool, int, str, float]
"""Call id, position, result, whether it is an error, when, how, how sure."""


@dataclass(frozen=True, slots=True)
class Placing:
    """The new place of a call, to be kept."""

    call: LlmCall
    placement: Placement
    told: int
    answers: list[ToolAnswer]
    prompt: StoredPrompt | None = None
    """Where it is another version now than was stored."""


class Retracing:
    """The calls of a database, and a place for what is found of them."""

    def __init__(self, db: sqlite3.Connection, scratch: sqlite3.Connection) -> None:
        self._db = db
        self._scratch = scratch
        self._own: dict[str, array[int]] = {}
        self._first: dict[str, int] = {}
        self._before: dict[str, str] = {}
        self._whole: OrderedDict[str, array[int]] = OrderedDict()
        self._words: OrderedDict[int, Words] = OrderedDict()
        self._answers: dict[str, list[StoredAnswer]] = {}
        self._prompts: dict[str, StoredPrompt] = {}
        self.last_us = 0
        """When the last call that was read had ended."""
        self.changed = 0
        """Calls that got another place, known at the end."""
        scratch.executescript(_SCRATCH)
        scratch.execute("begin")
        self._read()

    def count(self) -> int:
        """How many calls there are."""
        [[number]] = self._db.execute("select count(*) from llm_calls where outcome <> 'in_flight'")
        return int(number)

    def talks(self) -> Iterator[StoredTalk]:
        """Every ended call in the order in which they ended."""
        at, last = -1, ""
        sql = """
            select * from llm_calls
            where outcome <> 'in_flight' and (ended_us, id) > (?, ?)
            order by ended_us, id limit ?
        """
        while rows := self._db.execute(sql, (at, last, BATCH)).fetchall():
            at, last = rows[-1]["ended_us"], rows[-1]["id"]
            self.last_us = at
            calls = [call_of(row) for row in rows]
            made = self._tools(calls)
            told = self._told(calls)
            for call in calls:
                yield StoredTalk(
                    call,
                    self._asked(call),
                    self._first.get(call.id, call.n_messages or 0),
                    tuple(made.get(call.id, ())),
                    tuple(self._answers.get(call.id, ())),
                    **told[call.id],
                    prompt=self._prompts.get(call.prompt_id or ""),
                    wire=self._unversioned(call),
                )

    def _unversioned(self, call: LlmCall) -> StoredWire | None:
        """The bytes of a call that nobody has looked at for its prompt yet."""
        if call.prompt_id or call.kind != "llm" or call.started_us >= self._versions_since_us:
            return None
        return wire_of(self._db, call)

    def keep(self, placing: Placing) -> None:
        """Note where a call belongs."""
        call, db = placing.call, self._scratch
        write_placement(db, placing.placement)
        if placing.prompt:
            write_prompt(db, placing.prompt, call.started_us, call.privacy_tier)
        values = [getattr(call, name) for name in PLACED]
        moved = placing.told != self._first.get(call.id, call.n_messages or 0)
        marks = ", ".join("?" * (len(PLACED) + 2))
        db.execute(f"insert into placed values ({marks})", (call.id, *values, moved))
        for call_id, position, result, is_error, at_us, how, sure in placing.answers:
            text = result if isinstance(result, str) else msgspec.json.encode(result).decode()
            row = (call_id, position, text, is_error, at_us, call.id, how, sure)
            db.execute(_ANSWER, row)
        if moved:
            whole = self._request(call.id)
            db.executemany(
                "insert into added values (?, ?, ?)",
                [(call.id, n, whole[n]) for n in range(placing.told, len(whole))],
            )

    def _read(self) -> None:
        """Which messages each call adds, and to which call's; which results it brought."""
        [[self._versions_since_us]] = self._db.execute(VERSIONS_SINCE)
        for row in self._db.execute(f"select {', '.join(_PROMPT)} from prompts"):
            self._prompts[row["prompt_id"]] = StoredPrompt(**dict(row))
        for by, call_id, position, is_error, how, sure in self._db.execute(_ANSWERS):
            answer = StoredAnswer(call_id, position, bool(is_error), how or "", sure or 0.0)
            self._answers.setdefault(by, []).append(answer)
        for id_, before in self._db.execute(
            "select id, continues_call_id from llm_calls where continues_call_id is not null"
        ):
            self._before[id_] = before
        for id_, position, message in self._db.execute(
            "select call_id, position, message_id from call_messages"
            " where direction = 'in' order by call_id, position"
        ):
            self._own.setdefault(id_, array("q")).append(message)
            self._first.setdefault(id_, position)

    def _request(self, call_id: str) -> "array[int]":
        """The messages of a whole request, by id; fewer where earlier calls are gone."""
        path = [call_id]
        while (before := self._before.get(path[-1])) and path[-1] not in self._whole:
            path.append(before)
        whole = array("q")
        for id_ in reversed(path):
            if id_ in self._whole:
                whole = self._whole[id_]
                continue
            own = self._own.get(id_, array("q"))
            first = self._first.get(id_)
            whole = whole if first is None else whole[:first]
            whole = whole + own if first is None or len(whole) == first else array("q")
            self._whole[id_] = whole
        while len(self._whole) > REMEMBERED:
            self._whole.popitem(last=False)
        return whole

    def _asked(self, call: LlmCall) -> list[Words] | None:
        ids = self._request(call.id)
        if len(ids) < (call.n_messages or 0):
            return None
        return [self._message(id_) for id_ in ids[: call.n_messages]]

    def _message(self, id_: int) -> Words:
        words = self._words.get(id_)
        if words is None:
            row = self._db.execute(
                "select fingerprint, role, content from messages where id = ?", (id_,)
            ).fetchone()
            content = row[2]
            words = Words(row[0], row[1], None if content is None else msgspec.json.decode(content))
            self._words[id_] = words
            while len(self._words) > REMEMBERED:
                self._words.popitem(last=False)
        return words

    def _tools(self, calls: list[LlmCall]) -> dict[str, list[StoredMade]]:
        ids = msgspec.json.encode([call.id for call in calls]).decode()
        made: dict[str, list[StoredMade]] = {}
        for row in self._db.execute(_MADE, (ids,)):
            prompts = tuple(msgspec.json.decode(row[8])) if row[8] else ()
            one = StoredMade(
                call_id=row[0],
                position=row[1],
                tool_call_id=row[2],
                item_id=row[3],
                name=row[4],
                fingerprint=row[5],
                server=bool(row[6]),
                started_us=row[7] or 0,
                prompts=prompts,
            )
            made.setdefault(one.call_id, []).append(one)
        return made

    def _told(self, calls: list[LlmCall]) -> dict[str, dict[str, Any]]:
        """What the client said of each call, and how its session and thread are known."""
        ids = msgspec.json.encode([call.id for call in calls]).decode()
        return {
            row["id"]: {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118
            for row in self._db.execute(_TOLD, (ids,))
        }


_MADE = """
select call_id, position, coalesce(tool_call_id, ''), coalesce(item_id, ''), coalesce(name, ''),
       coalesce(fingerprint, ''), server, started_us, prompts
from tool_calls where call_id in (select value from json_each(?)) order by call_id, position
"""
_ANSWERS = """
select answered_by_call_id, call_id, position, is_error, how, confidence
from tool_calls where answered_by_call_id is not null order by id
"""
# A span that is none of ours is the client's.
_TOLD = """
select c.id,
       coalesce(case when c.thread_id is null then c.parent_span_id
            when h.parent_span_id is null then a.parent_span_id end, '') as above,
       coalesce(t.how = 'client', 0) as trace_is_told,
       coalesce(s.how, '') as session_how, coalesce(s.confidence, 1.0) as session_confidence,
       coalesce(h.how, '') as thread_how, coalesce(h.confidence, 1.0) as thread_confidence,
       coalesce(h.parent_thread_id, '') as parent_thread,
       coalesce(h.parent_span_id, '') as parent_span
from llm_calls c
left join spans o on o.span_id = c.parent_span_id
left join spans a on a.span_id = case when o.kind = 'llm' then o.parent_span_id else o.span_id end
left join traces t on t.trace_id = c.trace_id
left join sessions s on s.session_id = c.session_id
left join threads h on h.thread_id = c.thread_id
where c.id in (select value from json_each(?))
"""
_PROMPT = [name for name in StoredPrompt.model_fields if name not in ("system", "tools")]
_COLUMNS = ", ".join(PLACED)
_DIFFERS = f"({', '.join('c.' + n for n in PLACED)}) is not ({', '.join('p.' + n for n in PLACED)})"
_ANSWER_COLUMNS = "result, is_error, ended_us, answered_by_call_id, how, confidence"
_CHANGED = f"select c.id from scratch.placed p join llm_calls c on c.id = p.id where {_DIFFERS}"
_HOURS = """
select distinct c.hour from scratch.placed p join llm_calls c on c.id = p.id
where c.agent_id is not p.agent_id
"""
_PUT = (
    # What began since belongs to calls that were not read.
    *(f"delete from {table} where started_us <= :last" for table in TABLES),
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
        and (a.answered_by_call_id, a.how) is not (t.answered_by_call_id, t.how))
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
           n.system_chars, n.tools_chars, n.n_tools, coalesce(o.privacy_tier, n.privacy_tier)
    from scratch.prompts n left join prompts o on o.prompt_id = (
        select prompt_id from prompts p
        where p.system_print = n.system_print and p.tools_print = n.tools_print
        order by p.privacy_tier desc limit 1)
    where true
    on conflict (prompt_id) do update
    set first_seen_us = min(prompts.first_seen_us, excluded.first_seen_us)
    """,
    f"delete from prompts where first_seen_us <= :last and {UNUSED}",
    "insert into call_messages select call_id, 'in', position, 0, message_id from scratch.added",
)


@contextlib.contextmanager
def retracing(database: Path) -> Iterator[Retracing]:
    """Read *database* for placing its calls anew; what was kept goes in at the end.

    Raises `StoreError` when it is not there or cannot be used.
    """
    if not database.exists():
        raise StoreError(
            f"There is no database at {database} yet", "Start recording: agenttrace-mitm start"
        )
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
            found.changed = _put_in(db, file, found.last_us)
    except sqlite3.Error as error:
        raise StoreError(f"{database} cannot be used ({error})", "Try again") from error
    finally:
        db.close()


def _put_in(db: sqlite3.Connection, scratch: Path, last_us: int) -> int:
    """Let the new places take effect; how many calls have another one."""
    db.execute("attach ? as scratch", (str(scratch),))
    db.execute("begin immediate")
    try:
        hours = {row[0] for row in db.execute(_HOURS)}
        [[changed]] = db.execute(f"select count(*) from ({_CHANGED})")
        for sql in _PUT:
            db.execute(sql, {"last": last_us} if ":last" in sql else {})
        if hours:
            rollups.recount(db, hours)
        db.execute("commit")
    except BaseException:  # Ctrl-C as well: nothing is half written
        if db.in_transaction:
            db.rollback()
        raise
    finally:
        db.execute("detach scratch")
    return int(changed)
