"""Brings frames to the recorder, and keeps them until they are acknowledged.

Nobody waits for it: `put` stores a frame and at most tries a write that cannot block.  After a
reconnect everything unacknowledged is sent again; ids make the repeat harmless.  Memory is
bounded: an exchange keeps so many body bytes, all of them together so many; beyond that bodies
go first, oldest first, and whole exchanges only when nothing else is left.
"""

import asyncio
import contextlib
import logging
import os
import secrets
from collections import deque
from pathlib import Path

from msgspec import structs

from ..clock import new_id, now_us
from ..frames import (
    PROTOCOL,
    Ack,
    Blind,
    Ended,
    Frame,
    FrameDecoder,
    Hello,
    Mark,
    Marked,
    Message,
    Note,
    RequestData,
    RequestEnded,
    RequestTail,
    ResponseData,
    ResponseTail,
    Settled,
    encode,
)
from .drops import Drops
from .held import Held
from .tails import Tail, tail_of

log = logging.getLogger(__name__)

EXCHANGE_BYTES = 16 * 1024 * 1024
TOTAL_BYTES = 256 * 1024 * 1024
FOLLOW_BYTES = 256 * 1024
"""A compressed answer longer than that is decoded as it comes, lest its end cannot be read."""

SETUP_BYTES = 256 * 1024
"""The first messages of a WebSocket, which later turns are not understood without."""

MAX_REPORTS = 1000
"""Notes and blind spots kept while there is no recorder; the oldest go first."""

WRITE_AT_ONCE = 64 * 1024
"""Body bytes that do not wait for more."""

GATHER_S = 0.05
"""How long frames may wait for others before they are written together: each write wakes the
recorder, which the program's streams would wait for.  Nothing that completes a call waits: should
capture be killed, the calls that were under way break off for their clients too.
"""

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0


class Handover:
    """Frames in, acknowledgements back, over the unix socket at *path*.

    Make it and call `start` inside the running loop.
    """

    def __init__(
        self,
        path: Path,
        *,
        exchange_bytes: int = EXCHANGE_BYTES,
        total_bytes: int = TOTAL_BYTES,
    ) -> None:
        self._path = path
        self._exchange_bytes = exchange_bytes
        self._total_bytes = total_bytes
        self._held: dict[str, Held] = {}
        self._with_bodies: dict[str, Held] = {}
        self._total = 0
        self.drops = Drops()
        """What did not find room."""
        self._warned = False
        self._reports: deque[bytes] = deque(maxlen=MAX_REPORTS)
        self._unsent: deque[Held] = deque()
        self._marks: dict[str, asyncio.Future[str]] = {}
        self._unsent_marks: list[str] = []
        self._hello = encode(Hello(PROTOCOL, f"{os.getpid()}-{secrets.token_hex(4)}", os.getpid()))
        self._loop = asyncio.get_running_loop()
        self._link: asyncio.Transport | None = None
        self._paused = False
        self._flush_is_due = False
        self._connecting: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pending(self) -> int:
        """Exchanges that the recorder has not acknowledged."""
        return len(self._held)

    @property
    def kept_bytes(self) -> int:
        """What they take."""
        return self._total

    @property
    def lag_s(self) -> float:
        """How long the first of them that has ended waits; 0 when none does."""
        for held in self._held.values():
            if held.ended is not None:
                return max(0.0, (now_us() - held.ended.at_us) / 1e6)
        return 0.0

    def start(self) -> None:
        """Look for the recorder, from now on."""
        self._connecting = self._loop.create_task(self._connect(), name="handover")

    async def settle(self, timeout_s: float) -> str:
        """Wait until the recorder has safe what was handed over so far, reports too.

        Returns what keeps it from the database, in the recorder's words; "" where nothing does.
        Raises `TimeoutError`.
        """
        id_ = new_id()
        done: asyncio.Future[str] = self._loop.create_future()
        self._marks[id_] = done
        self._unsent_marks.append(id_)
        self.flush()
        try:
            async with asyncio.timeout(timeout_s):
                return await done
        finally:
            del self._marks[id_]

    async def close(self, timeout_s: float) -> None:
        """Give the recorder *timeout_s* to take what is held, then hang up."""
        self._reports.extend(encode(note) for note in self.drops.notes(now=True))
        self.flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        if self._held:
            log.warning("%d calls were not taken by the recorder", len(self._held))
        if self._connecting:
            self._connecting.cancel()
        link, self._link = self._link, None
        if link:
            link.close()

    def open(self, id_: str, frame: Frame) -> Held:
        """Begin an exchange with its first frame."""
        held = Held(id_)
        self._held[id_] = held
        self._idle.clear()
        self.put(held, frame)
        return held

    def put(self, held: Held, frame: Frame) -> None:
        """Hand over a frame of an exchange."""
        self._keep(held, encode(frame), now=False)

    def put_request(self, held: Held, data: bytes) -> None:
        """Hand over a piece of the request body, or count it as dropped when there is no room."""
        # A quarter of the room stays for the answer, however large the question.
        fits = held.body_bytes + len(data) <= self._exchange_bytes * 3 // 4
        if held.request_cut or not fits:
            held.request_cut = True  # what is kept is the beginning, without a hole
            held.dropped += len(data)
            if tail := self._request_tail(held):
                tail.add(data)
                self._resize(held)
            return
        self._put_body(held, RequestData(held.id, now_us(), data), len(data))

    def put_response(self, held: Held, data: bytes) -> None:
        """The same for a piece of the response body.  Its end is kept as well."""
        fits = held.body_bytes + len(data) <= self._exchange_bytes
        if held.response_cut or not fits:
            held.response_cut = True
            held.dropped += len(data)
            if tail := self._response_tail(held):
                tail.add(data)
                self._resize(held)
            return
        self._put_body(held, ResponseData(held.id, now_us(), data), len(data))
        held.response_bytes += len(data)
        if held.response_bytes > FOLLOW_BYTES:
            if held.response_tail:
                held.response_tail.skip(data)
            else:
                self._response_tail(held)

    def put_message(self, held: Held, *, from_client: bool, is_text: bool, data: bytes) -> None:
        """The same for a message on a WebSocket.

        The first messages, which set the session up, stay until it ends; later ones only until
        the recorder has the turns that they belong to.
        """
        number = held.messages
        held.messages += 1
        if held.body_bytes + len(data) > self._exchange_bytes:
            held.dropped += len(data)
            return
        if held.body_bytes > SETUP_BYTES:
            held.later.append((number, len(held.frames), len(data)))
        frame = Message(held.id, number, now_us(), from_client, is_text, data)
        self._put_body(held, frame, len(data))

    def settled(self, id_: str, number: int) -> None:
        """Forget the messages of a socket below *number*: their turns are safe."""
        held = self._held.get(id_)
        if held is None:
            return
        gone = {index: size for n, index, size in held.later if n < number and index < held.sent}
        if not gone:
            return
        before = held.size
        moved = {
            old: new for new, old in enumerate(i for i in range(len(held.frames)) if i not in gone)
        }
        held.sent -= len(gone)
        held.frames = [held.frames[index] for index in moved]
        held.bodies = [moved[index] for index in held.bodies if index in moved]
        held.later = [(n, moved[index], size) for n, index, size in held.later if index in moved]
        held.body_bytes -= sum(gone.values())
        held.size = sum(map(len, held.frames))
        self._total += held.size - before

    def _request_tail(self, held: Held) -> Tail | None:
        if held.request_headers is not None and held.id in self._held:
            held.request_tail = tail_of(held.request_headers)
            held.request_headers = None  # made once, or never
            self._catch_up(held, held.request_tail, RequestData)
        return held.request_tail

    def _response_tail(self, held: Held) -> Tail | None:
        if held.response_headers is not None and held.id in self._held:
            held.response_tail = tail_of(held.response_headers)
            held.response_headers = None
            self._catch_up(held, held.response_tail, ResponseData)
        return held.response_tail

    @staticmethod
    def _catch_up(held: Held, tail: Tail | None, kind: type[Frame]) -> None:
        """Have *tail* read what is kept of its body already, if it has to."""
        if tail is None or not tail.is_decoded:
            return
        for index in held.bodies:
            for frame in FrameDecoder().feed(held.frames[index]):
                if isinstance(frame, kind) and isinstance(frame, RequestData | ResponseData):
                    tail.skip(frame.data)

    def _take_tail(self, held: Held, tail: Tail, size: int) -> tuple[int, bytes]:
        offset, last = tail.take(size)
        self._resize(held)
        if not tail.is_decoded:
            held.dropped -= len(last)
        return offset, last

    def _resize(self, held: Held) -> None:
        size = sum(tail.size for tail in (held.request_tail, held.response_tail) if tail)
        grown, held.tail_bytes = size - held.tail_bytes, size
        held.size += grown
        self._total += grown

    def _put_body(self, held: Held, frame: Frame, size: int) -> None:
        held.bodies.append(len(held.frames))
        held.body_bytes += size
        self._with_bodies[held.id] = held
        self._keep(held, encode(frame), now=size > WRITE_AT_ONCE)

    def end_request(self, held: Held, frame: RequestEnded) -> None:
        """Hand over that the request is complete, and its end, if that is all there is of it."""
        if (tail := held.request_tail) and tail.size:
            offset, last = self._take_tail(held, tail, frame.size)
            if last:
                end = RequestTail(held.id, now_us(), offset, last, tail.unquoted)
                self._put_body(held, end, len(last))
        self.put(held, frame)

    def end(self, held: Held, frame: Ended) -> None:
        """Hand over the last frame of an exchange, before its client sees the end."""
        if (tail := held.response_tail) and tail.size:
            offset, last = self._take_tail(held, tail, frame.size)
            if last:
                end = ResponseTail(held.id, now_us(), offset, last, tail.unquoted)
                self._put_body(held, end, len(last))
            frame = structs.replace(frame, dropped_bytes=held.dropped)
        if held.request_tail and held.request_tail.size:  # of a request that did not end
            held.request_tail.drop()
            self._resize(held)
        if held.dropped and not held.stripped:
            self.drops.cut(held.dropped)
        held.ended = frame
        self._keep(held, encode(frame), now=True)

    def report(self, frame: Note | Blind) -> None:
        """Hand over what belongs to no exchange.  It is not acknowledged."""
        self._reports.append(encode(frame))
        self._flush_soon()

    def flush(self) -> None:
        """Write what is not written yet, as far as that is possible without waiting."""
        link = self._link
        if link is None or self._paused:
            return
        batch: list[bytes] = [encode(note) for note in self.drops.notes()]
        while self._reports:
            batch.append(self._reports.popleft())
        while self._unsent:
            held = self._unsent.popleft()
            batch += held.frames[held.sent :] if held.sent else held.frames
            held.sent = len(held.frames)
        batch += [encode(Mark(id_)) for id_ in self._unsent_marks if id_ in self._marks]
        self._unsent_marks.clear()
        if batch:
            # The transport tries the socket at once: what it takes survives a kill of ours.  Of
            # the rest asyncio copies bytes again at each further try, but not a view of them.
            link.write(memoryview(batch[0] if len(batch) == 1 else b"".join(batch)))

    def _keep(self, held: Held, encoded: bytes, *, now: bool) -> None:
        if held.id not in self._held:
            return  # given up, or acknowledged by a recorder that had seen enough
        if held.sent == len(held.frames):
            self._unsent.append(held)
        held.frames.append(encoded)
        held.size += len(encoded)
        self._total += len(encoded)
        if self._total > self._total_bytes:
            self._make_room()
        if now:
            self.flush()
        else:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_is_due and self._link is not None:
            self._flush_is_due = True
            self._loop.call_later(GATHER_S, self._flush_due)

    def _flush_due(self) -> None:
        self._flush_is_due = False
        self.flush()

    def _make_room(self) -> None:
        """Let content go before rows, and old before new."""
        while self._total > self._total_bytes and self._with_bodies:
            self._drop_bodies(next(iter(self._with_bodies.values())))
        while self._total > self._total_bytes and len(self._held) > 1:
            self._forget(next(iter(self._held)))
            self.drops.lost()
            if not self._warned:
                self._warned = True
                log.warning("no recorder for long: calls are being forgotten")

    def _drop_bodies(self, held: Held) -> None:
        del self._with_bodies[held.id]
        before = held.size
        gone = set(held.bodies)
        written = held.sent
        held.sent -= sum(1 for index in held.bodies if index < written)
        held.frames = [frame for index, frame in enumerate(held.frames) if index not in gone]
        held.bodies = []
        held.later = []
        held.request_headers = held.response_headers = None
        held.request_tail = held.response_tail = None
        held.tail_bytes = 0
        held.stripped = True
        held.dropped += held.body_bytes
        self.drops.stripped(held.body_bytes)
        held.body_bytes = 0
        held.request_cut = held.response_cut = True
        if held.ended is not None:
            held.ended = structs.replace(held.ended, dropped_bytes=held.dropped)
            held.frames[-1] = encode(held.ended)
        held.size = sum(map(len, held.frames))
        self._total += held.size - before

    def _forget(self, id_: str) -> None:
        held = self._held.pop(id_, None)
        if held is None:
            return
        self._with_bodies.pop(id_, None)
        self._total -= held.size
        held.frames = []
        held.sent = 0
        if held in self._unsent:
            self._unsent.remove(held)
        if not self._held:
            self._idle.set()

    # The link: an asyncio protocol's callbacks, and the task that makes a new one.

    async def _connect(self) -> None:
        while True:
            delay = FIRST_RETRY_S
            while self._link is None:
                try:
                    await self._loop.create_unix_connection(lambda: _Link(self), str(self._path))
                except OSError:
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LAST_RETRY_S)
            self._gone.clear()
            await self._gone.wait()

    def connected(self, link: asyncio.Transport) -> None:
        """Say hello, and everything that has not been acknowledged."""
        self._link, self._paused = link, False
        link.set_write_buffer_limits(high=4 * 1024 * 1024)
        link.write(self._hello)
        self._reports.extend(encode(note) for note in self.drops.notes(now=True))
        self._warned = False
        for held in self._held.values():
            held.sent = 0
        self._unsent = deque(held for held in self._held.values() if held.frames)
        self._unsent_marks = list(self._marks)
        self.flush()

    def disconnected(self, link: asyncio.Transport | None) -> None:
        """The recorder has gone; hold everything until it is back."""
        if self._link is link:
            self._link = None
            self._gone.set()

    def acknowledged(self, ids: list[str]) -> None:
        """Forget what the recorder has safe."""
        for id_ in ids:
            self._forget(id_)

    def marked(self, id_: str, trouble: str) -> None:
        """What came before a mark is safe, in the database unless there is *trouble*."""
        if (mark := self._marks.get(id_)) and not mark.done():
            mark.set_result(trouble)

    def pause(self, paused: bool) -> None:
        """Hold back while the recorder does not read; write again when it does."""
        self._paused = paused
        if not paused:
            self.flush()


class _Link(asyncio.Protocol):
    """One connection to the recorder."""

    def __init__(self, handover: Handover) -> None:
        self._handover = handover
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._handover.connected(transport)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
        except ValueError:
            log.warning("the recorder said something that is not a frame")
            assert self._transport
            self._transport.abort()
            return
        for frame in frames:
            if isinstance(frame, Ack):
                self._handover.acknowledged(frame.ids)
            elif isinstance(frame, Settled):
                self._handover.settled(frame.id, frame.number)
            elif isinstance(frame, Marked):
                self._handover.marked(frame.id, frame.trouble)

    def connection_lost(self, error: Exception | None) -> None:
        self._handover.disconnected(self._transport)

    def pause_writing(self) -> None:
        self._handover.pause(True)

    def resume_writing(self) -> None:
        self._handover.pause(False)
