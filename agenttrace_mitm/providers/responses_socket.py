"""OpenAI Responses over a WebSocket, cut into turns.

`response.create` asks, a terminal event answers; responses of several `stream_id`s interleave,
those of one come in the order of asking.  A create may send only what is new and name the
response before it: the full input is put together again from what crossed this socket.
"""

from collections import deque
from dataclasses import dataclass

from ..model import Json, JsonObject, SocketMessage
from ..wire.jsonio import list_of, object_of, text_of
from .adapter import Route
from .responses_stream import ResponsesStream
from .turns import Draft, Turn, TurnReader, open_number_of

_TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


@dataclass(frozen=True, slots=True)
class _Told:
    """What one response added to its conversation, and the response that it went on from."""

    before: str
    items: tuple[Json, ...]


def responses_turns(route: Route) -> TurnReader | None:
    """A reader for sockets at `/responses`."""
    return ResponsesTurns() if route.path.endswith("/responses") else None


class ResponsesTurns:
    """Turns of a Responses socket."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Draft]] = {}
        self._running: dict[str, Draft] = {}
        self._told: dict[str, _Told] = {}

    def sent(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in what the client asks."""
        match event.get("type"):
            case "response.create":
                body = {k: v for k, v in event.items() if k not in ("type", "stream_id")}
                draft = Draft(message.number, message.at_us, body)
                stream = text_of(event.get("stream_id"))
                self._waiting.setdefault(stream, deque()).append(draft)
            case "response.steer":
                self._steer(event)
            case _:
                pass
        return []

    def received(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in what the server answers."""
        stream = self._stream(event)
        kind = text_of(event.get("type"))
        draft = self._running.get(stream)
        if draft is None:
            waiting = self._waiting.get(stream)
            if not waiting:
                return []
            draft = self._running[stream] = waiting.popleft()
        draft.add(message, event)
        if kind not in _TERMINAL:
            return []
        del self._running[stream]
        return [self._turn(draft, complete=True)]

    def open_number(self) -> int | None:
        """The first request that has not been answered."""
        return open_number_of(self._drafts())

    def close(self) -> list[Turn]:
        """What was asked and not answered to the end."""
        left = self._drafts()
        self._waiting.clear()
        self._running.clear()
        return [self._turn(draft, complete=False) for draft in left]

    def _drafts(self) -> list[Draft]:
        drafts = [*self._running.values(), *(d for w in self._waiting.values() for d in w)]
        return sorted(drafts, key=lambda draft: draft.number)

    def _stream(self, event: JsonObject) -> str:
        """The stream of an event; an error without one concerns the only request there is."""
        stream = text_of(event.get("stream_id"))
        if stream in self._running or self._waiting.get(stream):
            return stream
        busy = {*self._running, *(name for name, drafts in self._waiting.items() if drafts)}
        return busy.pop() if len(busy) == 1 else stream

    def _steer(self, event: JsonObject) -> None:
        """Input pushed into a running response is part of what it read."""
        wanted = text_of(event.get("previous_response_id"))
        for draft in self._running.values():
            running = {object_of(e.get("response")).get("id") for _, e in draft.events}
            if wanted in running:
                items = [*_items(draft.request.get("input")), *_items(event.get("input"))]
                draft.request["input"] = items

    def _turn(self, draft: Draft, *, complete: bool) -> Turn:
        """The turn with its whole input, remembered for those that go on from it."""
        before = text_of(draft.request.get("previous_response_id"))
        new = tuple(_items(draft.request.get("input")))
        request = dict(draft.request)
        if before in self._told:
            request["input"] = [*self._history(before), *new]
        answer = _folded(draft)
        response_id = text_of(answer.get("id"))
        if response_id:
            self._told[response_id] = _Told(before, (*new, *list_of(answer.get("output"))))
        return draft.turn(complete=complete, request=request)

    def _history(self, response_id: str) -> list[Json]:
        """Everything said up to and with a response, oldest first."""
        chain: list[_Told] = []
        seen: set[str] = set()
        while response_id in self._told and response_id not in seen:
            seen.add(response_id)
            chain.append(self._told[response_id])
            response_id = chain[-1].before
        return [item for told in reversed(chain) for item in told.items]


def _items(given: Json) -> list[Json]:
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list_of(given)


def _folded(draft: Draft) -> JsonObject:
    stream = ResponsesStream()
    for _, event in draft.events:
        stream.add("", event)
    return stream.whole()
