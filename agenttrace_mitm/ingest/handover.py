"""Hands events to the recorder and waits until they are safe; has it delete what shall go."""

import asyncio
import contextlib
from pathlib import Path

import msgspec

from ..clock import new_id
from ..frames import Ack, AnyFrame, FrameDecoder, Remove, Removed, Submitted, encode
from ..scheduling import give_way
from .events import Batch

PATIENCE_S = 10.0
REMOVAL_S = 60.0
"""A trace may have thousands of calls."""
MOST_KEPT = 4
"""Connections that are kept open with nothing to say: each has a thread in the recorder."""


class NotTaken(Exception):
    """The recorder is not there, or does not get them written now.  Sent again, they are safe."""


class Handover:
    """The way to the recorder at the socket *recorder*, of one event loop.

    A batch has a connection to itself until it is stored; the next batch then takes that one, for
    a new one costs both processes a tenth of what a batch does.
    """

    def __init__(self, recorder: Path, patience_s: float = PATIENCE_S) -> None:
        self._recorder = recorder
        self._patience_s = patience_s
        self._kept: list[_Connection] = []

    async def give(self, batch: Batch) -> None:
        """Returns once *batch* is stored.  Raises `NotTaken`."""
        if not batch.calls and not batch.events:
            return
        id_ = new_id()
        frame = Submitted(id_, msgspec.json.encode(batch.calls), msgspec.json.encode(batch.events))
        give_way()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._send(encode(frame), id_)
        except TimeoutError:
            raise NotTaken("The recorder could not write it in time") from None
        except OSError as error:
            raise NotTaken(f"No recorder takes it ({error or type(error).__name__})") from None

    async def remove(self, database: Path, trace_id: str) -> dict[str, int]:
        """Have a trace deleted by the recorder of *database*; the rows that went, by table.

        Nothing that it records after that goes on from it.  Raises `NotTaken`.
        """
        frame = Remove(new_id(), str(database.absolute()), trace_id)
        try:
            async with asyncio.timeout(REMOVAL_S):
                said = await self._send(encode(frame), frame.id)
        except TimeoutError:
            raise NotTaken("The recorder could not delete it in time") from None
        except OSError as error:
            raise NotTaken(f"No recorder does it ({error or type(error).__name__})") from None
        if not isinstance(said, Removed) or said.rows is None:
            raise NotTaken("The recorder cannot change that database now")
        return said.rows

    def close(self) -> None:
        """Hang up."""
        while self._kept:
            self._kept.pop().close()

    async def _send(self, frame: bytes, id_: str) -> AnyFrame:
        while self._kept:
            # Else that recorder has ended.  What comes to the next one again is stored once.
            with contextlib.suppress(ConnectionError):
                return await self._send_by(self._kept.pop(), frame, id_)
        loop = asyncio.get_running_loop()
        _, fresh = await loop.create_unix_connection(_Connection, str(self._recorder))
        return await self._send_by(fresh, frame, id_)

    async def _send_by(self, connection: "_Connection", frame: bytes, id_: str) -> AnyFrame:
        try:
            said = await connection.send(frame, id_)
        except BaseException:
            connection.close()  # what it still has to say is about this batch
            raise
        if len(self._kept) < MOST_KEPT:
            self._kept.append(connection)
        else:
            connection.close()
        return said


class _Connection(asyncio.Protocol):
    """Sends one frame at a time, and hears when that is done."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._waits: tuple[str, asyncio.Future[AnyFrame]] | None = None

    async def send(self, frame: bytes, id_: str) -> AnyFrame:
        """What the recorder says about *id_* once it is done.  Raises `ConnectionError`."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the recorder hung up")
        done: asyncio.Future[AnyFrame] = asyncio.get_running_loop().create_future()
        self._waits = id_, done
        self._transport.write(frame)
        return await done

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
        except ValueError:  # that is no recorder
            self.close()
            return
        if self._waits:
            id_, done = self._waits
            said = [one for one in frames if _is_about(one, id_)]
            if said and not done.done():
                done.set_result(said[0])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits and not self._waits[1].done():
            self._waits[1].set_exception(ConnectionResetError("the recorder hung up"))


def _is_about(frame: AnyFrame, id_: str) -> bool:
    return (isinstance(frame, Ack) and id_ in frame.ids) or (
        isinstance(frame, Removed) and frame.id == id_
    )
