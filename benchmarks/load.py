"""Numbered calls at a steady rate, and what became of each."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import traffic
from .client import Connection
from .instance import Instance

PATIENCE_S = 30.0
NUMBER = "n"
"""The tag that carries a call's number into the database."""


@dataclass
class Tally:
    """Which calls were sent, which answers were seen whole, which failed and why."""

    sent: int = 0
    seen: dict[int, float] = field(default_factory=dict)
    """When the end of each answer came."""
    failed: dict[int, str] = field(default_factory=dict)


class Load:
    """Clients that call until they are told to stop, each on a connection of its own."""

    def __init__(self, instance: Instance, clients: int, per_second: float) -> None:
        self.tally = Tally()
        self._instance = instance
        self.clients = clients
        self._pause_s = clients / per_second
        self._numbers: Iterator[int] = itertools.count()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to call."""
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self.clients)]

    async def stop(self) -> Tally:
        """Let the calls under way end; what happened."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        return self.tally

    async def _client(self) -> None:
        connection: Connection | None = None
        due = time.monotonic()
        while not self._stop.is_set():
            number = next(self._numbers)
            self.tally.sent += 1
            try:
                async with asyncio.timeout(PATIENCE_S):
                    if connection is None or connection.is_lost:
                        connection = await Connection.open(self._instance.route)
                    await self._call(connection, number)
            except OSError as error:
                self.tally.failed[number] = f"{type(error).__name__}: {error}"
                connection = None
            # By a schedule, so that the rate holds whatever a call takes; what a fault has held
            # up is not caught up on.
            due = max(due + self._pause_s, time.monotonic() - self._pause_s)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if connection:
            connection.close()

    async def _call(self, connection: Connection, number: int) -> None:
        streamed = number % 3 == 0
        question = [{"role": "user", "content": f"Question {number}"}]
        answer = await connection.call(
            traffic.request(question, streamed=streamed),
            "stream 12 5" if streamed else "whole",
            f"x-agenttrace-tag-{NUMBER}: {number}\r\n",
        )
        if answer.status == 200:
            self.tally.seen[number] = time.time()
        else:
            self.tally.failed[number] = f"status {answer.status}"
