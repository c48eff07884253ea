"""Stored calls read for placing them anew: each with its whole request and how it was placed.

Of all calls, or of a few and those that they go on from.  Goes out: `StoredTalk` by call; the
messages of a request are kept as numbers and read when they are needed.
"""

import sqlite3
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..model import Json, JsonObject, LlmCall, Placement, StoredPrompt
from .prompts import VERSIONS_SINCE
from .reading import Readable
from .revise import StoredWire, wire_of
from .rows import call_of

REMEMBERED = 20_000


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
    parent_tool: str
    """Of a thread that works for another's tool call, and the tool's name."""
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


class Talks:
    """Stored calls of *db*, whose rows go by name; *only* these, where that is given."""

    def __init__(self, db: sqlite3.Connection, only: Sequence[str] | None = None) -> None:
        self._db = db
        self._own: dict[str, array[int]] = {}
        self._first: dict[str, int] = {}
        self._before: dict[str, str] = {}
        self._whole: OrderedDict[str, array[int]] = OrderedDict()
        self._words: OrderedDict[int, Words] = OrderedDict()
        self._answers: dict[str, list[StoredAnswer]] = {}
        self._prompts: dict[str, StoredPrompt] = {}
        self._read(None if only is None else json_list(only))

    def first(self, call: LlmCall) -> int:
        """The position of the first message that *call* adds."""
        return self._first.get(call.id, call.n_messages or 0)

    def of(self, ids: Sequence[str]) -> Iterator[StoredTalk]:
        """These calls, in the order in which they began."""
        rows = self._db.execute(_CALLS, (json_list(ids),)).fetchall()
        calls = [call_of(row) for row in rows]
        made = self._tools(calls)
        told = self._told(calls)
        for call in calls:
            yield StoredTalk(
                call,
                self._asked(call),
                self.first(call),
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

    def _read(self, only: str | None) -> None:
        """Which messages each call adds, and to which call's; which results it brought."""
        given = {"only": only, "all": only and with_earlier(self._db, only)}
        [[self._versions_since_us]] = self._db.execute(VERSIONS_SINCE)
        for row in self._db.execute(f"select {', '.join(_PROMPT)} from prompts"):
            self._prompts[row["prompt_id"]] = StoredPrompt(**dict(row))
        # Whose tools they answer is found by index; those are of calls that were gone on from.
        answers = _within(_ANSWERS, "answered_by_call_id", only, "only")
        answers = _within(answers, "call_id", only, "all") + " order by id"
        for by, call_id, position, is_error, how, sure in self._db.execute(answers, given):
            answer = StoredAnswer(call_id, position, bool(is_error), how or "", sure or 0.0)
            self._answers.setdefault(by, []).append(answer)
        for id_, before in self._db.execute(_within(_BEFORE, "id", only, "all"), given):
            self._before[id_] = before
        added = _within(_ADDED, "call_id", only, "all") + " order by call_id, position"
        for id_, position, message in self._db.execute(added, given):
            self._own.setdefault(id_, array("q")).append(message)
            self._first.setdefault(id_, position)

    def request(self, call_id: str) -> "array[int]":
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
        ids = self.request(call.id)
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
        ids = json_list([call.id for call in calls])
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
        ids = json_list([call.id for call in calls])
        return {
            row["id"]: {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118
            for row in self._db.execute(_TOLD, (ids,))
        }


_CALLS = """
select * from llm_calls where id in (select value from json_each(?)) order by started_us, id
"""
_MADE = """
select call_id, position, coalesce(tool_call_id, ''), coalesce(item_id, ''), coalesce(name, ''),
       coalesce(fingerprint, ''), server, started_us, prompts
from tool_calls where call_id in (select value from json_each(?)) order by call_id, position
"""
_ANSWERS = """
select answered_by_call_id, call_id, position, is_error, how, confidence
from tool_calls where answered_by_call_id is not null
"""
_BEFORE = "select id, continues_call_id from llm_calls where continues_call_id is not null"
_ADDED = "select call_id, position, message_id from call_messages where direction = 'in'"
_EARLIER = """
with recursive earlier (id) as (
    select value from json_each(?)
    union
    select c.continues_call_id from earlier join llm_calls c on c.id = earlier.id
    where c.continues_call_id is not null
)
select id from earlier
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
       coalesce(h.parent_span_id, '') as parent_span, coalesce(w.name, '') as parent_tool
from llm_calls c
left join spans o on o.span_id = c.parent_span_id
left join spans a on a.span_id = case when o.kind = 'llm' then o.parent_span_id else o.span_id end
left join traces t on t.trace_id = c.trace_id
left join sessions s on s.session_id = c.session_id
left join threads h on h.thread_id = c.thread_id
left join spans w on w.span_id = h.parent_span_id
where c.id in (select value from json_each(?))
"""
_PROMPT = [name for name in StoredPrompt.model_fields if name not in ("system", "tools")]


def with_earlier(db: Readable, ids: str) -> str:
    """The calls *ids* and those that they go on from; both as JSON."""
    return json_list([row[0] for row in db.execute(_EARLIER, (ids,))])


def json_list(ids: Sequence[str]) -> str:
    """*ids* as JSON, for `json_each`."""
    return msgspec.json.encode(list(ids)).decode()


def _within(sql: str, column: str, only: str | None, name: str) -> str:
    """*sql* for the calls in the parameter *name* alone; for all where *only* is None."""
    return sql if only is None else f"{sql} and {column} in (select value from json_each(:{name}))"
