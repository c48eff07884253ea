"""What recording costs the program: direct, bare mitmdump and ours, in turns, in one run.

The machine is never quiet, so only ratios within a round mean anything; each figure is the
median of the rounds, with the middle half of them beside it.
"""

import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import traffic
from .client import Answer, Connection, Route
from .instance import Instance, Upstream, cpu_s, instance, memory_mb, mitmdump, upstream
from .report import Row, quantile, ratios

CONNECTIONS = 16
STEADY = 300.0
"""Calls a second for as long as it takes: more than any program makes, less than two processors
that also play the client and the provider are busy with."""
STREAM = "stream 50 10"  # chunks, milliseconds between them


@dataclass
class Subject:
    """Something that is measured."""

    name: str
    route: Route
    pids: tuple[int, ...] = ()
    instance: Instance | None = None
    calls: int = 0

    def settle(self) -> float:
        """Let the recorder catch up: it must not disturb what is measured next."""
        return self.instance.settle(self.calls) if self.instance else 0.0


type Figures = dict[str, float]


def run(rounds: int, seconds: float) -> list[Row]:
    """Measure everything *rounds* times, the subjects alternating within each figure."""
    with tempfile.TemporaryDirectory() as folder, _subjects(Path(folder)) as subjects:
        for each in subjects:
            asyncio.run(_full(each, 1.0))
        found: list[dict[str, Figures]] = [{s.name: {} for s in subjects} for _ in range(rounds)]
        for number, one in enumerate(found):
            for measure in (_full, _single, _first_chunk, _many, _large):
                for each in random.Random(number).sample(subjects, len(subjects)):
                    if each.name != "two workers" or measure is _full:
                        one[each.name] |= asyncio.run(measure(each, seconds))
                    each.settle()
        return _rows(found)


def memory(calls: tuple[int, int]) -> list[Row]:
    """Capture's memory after some calls and after many, and that all of them are recorded.

    At a rate that the recorder can follow; then as fast as the clients can, which it cannot where
    it shares its processor: what it has not taken yet waits in capture's memory.
    """
    return _remembering("steady", calls, STEADY) + _remembering("full speed", calls, None)


def _remembering(name: str, calls: tuple[int, int], per_second: float | None) -> list[Row]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(upstream(folder))
        ours = stack.enter_context(instance(folder / "home", server))
        (pid,) = ours.pids("capture")
        subject = Subject("ours", ours.route, (pid,), ours)
        sizes = []
        began = time.perf_counter()
        for goal in calls:
            asyncio.run(_calls(subject, goal - subject.calls, per_second))
            sizes.append(memory_mb(pid))
        took = time.perf_counter() - began
        lag = subject.settle()
        goals = ("<= 150", "<= 1.1", "<= 2") if per_second else ("", "", "")
        return [
            Row(f"{name}: calls/s", calls[1] / took),
            Row(f"{name}: capture's memory after {calls[0]:,} calls, MB", sizes[0]),
            Row(f"{name}: capture's memory after {calls[1]:,} calls, MB", sizes[1], goals[0]),
            Row(f"{name}: its growth", sizes[1] / sizes[0], goals[1]),
            Row(f"{name}: calls recorded", ours.rows(), f"= {calls[1]}"),
            Row(f"{name}: recorder done after the last call, s", lag, goals[2]),
        ]


@contextlib.contextmanager
def _subjects(folder: Path) -> Iterator[list[Subject]]:
    with contextlib.ExitStack() as stack:
        server: Upstream = stack.enter_context(upstream(folder))
        bare = stack.enter_context(mitmdump(folder / "mitmdump", server))
        ours = stack.enter_context(instance(folder / "one", server))
        two = stack.enter_context(instance(folder / "two", server, workers=2))
        yield [
            Subject("direct", server.route),
            Subject("mitmdump", bare.route, (bare.pid,)),
            Subject("ours", ours.route, tuple(ours.pids("capture")), ours),
            Subject("two workers", two.route, tuple(two.pids("capture")), two),
        ]


async def _full(subject: Subject, seconds: float) -> Figures:
    calls, cpu = await _throughput(subject, seconds, CONNECTIONS)
    return {"calls/s": calls, "cpu ms/call": cpu}


async def _single(subject: Subject, seconds: float) -> Figures:
    # Of fewer the slowest but one would be the 99th percentile.
    answers = await _alone(subject, int(900 * seconds))
    times = [answer.seconds * 1000 for answer in answers]
    return {"p50 ms": quantile(times, 0.5), "p99 ms": quantile(times, 0.99)}


async def _first_chunk(subject: Subject, seconds: float) -> Figures:
    answers = await _streams(subject, 1, int(10 * seconds), "stream 3 10")
    first = [(answer.arrivals[0] - answer.began) * 1000 for answer in answers]
    return {"first chunk ms": statistics.median(first)}


async def _many(subject: Subject, seconds: float) -> Figures:
    # Streams tick together: of 16 that are read once, one late tick of fifty is the percentile.
    return {
        f"gap p99 ms, {count} streams": quantile(_gaps(await _streams(subject, count, calls)), 0.99)
        for count, calls in ((16, 4), (64, 1))
    }


async def _large(subject: Subject, seconds: float) -> Figures:
    body = traffic.long_history(1, 200_000)[0]
    calls, _ = await _throughput(subject, seconds, 4, body)
    return {"200 KB calls/s": calls}


async def _throughput(
    subject: Subject, seconds: float, count: int, body: bytes | None = None
) -> tuple[float, float]:
    """Calls a second, and milliseconds of processor time a call takes in the proxy."""
    connections = [await Connection.open(subject.route) for _ in range(count)]
    bodies = [body] if body else [traffic.small(number) for number in range(500)]
    began, used = time.perf_counter(), sum(map(cpu_s, subject.pids))

    async def caller(connection: Connection) -> int:
        calls = 0
        while time.perf_counter() - began < seconds:
            await connection.call(bodies[(subject.calls + calls) % len(bodies)])
            calls += 1
        return calls

    calls = sum(await asyncio.gather(*map(caller, connections)))
    took, used = time.perf_counter() - began, sum(map(cpu_s, subject.pids)) - used
    for connection in connections:
        connection.close()
    subject.calls += calls
    return calls / took, used * 1000 / calls


async def _calls(subject: Subject, count: int, per_second: float | None) -> None:
    connections = [await Connection.open(subject.route) for _ in range(CONNECTIONS)]
    pause = CONNECTIONS / per_second if per_second else 0.0

    async def caller(connection: Connection, calls: int) -> None:
        due = time.perf_counter()
        for number in range(calls):
            await connection.call(traffic.small(subject.calls + number))
            due += pause
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)

    share, rest = divmod(count, CONNECTIONS)
    amounts = [share + (number < rest) for number in range(CONNECTIONS)]
    await asyncio.gather(*map(caller, connections, amounts))
    for connection in connections:
        connection.close()
    subject.calls += count


async def _alone(subject: Subject, calls: int) -> list[Answer]:
    connection = await Connection.open(subject.route)
    answers = [await connection.call(traffic.small(number)) for number in range(calls)]
    connection.close()
    subject.calls += calls
    return answers


async def _streams(subject: Subject, count: int, calls: int, wanted: str = STREAM) -> list[Answer]:
    """Answers of *count* connections that each read *calls* streams, one after the other."""
    body = traffic.request([{"role": "user", "content": "Go on."}], streamed=True)
    connections = [await Connection.open(subject.route) for _ in range(count)]
    answers: list[Answer] = []
    for _ in range(calls):
        answers += await asyncio.gather(*(each.call(body, wanted) for each in connections))
    for connection in connections:
        connection.close()
    subject.calls += count * calls
    return answers


def _gaps(answers: list[Answer]) -> list[float]:
    return [
        (later - earlier) * 1000
        for answer in answers
        for earlier, later in zip(answer.arrivals, answer.arrivals[1:], strict=False)
    ]


def _rows(found: list[dict[str, Figures]]) -> list[Row]:
    rows = [
        Row.of(f"{name}: {figure}", [one[name][figure] for one in found])
        for name in ("direct", "mitmdump", "ours", "two workers")
        for figure in found[0][name]
        if (name, figure) != ("direct", "cpu ms/call")
    ]

    def ratio(title: str, figure: str, over: str, goal: str, *, added: bool = False) -> None:
        first, second = ("two workers", "ours") if over == "ours" else ("ours", "mitmdump")
        rows.append(ratios(title, found, figure, first, second, goal, added=added))

    ratio("calls/s, ours / mitmdump", "calls/s", "mitmdump", ">= 1.35")
    ratio("CPU per call, ours / mitmdump", "cpu ms/call", "mitmdump", "<= 0.85")
    ratio("added p50, ours / mitmdump", "p50 ms", "mitmdump", "<= 1", added=True)
    ratio("added p99, ours / mitmdump", "p99 ms", "mitmdump", "<= 1", added=True)
    ratio("first chunk added, ours / mitmdump", "first chunk ms", "mitmdump", "<= 1", added=True)
    ratio("gap p99 at 16 streams, ours / mitmdump", "gap p99 ms, 16 streams", "mitmdump", "<= 1")
    ratio("gap p99 at 64 streams, ours / mitmdump", "gap p99 ms, 64 streams", "mitmdump", "<= 0.9")
    ratio("200 KB calls/s, ours / mitmdump", "200 KB calls/s", "mitmdump", ">= 1")
    ratio("calls/s, two workers / one", "calls/s", "ours", ">= 1.3")
    ratio("CPU per call, two workers / one", "cpu ms/call", "ours", "<= 1.1")
    return rows
