"""Hands events to the recorder and waits until they are safe."""

import asyncio
from pathlib import Path

import msgspec

from ..clock import new_id
from ..frames import Ack, FrameDecoder, Submitted, encode
from .events import Batch

PATIENCE_S = 10.0
READ_BYTES = 64 * 1024


class NotTaken(Exception):
    """The recorder is not there, or does not get them written now.  Sent again, they are safe."""


async def hand_over(batch: Batch, recorder: Path, patience_s: float = PATIENCE_S) -> None:
    """Give *batch* to the recorder at the socket *recorder*; returns once it is stored.

    Raises `NotTaken`.
    """
    if not batch.calls and not batch.events:
        return
    id_ = new_id()
    frame = Submitted(id_, msgspec.json.encode(batch.calls), msgspec.json.encode(batch.events))
    try:
        async with asyncio.timeout(patience_s):
            await _exchange(encode(frame), id_, recorder)
    except TimeoutError:
        raise NotTaken("The recorder could not write it in time") from None
    except (OSError, ValueError) as error:
        raise NotTaken(f"No recorder takes it ({error or type(error).__name__})") from None


async def _exchange(frame: bytes, id_: str, recorder: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(recorder)
    try:
        writer.write(frame)
        await writer.drain()
        decoder = FrameDecoder()
        while data := await reader.read(READ_BYTES):
            if any(isinstance(one, Ack) and id_ in one.ids for one in decoder.feed(data)):
                return
        raise ConnectionResetError("the recorder hung up")
    finally:
        writer.close()
