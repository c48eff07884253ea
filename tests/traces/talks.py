"""Conversations with a scripted model: exchanges as an agent's SDK would make them."""

import json
import sqlite3
from typing import Any

from sqlite_utils import Database

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import Body, Caller, Exchange, Headers, Record
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.relink import relink
from agenttrace_mitm.store import KnownContent
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.store.schema import migrations
from agenttrace_mitm.traces import Fingerprinter

SECOND = 1_000_000
NOON_US = 1_760_000_000 * SECOND

PRINTS = Fingerprinter(b"k" * 32)

type Json = dict[str, Any]


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def tool_use(id_: str, name: str, **arguments: Any) -> Json:
    """An assistant message that calls a tool (Anthropic)."""
    block = {"type": "tool_use", "id": id_, "name": name, "input": arguments}
    return {"role": "assistant", "content": [block]}


def tool_result(id_: str, text: str, *, is_error: bool = False) -> Json:
    block = {"type": "tool_result", "tool_use_id": id_, "content": text, "is_error": is_error}
    return {"role": "user", "content": [block]}


def says(text: str) -> Json:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


class Recording:
    """A recorder without processes: calls go through the pipeline into a database."""

    def __init__(
        self, db: sqlite3.Connection | None = None, tier: Any = 3, at_us: int = NOON_US
    ) -> None:
        database = Database(memory=True)
        migrations.apply(database)
        self.db: sqlite3.Connection = db or database.conn
        self._known = KnownContent(self.db)
        self.pipeline = Pipeline(tier, PRINTS, self._known)
        self._now = at_us

    def call(self, messages: list[Json], reply: Json, **given: Any) -> str:
        """Record the `exchange` of these; its id."""
        exchange = self.exchange(messages, reply, **given)
        self.add(exchange)
        return exchange.id

    def exchange(
        self,
        messages: list[Json],
        reply: Json,
        *,
        system: str = "You help.",
        pid: int = 7,
        status: int = 200,
        agent: str = "",
        tools: list[Json] | None = None,
        cwd: str = "",
        **headers: str,
    ) -> Exchange:
        """A call that takes a second, a second after the one before; not recorded yet."""
        self._now += 2 * SECOND
        body: Json = {"model": "claude-sonnet-4-5", "system": system, "messages": messages}
        if tools is not None:
            body["tools"] = tools
        answer = {
            "id": f"msg_{new_id()}",
            "type": "message",
            "model": "claude-sonnet-4-5",
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 10, "output_tokens": 5},
            **reply,
        }
        if status >= 400:
            answer = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return Exchange(
            id=new_id(self._now),
            provider="anthropic",
            host="api.anthropic.com",
            method="POST",
            target="/v1/messages",
            started_us=self._now,
            ended_us=self._now + SECOND,
            request_headers=Headers((("content-type", "application/json"), *pairs)),
            request=Body.of(json.dumps(body).encode()),
            status=status,
            response_headers=Headers((("content-type", "application/json"),)),
            response=Body.of(json.dumps(answer).encode()),
            caller=Caller(pid=pid, agent=agent, cwd=cwd),
        )

    def add(self, exchange: Exchange) -> Record:
        record = self.pipeline.record(exchange)
        write_record(self.db, record)
        self._known.remember(record)
        if record.awaited:
            self._known.learn_again(relink(self.db, PRINTS, record.awaited))
        return record

    def row(self, sql: str, *values: Any) -> tuple[Any, ...]:
        """The one row of *sql*."""
        [found] = self.db.execute(sql, values).fetchall()
        return found

    def of(self, call_id: str, column: str) -> Any:
        """A column of one call."""
        return self.row(f"select {column} from llm_calls where id = ?", call_id)[0]
