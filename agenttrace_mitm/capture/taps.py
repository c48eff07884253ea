"""Taps in the flow of a body: each piece goes on as it came, and a copy is handed over."""

from collections.abc import Callable

from .complaints import harmless
from .handover import Handover
from .held import Held


class Watch:
    """One exchange under way."""

    __slots__ = (
        "announced",
        "ended",
        "held",
        "late",
        "may_have_trailers",
        "request_size",
        "response_size",
        "run",
    )

    def __init__(self, held: Held, run: str = "") -> None:
        self.held = held
        self.run = run
        self.request_size = 0
        self.response_size = 0
        self.announced = -1  # the response's Content-Length, -1 when it has none
        self.ended = False
        self.may_have_trailers = False
        self.late: Callable[[], dict[str, str]] | None = None
        """Tells the caller again at the end: the process was not known at the beginning."""


class RequestTap:
    """Hands a copy of each piece of a request body over."""

    __slots__ = ("_handover", "_watch")

    def __init__(self, handover: Handover, watch: Watch) -> None:
        self._handover = handover
        self._watch = watch

    def __call__(self, data: bytes) -> bytes:
        """The piece, as it came."""
        if data:
            self._copy(data)
        return data

    @harmless
    def _copy(self, data: bytes) -> None:
        watch = self._watch
        watch.request_size += len(data)
        if not watch.ended:
            self._handover.put_request(watch.held, data)


class ResponseTap:
    """Hands a copy of each piece of a response body over."""

    __slots__ = ("_handover", "_watch", "_when_whole")

    def __init__(
        self, handover: Handover, watch: Watch, when_whole: Callable[[Watch], None]
    ) -> None:
        self._handover = handover
        self._watch = watch
        self._when_whole = when_whole

    def __call__(self, data: bytes) -> bytes:
        """The piece, as it came."""
        if data:
            self._copy(data)
        return data

    @harmless
    def _copy(self, data: bytes) -> None:
        watch = self._watch
        watch.response_size += len(data)
        if watch.ended:
            return
        self._handover.put_response(watch.held, data)
        if watch.response_size == watch.announced:
            # The client is about to see the last byte: first the copy has to be out of our hands.
            self._when_whole(watch)
