"""A record as rows: the statements that write one, and the parameters they take.

Every statement can be repeated: ids and fingerprints make the second time a no-op, so capture
may send again what was not acknowledged and the spool may be replayed twice.
"""

import operator
import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from ..model import LlmCall, Payload, Placement, Record, StoredMessage
from . import kept_tables, rollups
from .chains import Bodies, Recent, bodies_of, release, replace, stored
from .descriptions import CALL_COLUMNS, STORED_COLUMNS
from .payloads import pack_arrivals, pack_headers
from .places import write_placements
from .prompts import write_prompt
from .search import index_new
from .words import own_text

JSON_COLUMNS = frozenset(
    {
        "params",
        "rate_limit",
        "tags",
        "finish_reasons",
        "usage_detail",
        "usage_raw",
        "cost_detail",
        "tool_names",
        "notes",
    }
)

_STORED = {name: STORED_COLUMNS.get(name, name) for name in CALL_COLUMNS}

# A row that was written before its exchange ended gives way to the one that knows the end.
INSERT_CALL = (  # column names are our own constants
    f"insert into llm_calls ({', '.join(_STORED.values())})"
    f" values ({', '.join('?' * len(CALL_COLUMNS))})"
    " on conflict (id) do nothing"
)
UPDATE_CALL = (
    INSERT_CALL.removesuffix("nothing")
    + "update set "
    + ", ".join(f"{name} = excluded.{name}" for name in _STORED.values() if name != "id")
    + " where llm_calls.outcome in ('in_flight', 'interrupted')"
)

INSERT_MESSAGE = """
insert into messages (fingerprint, role, content, own_text, size, first_seen_us, privacy_tier)
values (?, ?, ?, ?, ?, ?, ?)
on conflict (fingerprint) do update
set content = excluded.content, own_text = excluded.own_text, size = excluded.size,
    privacy_tier = excluded.privacy_tier
where excluded.content is not null and messages.privacy_tier < excluded.privacy_tier
"""

INSERT_CALL_MESSAGE = """
insert or replace into call_messages (call_id, direction, position, choice, message_id)
select ?, ?, ?, ?, id from messages where fingerprint = ?
"""

# Should it come again, its content is stored.
INSERT_MISSING = """
insert into messages (fingerprint, role, size, first_seen_us, privacy_tier) values (?, ?, ?, ?, 0)
on conflict (fingerprint) do nothing
"""

INSERT_TOOL_CALL = """
insert or ignore into tool_calls
    (call_id, position, tool_call_id, name, arguments, server, typed, item_id,
     fingerprint, prompts, span_id, calls_inside, started_us)
values (:call_id, :position, :tool_call_id, :name, :arguments, :server, :typed, :item_id,
        :fingerprint, :prompts, :span_id, :calls_inside, :at_us)
"""

# The first request that brings the result counts, whichever of them ends first.
ANSWER_TOOL_CALL = """
update tool_calls
set result = :result, is_error = :is_error, ended_us = :at_us, answered_by_call_id = :call_id,
    how = :how, confidence = :confidence
where call_id = :of and position = :position
  and (answered_by_call_id is null or ended_us > :at_us)
"""

FORKED_OFF = """
update llm_calls set history = 'forked'
where continues_call_id = :continues_call_id and started_us > :started_us
  and request_chain is not :request_chain and history = 'grown'
"""

INSERT_PAYLOAD = """
insert into payloads
    (call_id, request_headers, response_headers, arrivals, request_body, response_body,
     stored_after)
values (?, ?, ?, ?, ?, ?, ?)
"""

# A payload that comes again keeps its row: others may be stored after it.
UPDATE_PAYLOAD = """
update payloads set request_headers = ?, response_headers = ?, arrivals = ? where id = ?
"""

INSERT_MEDIUM = """
insert into media
    (sha256, mime_type, size, width, height, duration_ms, token_estimate, first_call_id,
     first_seen_us, last_seen_us, data)
values (:sha256, :mime_type, :size, :width, :height, :duration_ms, :token_estimate, :call_id,
        :at_us, :at_us, :data)
on conflict (sha256) do update
set last_seen_us = max(last_seen_us, excluded.last_seen_us), data = coalesce(data, excluded.data)
"""

_OPERATION = tuple(CALL_COLUMNS).index("operation_id")
_values_of = operator.itemgetter(*CALL_COLUMNS)
_JSON_AT = tuple(at for at, name in enumerate(CALL_COLUMNS) if name in JSON_COLUMNS)

_encode = msgspec.json.Encoder().encode


class Batch:
    """Records that are written in one transaction of the caller's, who calls `finish` at its end.

    What others of the transaction do not read is gathered: together it costs less.
    *recent* spares reading back what these are stored after.
    """

    def __init__(self, db: sqlite3.Connection, recent: Recent | None = None) -> None:
        self._db = db
        self._recent = recent or Recent()
        self._counts = rollups.Counts()
        self._late = kept_tables.Late(db)
        self._placed: dict[int, Placement] = {}  # by identity: records may share one
        self._new: list[tuple[Any, ...]] = []
        self._said: list[tuple[Any, ...]] = []
        self._known: list[tuple[Any, ...]] = []
        self.missed = False
        """Whether a message was not there which was said to be: somebody has deleted it."""

    def write(self, record: Record) -> None:
        """All rows of *record*."""
        db, call = self._db, record.call
        before, is_kept = _write_call(db, call)
        self._counts.add(call, before)
        if before is None:
            self._late.add(call)
        for message in record.messages:
            if message.known:
                told = message.fingerprint, message.role, message.size, call.started_us
                self._known.append(told)
            else:
                self._new.append(message_values(call, message))
        self._said += [said_values(call, message) for message in record.messages]
        _write_tools(db, record)
        if is_kept:  # else a program told of it before, and elsewhere perhaps
            self._placed[id(record.placement)] = record.placement
        if record.overtaken:
            db.execute(FORKED_OFF, call.__dict__)
        if record.prompt:
            write_prompt(db, record.prompt, call.started_us, call.privacy_tier)
        if payload := record.payload:
            _write_payload(db, call, payload, self._recent, is_new=before is None)

    def finish(self) -> None:
        """The rows that were gathered."""
        self._db.executemany(INSERT_MESSAGE, self._new)
        if self._db.executemany(INSERT_CALL_MESSAGE, self._said).rowcount < len(self._said):
            self.missed = True
            self._db.executemany(INSERT_MISSING, self._known)
            self._db.executemany(INSERT_CALL_MESSAGE, self._said)
        write_placements(self._db, tuple(self._placed.values()))
        self._counts.write(self._db)
        self._late.write()
        if self._new:
            index_new(self._db)


def write_record(db: sqlite3.Connection, record: Record, recent: Recent | None = None) -> None:
    """All rows of *record* alone, inside the caller's transaction; *recent* as in `Batch`."""
    batch = Batch(db, recent)
    batch.write(record)
    batch.finish()


def _write_call(db: sqlite3.Connection, call: LlmCall) -> tuple[str | None, bool]:
    """The row of *call*: how it stood before, and whether it says now what *call* says.

    Before is None where it is new, as nearly all are.
    """
    values = call_values(call)
    if db.execute(INSERT_CALL, values).rowcount:
        return None, True
    before = rollups.outcome_before(db, call.id)
    return before, db.execute(UPDATE_CALL, values).rowcount > 0


def _write_payload(
    db: sqlite3.Connection, call: LlmCall, payload: Payload, recent: Recent, *, is_new: bool
) -> None:
    told = (
        pack_headers(payload.request_headers),
        pack_headers(payload.response_headers),
        pack_arrivals(payload.arrivals),
    )
    for medium in payload.media:
        values = medium.__dict__ | {"call_id": call.id, "at_us": call.started_us}
        db.execute(INSERT_MEDIUM, values)
    bodies = Bodies(payload.request_body, payload.response_body)
    sql = "select id from payloads where call_id = ?"
    known = None if is_new else db.execute(sql, (call.id,)).fetchone()
    if known is None:
        db.execute(INSERT_PAYLOAD, (call.id, *told, *stored(db, call, bodies, recent)))
        return
    db.execute(UPDATE_PAYLOAD, (*told, known[0]))
    if not _says(db, call.id, bodies):
        release(db, known)
        replace(db, known[0], bodies)
        recent.forget()


def _says(db: sqlite3.Connection, call_id: str, bodies: Bodies) -> bool:
    """Whether the payload that is there holds *bodies*: nearly always when it comes again."""
    try:
        return bodies_of(db, call_id) == bodies
    except ValueError:  # damaged: here it comes whole
        return False


def _write_tools(db: sqlite3.Connection, record: Record) -> None:
    call = record.call
    for made in record.tool_calls:
        row = made.__dict__ | {"call_id": call.id, "at_us": call.ended_us or call.started_us}
        row["prompts"] = json_text(made.prompts)
        row["calls_inside"] = json_text(made.calls_inside)
        db.execute(INSERT_TOOL_CALL, row)
    for answer in record.tool_results:
        row = {
            "result": result_text(answer.result),
            "is_error": answer.is_error,
            "at_us": answer.at_us,
            "call_id": call.id,
            "of": answer.call_id,
            "position": answer.position,
            "how": answer.how,
            "confidence": answer.confidence,
        }
        db.execute(ANSWER_TOOL_CALL, row)


def call_values(call: LlmCall) -> list[Any]:
    """The values of `INSERT_CALL` for *call*, JSON columns as text."""
    told = list(_values_of(call.__dict__))
    for at in _JSON_AT:
        if told[at] is not None:
            told[at] = json_text(told[at])
    if call.operation_id == call.id:  # of nearly every call, and 38 bytes
        told[_OPERATION] = None
    return told


def message_values(call: LlmCall, message: StoredMessage) -> tuple[Any, ...]:
    """The values of `INSERT_MESSAGE` for a *message* that *call* is the first to bring."""
    return (
        message.fingerprint,
        message.role,
        content_text(message.content),
        own_text(message.content, message.text),
        message.size,
        call.started_us,
        call.privacy_tier,
    )


def said_values(call: LlmCall, message: StoredMessage) -> tuple[Any, ...]:
    """The values of `INSERT_CALL_MESSAGE` for a *message* of *call*."""
    return call.id, message.direction, message.position, message.choice, message.fingerprint


def call_of(row: Mapping[str, Any]) -> LlmCall:
    """The call that a *row* of `llm_calls` holds; the inverse of `call_values`."""
    told = {name: _value(name, row[name]) for name in CALL_COLUMNS}
    return LlmCall(**told | {"operation_id": told["operation_id"] or told["id"]})


def _value(name: str, stored: Any) -> Any:
    return msgspec.json.decode(stored) if name in JSON_COLUMNS and stored is not None else stored


def json_text(value: Any) -> str | None:
    """*value* as JSON text; None, empty lists and empty objects are NULL."""
    return _encode(value).decode() if value not in (None, [], {}, ()) else None


def content_text(parts: Any) -> str | None:
    """Parts as JSON text; NULL only where they are not kept, an empty message is a list."""
    return None if parts is None else _encode(parts).decode()


def result_text(value: Any) -> str | None:
    """What a tool answered: text as it is, all else as JSON text."""
    return value if isinstance(value, str) else json_text(value)
