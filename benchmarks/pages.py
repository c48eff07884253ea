"""How long our server takes for each page, at 100,000 calls and at 1,000,000.

Every page and every canned query with its default time and with each single filter: warm, over
one connection to one process; cold, as the first thing that a new process is asked, after the
system was told to drop what it has of the file in memory (Linux).  Beside the time that passed
stand the processor time that the server took for it, and how often it read when cold (Linux):
other programs on the machine change these little, and pages are held against each other by the
first.  Warm, all sizes are asked in turns: a machine that slows down does so for each.
Databases are made up once and kept in a folder when one is given.
"""

import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from agenttrace_mitm.settings import Settings
from datasette_agenttrace.canned import CANNED_QUERIES
from datasette_agenttrace.page import PREFIX
from datasette_agenttrace.pages import PAGES

from . import bulk
from .instance import memory_mb
from .report import Row, quantile

CALLS = (100_000, 1_000_000)
WARM, COLD = "<= 150", "<= 1000"
SPECIAL = {"costs?range=90d": "<= 50", "calls?q=": "<= 100", "table": "<= 300"}
FAILED_MS = 60_000.0  # what counts for a page that was not shown
MEMORY_MB = "<= 200"
RATIO = "<= 2"

# Pages of one thing: SQL that finds a recent one, by the name of their page.
ONE = {
    "calls": "select id from llm_calls order by started_us desc limit 1",
    "traces": "select trace_id from traces order by started_us desc limit 1",
    "sessions": "select session_id from sessions order by started_us desc limit 1",
}
LONGEST = (
    "select session_id from rollup_session group by session_id order by sum(calls) desc limit 1"
)
FILTERS = {
    "provider": "select provider from llm_calls order by started_us desc limit 1",
    "model": "select response_model from llm_calls where outcome = 'ok'"
    " order by started_us desc limit 1",
    "agent": "select agent_id from llm_calls order by started_us desc limit 1",
}
RANGES = ("today", "7d", "90d")


@dataclass(slots=True)
class Timed:
    """What one address took, in ms; `worked` is processor time.  `reads` are those when cold."""

    cold: float = 0.0
    reads: int = 0
    warm: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Asked:
    """A database, what is asked of it by its short name, and what that took."""

    calls: int
    file: Path
    addresses: dict[str, str]
    took: dict[str, Timed] = field(init=False)
    memory_mb: float = 0.0

    def __post_init__(self) -> None:
        self.took = {name: Timed() for name in self.addresses}


def run(rounds: int, calls: Sequence[int], cache: Path | None) -> list[Row]:
    """Pages at each number of calls, and how they grow from the first to the last.

    A p95 of less than twenty *rounds* is the slowest of them.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        files = [database(cache or Path(name), many, rows) for many in calls]
        said = _filters(files[-1])  # the same of all: some find what they ask for sooner
        asked = [
            Asked(many, file, _addresses(file, said))
            for many, file in zip(calls, files, strict=True)
        ]
        for one in asked:
            _ask_cold(one)
        _ask_warm(asked, rounds)
    for one in asked:
        rows += _rows(one.calls, one.took)
        rows.append(Row(f"{one.calls:,}: memory of the server, MB", one.memory_mb, MEMORY_MB))
    first, last = asked[0], asked[-1]
    if len(asked) > 1:
        rows += [
            Row(
                f"{name}: {last.calls:,} over {first.calls:,} calls",
                _growth(first.took[name], last.took[name]),
                RATIO,
            )
            for name in last.took
        ]
    return rows


def database(folder: Path, calls: int, rows: list[Row]) -> Path:
    """The file with that many *calls* in *folder*, made unless it is there."""
    file = folder / f"pages-{calls}.db"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = file.with_suffix(".part")
        for ending in ("", "-wal", "-shm"):  # of a build that was stopped
            made.with_name(made.name + ending).unlink(missing_ok=True)
        began = time.perf_counter()
        bulk.build(made, calls)
        rows.append(Row(f"{calls:,}: making the database, s", time.perf_counter() - began))
        made.rename(file)
    return file


@contextlib.contextmanager
def _asking(file: Path) -> Iterator[Callable[[str], str]]:
    """What a query finds in *file*."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        yield lambda sql: str(db.execute(sql).fetchone()[0])


def _filters(file: Path) -> dict[str, str]:
    """A value for each filter."""
    with _asking(file) as one:
        return {name: one(sql) for name, sql in FILTERS.items()}


def _addresses(file: Path, said: Mapping[str, str]) -> dict[str, str]:
    """Everything that is asked for, by its short name; filters have the values *said*."""
    with _asking(file) as one:
        found = {}
        for page in PAGES:
            found[page.name] = page.path
            queries = [{name: value} for name, value in said.items()]
            queries += [{"range": name} for name in RANGES]
            if page.name == "costs":
                queries += [{"by": name} for name in ("agent", "session")]
                found["savings"] = f"{page.path}/savings"
                found["savings?range=90d"] = f"{page.path}/savings?range=90d"
            if page.name == "calls":
                session = one("select session_id from llm_calls order by started_us desc limit 1")
                queries += [{"outcome": "failed"}, {"session": session}, {"kind": "all"}]
                queries += [{"q": "cache"}, {"q": "c*"}, {"q": '"compiler version" case1*'}]
                queries += [{"q": "compiler-ver*"}]
            for query in queries:
                name, value = next(iter(query.items()))
                short = f"{page.name}?{name}={value if name in ('range', 'q', 'by') else ''}"
                found[short] = f"{page.path}?{urlencode(query)}"
            if sql := ONE.get(page.name):
                found[f"{page.name}/one"] = f"{page.path}/{quote(one(sql), safe='')}"
        found["sessions/longest"] = f"{PREFIX}/sessions/{quote(one(LONGEST), safe='')}"
        call = one(ONE["calls"])
    for query in CANNED_QUERIES:
        given = "?" + urlencode({"call_id": call}) if ":call_id" in query.sql else ""
        found[f"sql: {query.name}"] = f"/{file.stem}/{query.name}{given}"
    table = f"/{file.stem}/llm_calls"
    found["table"] = table
    found["table, more facets"] = table + "?_facet=provider&_facet=model&_facet=agent_id"
    filters = {"provider": said["provider"], "model": said["model"], "agent_id": said["agent"]}
    for name, value in (filters | {"outcome": "error"}).items():
        found[f"table?{name}="] = f"{table}?{urlencode({name + '__exact': value})}"
    return found


def _ask_cold(one: Asked) -> None:
    for name, address in one.addresses.items():
        with _server(one.file) as server:
            _drop_from_memory(one.file)
            before = _reads(server.pid)
            one.took[name].cold = server.ask(address)
            one.took[name].reads = _reads(server.pid) - before
            _tell(f"{one.calls:,}: {name}, cold: {one.took[name].cold:,.0f} ms")


def _ask_warm(asked: Sequence[Asked], rounds: int) -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(_server(one.file)) for one in asked]
        for name in asked[0].addresses:
            for turn in range(1 + rounds):
                for one, server in zip(asked, servers, strict=True):
                    before = _worked_ms(server.pid)
                    took = server.ask(one.addresses[name])
                    if turn:  # the first makes it warm
                        one.took[name].warm.append(took)
                        one.took[name].worked.append(_worked_ms(server.pid) - before)
            said = [f"{quantile(one.took[name].warm, 0.95):,.0f} ms" for one in asked]
            _tell(f"{name}: {', '.join(said)}")
        for one, server in zip(asked, servers, strict=True):
            one.memory_mb = memory_mb(server.pid)


def _drop_from_memory(file: Path) -> None:
    """Tell the system that nobody needs the pages of *file*: the next to read them waits for disk.

    What it does about it is up to the system; a host below a virtual machine may still have them.
    """
    if hasattr(os, "posix_fadvise"):
        for one in (file, file.with_name(file.name + "-wal")):
            if one.exists():
                with one.open("rb") as opened:
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _reads(pid: int) -> int:
    """How often a process has read: from the file, hardly from anything else."""
    told = Path(f"/proc/{pid}/io").read_text().split()
    return int(told[told.index("syscr:") + 1])


def _tell(how_far: str) -> None:
    """Of a long run."""
    print(how_far, file=sys.stderr, flush=True)


def _rows(calls: int, found: dict[str, Timed]) -> list[Row]:
    rows = []
    for name, timed in found.items():
        rows.append(Row(f"{calls:,}: {name}, cold, ms", timed.cold, COLD))
        rows.append(Row(f"{calls:,}: {name}, reads when cold", timed.reads))
        p95 = quantile(timed.warm, 0.95)
        low, high = quantile(timed.warm, 0.25), quantile(timed.warm, 0.75)
        goal = next((goal for start, goal in SPECIAL.items() if name.startswith(start)), WARM)
        rows.append(Row(f"{calls:,}: {name}, p95, ms", p95, goal, low, high))
        worked = quantile(timed.worked, 0.5)
        rows.append(Row(f"{calls:,}: {name}, processor time, ms", worked, goal))
    return rows


def _growth(first: Timed, last: Timed) -> float:
    """By the least processor time: what is left when nothing disturbs."""
    return min(last.worked) / min(first.worked)


def _worked_ms(pid: int) -> float:
    """Processor time of all threads of a process, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in threads) / 1e6


class _Server:
    """Our web server, and a client that keeps its connection."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, token: str) -> None:
        self.pid = process.pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"authorization": f"Bearer {token}"}

    def ask(self, address: str) -> float:
        """Milliseconds until the last byte of the answer; `FAILED_MS` where it is none."""
        began = time.perf_counter()
        self._connection.request("GET", address, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status == 200:
            return took
        # The goal is missed, and said to be; the other pages are still asked for.
        print(f"{address} answered {answer.status}: {body[:300]!r}", file=sys.stderr, flush=True)
        return FAILED_MS


@contextlib.contextmanager
def _server(file: Path) -> Iterator[_Server]:
    """`python -m datasette_agenttrace` on *file*, as `start` runs it."""
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(home=Path(name), db=file, port=0, alerts=False)
        process = subprocess.Popen(
            [sys.executable, "-m", "datasette_agenttrace"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps(settings.told()) + "\n")
            process.stdin.flush()
            port = json.loads(process.stdout.readline())["port"]
            token = settings.token_file.read_text().strip()
            yield _Server(process, port, token)
        finally:
            process.terminate()
            process.wait()
