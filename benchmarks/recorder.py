"""What the recorder sustains: frames in, acknowledged rows in SQLite out.

We play capture: everything is sent as fast as the socket takes it, and a call counts once it is
acknowledged, which is after its commit.  On a machine with other work, calls per second of its
own processor time say what one core would do.
"""

import json
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agenttrace_mitm import clock, frames

from . import traffic
from .instance import PYTHON, cpu_s
from .report import Row

CALLS = {"small": 3000, "streamed": 1200, "history": 300}
GOALS = {
    "small": ("small calls", 800),
    "streamed": ("streamed calls of 50 chunks", 400),
    "history": ("calls that resend 200 KB", 150),
}
BURST = 2000


def run(rounds: int) -> list[Row]:
    """Each load *rounds* times, then a burst."""
    rows = []
    for name, (title, goal) in GOALS.items():
        found = [_measure(_LOADS[name], CALLS[name]) for _ in range(rounds)]
        rows.append(Row.of(f"{title}/s", [wall for wall, _, _ in found]))
        per_core = [core for _, core, _ in found]
        rows.append(Row.of(f"{title} per second of processor time", per_core, f">= {goal}"))
    behind = [_measure(_small, BURST)[2] for _ in range(rounds)]
    rows.append(Row.of(f"behind after a burst of {BURST:,} calls, s", behind))
    return rows


def _measure(load: Callable[[int], list[bytes]], count: int) -> tuple[float, float, float]:
    """Calls per second, calls per processor second, and seconds from last byte to last row."""
    with tempfile.TemporaryDirectory() as home:
        settings = {"home": home}
        process = subprocess.Popen(
            [PYTHON, "-m", "agenttrace_mitm.recorder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()).get("ready")
        calls = load(count)  # now: what began before the recorder may have been placed before
        try:
            idle, began = cpu_s(process.pid), time.perf_counter()
            sent = _hand_over(Path(home) / "run" / "recorder.sock", calls)
            ended = time.perf_counter()
            used = cpu_s(process.pid) - idle
        finally:
            process.stdin.close()
            process.wait(60)
        with sqlite3.connect(Path(home) / "data.db") as db:
            (rows,) = db.execute("select count(*) from llm_calls").fetchone()
        assert rows == count, f"{rows} rows of {count} calls"
        return count / (ended - began), count / used, ended - sent


def _hand_over(path: Path, calls: list[bytes]) -> float:
    """Send *calls*, wait until all are acknowledged; when the last byte was sent."""
    waiting, decoder = len(calls), frames.FrameDecoder()
    unsent = memoryview(frames.encode(frames.Hello(frames.PROTOCOL, "bench", 1)) + b"".join(calls))
    sent = 0.0
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))
        link.settimeout(120)
        while waiting:
            if unsent:
                link.setblocking(False)
                unsent = unsent[_send(link, unsent) :]
                sent = time.perf_counter()
            try:
                data = link.recv(65536)
            except BlockingIOError:
                time.sleep(0.001)
                continue
            waiting -= sum(len(f.ids) for f in decoder.feed(data) if isinstance(f, frames.Ack))
            if not unsent:
                link.settimeout(120)
    return sent


def _send(link: socket.socket, data: memoryview) -> int:
    try:
        return link.send(data[: 1 << 20])
    except BlockingIOError:
        return 0


def _small(count: int) -> list[bytes]:
    return [_call(traffic.small(n), [traffic.answer(n)], "application/json") for n in range(count)]


def _streamed(count: int) -> list[bytes]:
    def body(number: int) -> bytes:
        content = f"Question {number}: {traffic.small(number)[:200]!r}"
        return traffic.request([{"role": "user", "content": content}], streamed=True)

    return [_call(body(n), traffic.events(n, 50), "text/event-stream") for n in range(count)]


def _history(count: int) -> list[bytes]:
    bodies = traffic.long_history(count, 200_000)
    return [_call(b, [traffic.answer(n)], "application/json") for n, b in enumerate(bodies)]


_LOADS: dict[str, Callable[[int], list[bytes]]] = {
    "small": _small,
    "streamed": _streamed,
    "history": _history,
}


def _call(request: bytes, pieces: list[bytes], content_type: str) -> bytes:
    """The frames of one exchange."""
    id_, at_us = clock.new_id(), clock.now_us()
    told: list[Any] = [
        frames.Opened(
            id=id_,
            at_us=at_us,
            provider="openai",
            host=traffic.HOST,
            method="POST",
            target=traffic.PATH,
            http_version="HTTP/1.1",
            headers=[
                ("Host", traffic.HOST),
                ("Content-Type", "application/json"),
                ("User-Agent", "OpenAI/Python 1.99.0"),
                ("Authorization", "[redacted]"),
            ],
            caller={"address": "127.0.0.1", "pid": "4711", "process": "python", "cwd": "/srv"},
            tags={},
            credential_digests=[],
            source="proxy",
        ),
        frames.RequestData(id_, at_us + 100, request),
        frames.RequestEnded(id_, at_us + 200, len(request)),
        frames.Responded(id_, at_us + 9_000, 200, [("Content-Type", content_type)]),
    ]
    told += [
        frames.ResponseData(id_, at_us + 10_000 + n * 1000, piece) for n, piece in enumerate(pieces)
    ]
    size = sum(map(len, pieces))
    told.append(frames.Ended(id_, at_us + 100_000, "complete", "", size, [], 0))
    return b"".join(map(frames.encode, told))
