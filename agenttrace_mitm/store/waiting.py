"""The queue before the writer: bounded by count and by what its items take in memory.

Whoever puts into a full one waits; the recorder then reads no further frames, and capture keeps
what it has not handed over, within its own bounds.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from ..model import Record

ITEMS = 2_000
BYTES = 64 * 1024 * 1024
BARE = "content was not kept: the spool was full"


class Waiting[T]:
    """Items on their way from one thread to one reader.  `weigh` says what an item takes, in bytes.

    What the reader has taken counts until it says `done`: it holds it as long as that.
    """

    def __init__(
        self, weigh: Callable[[T], int], *, items: int = ITEMS, limit_bytes: int = BYTES
    ) -> None:
        self._weigh = weigh
        self._most = items
        self._limit = limit_bytes
        self._items: deque[tuple[T, int]] = deque()  # with what each takes
        self._taken: deque[int] = deque()  # what those take that are not done
        self._bytes = 0
        self._since: deque[float] = deque()  # when each item came that is not done
        self._ended = False
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._some = threading.Condition(self._lock)
        self._hurry = threading.Event()

    @property
    def count(self) -> int:
        """Items that nobody has taken yet."""
        return len(self._items)

    @property
    def bytes(self) -> int:
        """What they take, those that the reader has in hand included."""
        return self._bytes

    @property
    def lag_s(self) -> float:
        """How long the oldest of them has waited; 0 when there is none."""
        try:
            return time.monotonic() - self._since[0]
        except IndexError:
            return 0.0

    def put(self, item: T, timeout_s: float | None = None, *, hurry: bool = False) -> bool:
        """Add *item*, whatever it takes when there is nothing else; False when it stayed full.

        Where there is a *hurry*, somebody waits until it is done.
        """
        return self.put_all((item,), timeout_s, hurry=hurry)

    def put_all(
        self, items: Sequence[T], timeout_s: float | None = None, *, hurry: bool = False
    ) -> bool:
        """Add *items*, all of them or, where there stayed no room for all, none; as `put`."""
        sizes = list(map(self._weigh, items))
        size, number = sum(sizes), len(sizes)
        with self._lock:
            if not self._fits(size, number) and not self._room.wait_for(
                lambda: self._fits(size, number), timeout_s
            ):
                return False
            self._bytes += size
            self._since.extend([time.monotonic()] * number)
            self._items.extend(zip(items, sizes, strict=True))
            self._some.notify()
        if hurry:
            self._hurry.set()
        return True

    def end(self) -> None:
        """Nothing more comes."""
        with self._lock:
            self._ended = True
            self._some.notify()
        self._hurry.set()

    def take(self, most: int, patience_s: float, gather_s: float = 0.0) -> tuple[list[T], bool]:
        """Up to *most* items, and whether the end has come.

        The first is waited for, and then, unless there is a hurry, those of the next *gather_s*.
        """
        with self._lock:
            some = self._some.wait_for(lambda: self._items or self._ended, patience_s)
            enough = not some or self._ended or len(self._items) >= most
        if not enough:
            self._hurry.wait(gather_s)
        self._hurry.clear()
        with self._lock:
            found: list[T] = []
            while self._items and len(found) < most:
                item, size = self._items.popleft()
                found.append(item)
                self._taken.append(size)
            self._room.notify_all()
            return found, self._ended and not self._items

    def done(self, items: Sequence[T]) -> None:
        """The reader holds *items* no longer."""
        with self._lock:
            for _ in items:
                self._since.popleft()
                self._bytes -= self._taken.popleft()
            self._room.notify_all()

    def _fits(self, size: int, number: int) -> bool:
        if self._items and len(self._items) + number > self._most:
            return False
        return not self._bytes or self._bytes + size <= self._limit


def weight(record: Record) -> int:
    """About how many bytes of content *record* holds; its figures are not worth counting."""
    payload = record.payload
    if payload is None and not record.messages:
        return 0
    found = 2 * sum(len(message.text or "") for message in record.messages)
    if payload:
        found += len(payload.request_body or b"") + len(payload.response_body or b"")
        found += sum(len(medium.data or b"") for medium in payload.media)
    return found


def bare(record: Record) -> Record:
    """*record* without what people and models said: its figures, ids and names."""
    notes = record.call.notes if isinstance(record.call.notes, list) else []
    return record.model_copy(
        update={
            "call": record.call.model_copy(update={"notes": [*notes, BARE]}),
            "messages": tuple(
                one.model_copy(update={"content": None, "text": None}) for one in record.messages
            ),
            "tool_calls": tuple(
                one.model_copy(update={"arguments": None, "calls_inside": None})
                for one in record.tool_calls
            ),
            "tool_results": tuple(
                one.model_copy(update={"result": None}) for one in record.tool_results
            ),
            "payload": None,
        }
    )
