"""What inference costs: processor time to place a call, early and late, and to place all again.

Conversations of ten calls, each a tool loop, eight side by side, go through pipeline and store in
this process.  Placing is timed alone: finding the call before, tools, spans, and remembering.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import Body, Caller, Exchange, Headers
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store import KnownContent, open_database
from agenttrace_mitm.store.rows import Batch
from agenttrace_mitm.traces import Fingerprinter

from .report import Row

CALLS = 100_000
TURNS = 10
WIDTH = 8
WINDOW = 5_000
NOON_US = 1_760_000_000_000_000
KEY = b"benchmark " * 3


def run(calls: int = CALLS) -> list[Row]:
    """Record *calls* calls, then place them all again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.db"
        early, late = _record(path, calls)
        began, cpu = time.perf_counter(), time.process_time()
        told = retrace(path, Fingerprinter(KEY))
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        assert (told.calls, told.changed) == (calls, 0), told
    return [
        Row.of(f"placing a call, the first {WINDOW:,}, ms of processor time", [early], "<= 0.3"),
        Row.of(f"placing a call after {calls:,} others, ms of processor time", [late], "<= 0.3"),
        Row.of(f"traces rebuild of {calls:,} calls, s", [wall], "<= 120"),
        Row.of(f"traces rebuild of {calls:,} calls, s of processor time", [used]),
    ]


def _record(path: Path, calls: int) -> tuple[float, float]:
    """Milliseconds for placing a call: the mean of the first and of the last ones."""
    db = open_database(path).conn
    db.execute("pragma synchronous = off")
    prints = Fingerprinter(KEY)
    known = KnownContent(db)
    pipeline = Pipeline(3, prints, known)
    spent = _Timed()
    spent.wrap(pipeline._places, "place")
    spent.wrap(known, "learn")
    times: list[float] = []
    batch = Batch(db)
    db.execute("begin")
    for count, exchange in enumerate(_exchanges(calls), 1):
        record = pipeline.record(exchange)
        batch.write(record)
        known.remember(record)
        times.append(spent.taken())
        if count % 100 == 0:
            batch.finish()
            db.execute("commit")
            batch = Batch(db)
            db.execute("begin")
    batch.finish()
    db.execute("commit")
    db.close()
    return 1000 * sum(times[:WINDOW]) / WINDOW, 1000 * sum(times[-WINDOW:]) / WINDOW


class _Timed:
    """Adds up the processor time that methods take."""

    def __init__(self) -> None:
        self._s = 0.0

    def wrap(self, owner: Any, name: str) -> None:
        """Time each call of this method."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*given, **named)
            finally:
                self._s += time.thread_time() - began

        setattr(owner, name, timed)

    def taken(self) -> float:
        """Seconds since the last time it was asked."""
        taken, self._s = self._s, 0.0
        return taken


def _exchanges(calls: int) -> Iterator[Exchange]:
    """Tool loops of `TURNS` calls, `WIDTH` of them side by side, from one process."""
    made = 0
    group = 0
    while made < calls:
        talks: list[list[dict[str, Any]]] = [
            [{"role": "user", "content": f"Task {group} {n}: look into it, please."}]
            for n in range(WIDTH)
        ]
        for turn in range(TURNS):
            for n, messages in enumerate(talks):
                if made == calls:
                    return
                yield _exchange(messages, f"toolu_{group:x}x{turn}y{n}", made)
                made += 1
        group += 1


def _exchange(messages: list[dict[str, Any]], tool: str, number: int) -> Exchange:
    """The next call of a conversation, which then goes on with the tool's result."""
    said = {
        "role": "assistant",
        "content": [
            {"type": "text", "text": f"I look at file {number}."},
            {"type": "tool_use", "id": tool, "name": "read", "input": {"path": f"{number}.py"}},
        ],
    }
    request = {
        "model": "claude-sonnet-4-5",
        "system": "You help with code.",
        "messages": messages,
    }
    usage = {"input_tokens": 100, "output_tokens": 20}
    answer = {"id": f"msg_{number}", "type": "message", "model": "claude-sonnet-4-5", **said}
    at_us = NOON_US + number * 100_000
    kind = (("content-type", "application/json"),)
    exchange = Exchange(
        id=new_id(at_us),
        provider="anthropic",
        host="api.anthropic.com",
        method="POST",
        target="/v1/messages",
        started_us=at_us,
        ended_us=at_us + 50_000,
        request_headers=Headers((*kind, ("user-agent", "bench/1.0"))),
        request=Body.of(json.dumps(request).encode()),
        status=200,
        response_headers=Headers(kind),
        response=Body.of(json.dumps(answer | {"usage": usage}).encode()),
        caller=Caller(pid=7, address="127.0.0.1:5000"),
    )
    result = {"type": "tool_result", "tool_use_id": tool, "content": f"line {number}"}
    messages += [said, {"role": "user", "content": [result]}]
    return exchange
