"""The recorder's service: takes frames on a 0600 socket, records, acknowledges.

Capture sends again what was not acknowledged, so an exchange may come twice: the second record
of an id changes nothing.  A capture process that goes away has a moment to come back before its
open exchanges are recorded as they are.
"""

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path

from ..clock import now_us
from ..errors import StoreError
from ..frames import (
    Ack,
    AnyFrame,
    Blind,
    Ended,
    FrameDecoder,
    Hello,
    Mark,
    Marked,
    Note,
    Remove,
    Removed,
    Settled,
    Submitted,
    encode,
)
from ..model import Exchange, Record
from ..pipeline import Pipeline
from ..scheduling import Corner, give_way
from ..store import BlindSpot, Event, KnownContent, Relink, Removal, Writer
from ..submissions import calls_told, events_told
from .assembly import Assembly, ExchangeFrame
from .link import Hearing, Link, serve
from .outcomes import Outcomes

log = logging.getLogger(__name__)

BREATH_S = 0.0001
"""Pause after a call, unless more wait: who wants the processor has it now, not in a few calls."""

GRACE_S = 2.0
HANG_UP_S = 2.0
SAFE_WITHIN_S = 15.0
"""Whoever asks whether what came before is safe has given up long before."""
RELINK_S = 5.0
"""How long calls wait for others to be placed again; without a database nobody does that."""
VISIBLE_AFTER_US = 1_000_000


class Service:
    """Connects capture processes with the pipeline and the writer."""

    def __init__(
        self,
        pipeline: Pipeline,
        known: KnownContent,
        writer: Writer,
        outcomes: Outcomes | None = None,
        corner: Corner | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._known = known
        self._writer = writer
        self._outcomes = outcomes
        self._corner = corner
        self._relinking: Relink | None = None  # the last one, perhaps still before the writer
        self._workers: dict[str, Assembly] = {}
        self._links: dict[str, Link] = {}
        self._waiting: dict[str, Link] = {}
        self._settling: dict[str, tuple[Link, Settled]] = {}
        self._submitted: dict[str, list[_Submission]] = {}
        self._shown: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: dict[Link, asyncio.Task[None]] = {}

    async def listen(self, path: Path) -> asyncio.Server:
        """Accept capture processes at *path*.  Raises `StoreError` when another recorder does."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _free(path)
        server = await serve(path, self._serve)
        path.chmod(0o600)
        self._spawn(self._show_running())
        return server

    def figures(self) -> dict[str, float]:
        """How recording fares."""
        return {
            **self._writer.figures(),
            "open_exchanges": sum(one.count for one in self._workers.values()),
            "workers": len(self._links),
        }

    @property
    def trouble(self) -> str:
        """What keeps calls from the database, in words; empty where nothing does."""
        return self._writer.trouble

    def saved(self, ids: Sequence[str]) -> None:
        """Tell capture that the calls *ids* are safe.  Runs in the event loop."""
        if self._outcomes:
            self._outcomes.saved(ids)
        by_link: dict[Link, list[str]] = {}
        for id_ in ids:
            self._settle(id_)
            for submission in self._submitted.pop(id_, ()):
                submission.saved(id_)
            if link := self._waiting.pop(id_, None):
                by_link.setdefault(link, []).append(id_)
        for link, safe in by_link.items():
            link.write(encode(Ack(safe)))

    def _settle(self, id_: str) -> None:
        """A turn is safe, and with it those before it: capture may forget their messages."""
        link, settled = self._settling.pop(id_, (None, None))
        if link and settled:
            link.write(encode(settled))

    async def hear_out(self, stop: asyncio.Event, timeout_s: float) -> None:
        """Wait until every capture process has hung up, unless told to *stop*."""
        hurry = asyncio.create_task(stop.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._serving and not hurry.done():
                    wanted = {hurry, *self._serving.values()}
                    await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()

    async def finish(self) -> None:
        """Hang up, and record what is still open: nothing more will be told of it."""
        for link in list(self._serving):
            link.close()
        if self._serving:
            await asyncio.wait(list(self._serving.values()), timeout=HANG_UP_S)
        for task in self._tasks:
            task.cancel()
        for worker in list(self._workers):
            self._lost(worker)

    async def _serve(self, hearing: Hearing, link: Link) -> None:
        task = asyncio.current_task()
        assert task
        self._serving[link] = task
        try:
            await self._listen_to(hearing, link)
        finally:
            del self._serving[link]

    async def _listen_to(self, hearing: Hearing, link: Link) -> None:
        decoder = FrameDecoder()
        worker = f"unnamed-{id(link)}"
        try:
            while data := await hearing.read():
                if self._corner:
                    self._corner.keep(hearing.late_s)
                for frame in decoder.feed(data):
                    if isinstance(frame, Hello):
                        worker = frame.worker
                        self._links[worker] = link
                        hearing.gather()
                    self._take(frame, worker, link)
                    if isinstance(frame, Ended) and not hearing.is_behind:
                        time.sleep(BREATH_S)
                # Acknowledgements get out between two reads of a busy connection, too.
                await asyncio.sleep(0)
        except (OSError, ValueError) as error:
            log.warning("capture %s is gone: %s", worker, error)
        finally:
            if self._links.get(worker) in (None, link):
                self._spawn(self._lost_unless_back(worker, link))
            link.close()

    def _take(self, frame: AnyFrame, worker: str, link: Link) -> None:
        match frame:
            case Hello() | Ack() | Settled() | Removed() | Marked():
                pass
            case Remove():
                self._remove(frame, link)
            case Note():
                self._writer.put(Event(frame.kind, frame.detail, frame.at_us))
            case Blind():
                spot = BlindSpot(frame.at_us, frame.host, frame.reason, frame.client)
                self._writer.put(spot)
            case Submitted():
                self._take_submission(frame, link)
            case Mark():
                self._spawn(self._tell_when_safe(frame, link))
            case _:
                self._take_exchange(frame, worker, link)

    def _take_submission(self, frame: Submitted, link: Link) -> None:
        records = calls_told(frame.calls, self._pipeline.tier)
        events = events_told(frame.events, self._pipeline.tier)
        give_way()
        ids = {record.call.id for record in records} | {event.id for event in events}
        submission = _Submission(frame.id, ids, link)
        for id_ in ids:
            self._submitted.setdefault(id_, []).append(submission)
        # Whoever sent them waits for an answer, and does not send more before.
        self._writer.put_all([*records, *events])
        give_way()

    async def _tell_when_safe(self, mark: Mark, link: Link) -> None:
        if await asyncio.to_thread(self._writer.settle, SAFE_WITHIN_S):
            link.write(encode(Marked(mark.id, self._writer.trouble)))

    def _take_exchange(self, frame: ExchangeFrame, worker: str, link: Link) -> None:
        assembly = self._workers.setdefault(worker, Assembly())
        turns = _turns(assembly, frame)
        for turn in turns:
            self._record(turn)
        if turns:
            settled = Settled(frame.id, assembly.settled(frame.id))
            self._settling[turns[-1].id] = (link, settled)
        if unread := assembly.unread(frame):
            self._writer.put(_blind_spot(unread))
        exchange = assembly.add(frame)
        if exchange:
            give_way()
            self._waiting[exchange.id] = link
            self._record(exchange)

    def _record(self, exchange: Exchange) -> None:
        self._shown.discard(exchange.id)
        for record in self._pipeline.records(exchange):
            if self._outcomes:
                self._outcomes.expect(record, exchange.credential_digests)
            self._write(record)
            self._known.remember(record)
            if record.awaited:
                self._relink(record.awaited)

    def _relink(self, ids: tuple[str, ...]) -> None:
        """Have calls placed again that came before one which they go on from.

        Nothing is placed meanwhile: it might go on from them.  This is rare, and takes a commit.
        While one still waits for the writer, as in an outage, the next ones are not waited for.
        """
        stalled = self._relinking is not None and not self._relinking.done.is_set()
        again = self._relinking = Relink(ids)
        self._writer.put(again, hurry=True)
        if not stalled and again.done.wait(RELINK_S):
            self._known.learn_again(again.placed)
        self._known.forget_prompts()

    def _remove(self, frame: Remove, link: Link) -> None:
        """Delete a trace: what was placed before is written then, and nothing is placed meanwhile.

        The writer always comes to an end with it; in an outage it says that it could not.
        """
        removal = Removal(frame.trace_id)
        if Path(frame.database).resolve() == self._writer.database.resolve():
            self._writer.put(removal, hurry=True)
            removal.done.wait()
        rows = None
        for gone in removal.gone:
            self._known.lose(gone.calls)
            self._pipeline.lose(gone.calls)
            rows = gone.rows
        link.write(encode(Removed(frame.id, rows)))

    def _write(self, record: Record) -> None:
        self._writer.put(record)  # waits when the store lags: capture keeps what we do not read

    async def _lost_unless_back(self, worker: str, link: Link) -> None:
        await asyncio.sleep(GRACE_S)
        if self._links.get(worker) in (None, link):
            self._links.pop(worker, None)
            self._lost(worker)

    def _lost(self, worker: str) -> None:
        assembly = self._workers.pop(worker, None)
        for exchange in assembly.lost(now_us()) if assembly else ():
            self._record(exchange)

    async def _show_running(self) -> None:
        """Give long calls a row while they run."""
        while True:
            await asyncio.sleep(0.5)
            for assembly in self._workers.values():
                for exchange in assembly.running(now_us() - VISIBLE_AFTER_US):
                    if exchange.id not in self._shown:
                        self._shown.add(exchange.id)
                        self._write(self._pipeline.in_flight(exchange))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _turns(assembly: Assembly, frame: ExchangeFrame) -> list[Exchange]:
    """The turns that *frame* ended; a socket that cannot be cut into turns has only itself."""
    try:
        return assembly.turns(frame)
    except Exception:  # as in `pipeline`: or capture would send it again, for ever
        if "pytest" in sys.modules:
            raise
        log.exception("a message of %s was not understood", frame.id)
        return []


def _blind_spot(socket: Exchange) -> BlindSpot:
    """A WebSocket that nobody can read: it has a row with its size, and no calls."""
    path = socket.target.partition("?")[0]
    client = f"{socket.caller.address} {socket.caller.process}".strip()
    reason = f"a WebSocket whose protocol we do not know: {path}"
    return BlindSpot(socket.started_us, socket.host, reason, client)


class _Submission:
    """Waits until everything of one `Submitted` is safe, then says so."""

    def __init__(self, id_: str, waiting: set[str], link: Link) -> None:
        self._id = id_
        self._waiting = waiting
        self._link = link

    def saved(self, id_: str) -> None:
        self._waiting.discard(id_)
        if not self._waiting:
            self._link.write(encode(Ack([self._id])))


def _free(path: Path) -> None:
    """Remove the socket of a recorder that died.  Raises `StoreError` when one is alive."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise StoreError(f"another recorder serves {path.parent.parent}", "Run: agenttrace-mitm stop")
