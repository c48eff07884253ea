"""Tells open pages that something was recorded: server-sent events from one poller a process.

The poller asks SQLite on a connection of its own whether anybody else has written
(`pragma data_version`, a few microseconds), and whether the name is another file's now; it sleeps
while no page is open, and ends with the server: an open stream must not keep it from stopping.
Whether recording is in trouble is told as well: what nobody can write is heard of in no other way.
"""

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from agenttrace_mitm import health
from agenttrace_mitm.store.opening import identity

from .asking import arguments_of
from .page import PREFIX, site_of
from .site import Datasette

PATH = rf"^{PREFIX}/live$"
EVERY_S = 0.1
KEEPALIVE_S = 15.0
TROUBLES_TICKS = 20
"""Processes speak every two seconds."""

TICK_US = 10_000
"""By so much a file may have been written to later than it says."""
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)

type Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Poller:
    """Watches one file for as long as somebody listens."""

    file: str
    run_folder: Path
    listeners: set[asyncio.Event] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    ending: bool = False

    def join(self) -> asyncio.Event:
        """An event that is set whenever something was written."""
        heard = asyncio.Event()
        self.listeners.add(heard)
        if self.task is None or self.task.done():
            self.ending = False
            self.task = asyncio.create_task(self._watch(), name="agenttrace-live")
        return heard

    def leave(self, heard: asyncio.Event) -> None:
        """Listen no more; the last one stops the watch."""
        self.listeners.discard(heard)
        if not self.listeners and self.task:
            self.task.cancel()
            self.task = None

    async def _watch(self) -> None:
        db, watched = self._open(), identity(Path(self.file))
        try:
            before, troubled, ticks = _version(db), self._is_troubled(), 0
            while not stopping():
                await asyncio.sleep(EVERY_S)
                ticks += 1
                news = False
                now = identity(Path(self.file))
                if now not in (None, watched):
                    db.close()
                    db, watched, before = self._open(), now, None
                version = _version(db)
                if version != before:
                    before, news = version, True
                if ticks % TROUBLES_TICKS == 0 and self._is_troubled() != troubled:
                    troubled, news = not troubled, True
                if news:
                    self._tell()
        finally:
            db.close()
        self.ending = True
        self._tell()

    def _open(self) -> sqlite3.Connection:
        uri = f"file:{quote(self.file)}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    def _is_troubled(self) -> bool:
        return bool(health.troubles(health.told(self.run_folder)))

    def _tell(self) -> None:
        for heard in self.listeners:
            heard.set()


_pollers: WeakKeyDictionary[Datasette, Poller] = WeakKeyDictionary()


def poller(datasette: Datasette) -> Poller:
    """The one poller of *datasette*."""
    site = site_of(datasette)
    file = datasette.get_database(site.database).path
    return _pollers.setdefault(datasette, Poller(str(file), site.run_folder))


async def of_page(
    datasette: Datasette, request: Any, send: Send, receive: Callable[[], Awaitable[Any]]
) -> None:
    """The stream of a page that was asked for at `since`, microseconds."""
    said = arguments_of(request).get("since", "")
    since_us = int(said) if said.isdecimal() and len(said) < 18 else None
    await stream(datasette, send, receive, since_us)


async def stream(
    datasette: Datasette,
    send: Send,
    receive: Callable[[], Awaitable[Any]],
    since_us: int | None = None,
) -> None:
    """An event each time something was recorded; the first at once where that was after a time."""
    watched = poller(datasette)
    heard = watched.join()
    if since_us is not None and _written_us(watched.file) >= since_us - TICK_US:
        heard.set()
    gone = asyncio.create_task(_gone(receive), name="agenttrace-live-gone")
    try:
        await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        await _say(send, "retry: 2000\n\n")
        while not gone.done() and not watched.ending:
            waiting = asyncio.create_task(heard.wait())
            done, _ = await asyncio.wait(
                {waiting, gone}, timeout=KEEPALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            waiting.cancel()
            if waiting in done and not watched.ending:
                heard.clear()
                await _say(send, "event: recorded\ndata: {}\n\n")
            elif not done:
                await _say(send, ": still here\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
        watched.leave(heard)


def stopping() -> bool:
    """Whether the server in this process was told to stop; it would wait for our streams."""
    handler = signal.getsignal(signal.SIGINT)
    return bool(getattr(getattr(handler, "__self__", None), "should_exit", False))


def _written_us(file: str) -> int:
    """When *file* was last written to, microseconds."""
    times = [0]
    for part in (file, file + "-wal"):
        with contextlib.suppress(OSError):
            times.append(Path(part).stat().st_mtime_ns // 1000)
    return max(times)


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _version(db: sqlite3.Connection) -> int | None:
    """Another number after each write of others; nothing where the file cannot be read just now."""
    try:
        version: int = db.execute("pragma data_version").fetchone()[0]
    except sqlite3.Error:
        return None
    return version
