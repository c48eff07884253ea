"""OpenAI Realtime, and who speaks like it (Azure, xAI), cut into turns.

`response.created` opens a turn and `response.done` ends it.  What the model reads is the
conversation that the socket holds: items come, get their transcripts, and go.  Transcribing what
a person said is billed apart, at the transcriber's price, and so is a turn of its own.
"""

from collections import deque

from ..model import Json, JsonObject, SocketMessage
from ..wire.jsonio import list_of, object_of, text_of
from .adapter import Route
from .realtime_stream import RealtimeStream
from .turns import Draft, Turn, TurnReader, open_number_of

_HEARD = "conversation.item.input_audio_transcription.completed"
# What a session says about itself that is no part of a request, or is a credential.
_NOT_ASKED = ("id", "object", "client_secret", "expires_at", "input")


def realtime_turns(route: Route) -> TurnReader | None:
    """A reader for sockets at `/realtime`."""
    return RealtimeTurns(route) if route.path.endswith("/realtime") else None


class RealtimeTurns:
    """Turns of a Realtime socket."""

    def __init__(self, route: Route) -> None:
        self._model = route.query.get("model") or route.query.get("deployment", "")
        self._session: JsonObject = {}
        self._items: dict[str, JsonObject] = {}
        self._asked: deque[Draft] = deque()
        self._heard_us = 0
        self._open: dict[str, Draft] = {}

    def sent(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in what the client sets up, says and asks."""
        match event.get("type"):
            case "session.update":
                self._session |= object_of(event.get("session"))
            case "conversation.item.create":
                item = object_of(event.get("item"))
                self._items[text_of(item.get("id")) or f"own:{message.number}"] = item
            case "response.create":
                asked = object_of(event.get("response"))
                self._asked.append(Draft(message.number, message.at_us, asked))
            case _:
                pass
        return []

    def received(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in what the server tells."""
        kind = text_of(event.get("type"))
        match kind:
            case "response.created":
                self._begin(message, event)
            case "response.done":
                return self._end(message, event)
            case "error":
                return self._fail(message, event)
            case "session.created" | "session.updated" | "transcription_session.updated":
                self._session |= object_of(event.get("session"))
            case "input_audio_buffer.committed":
                self._heard_us = message.at_us
            case "conversation.item.deleted":
                self._items.pop(text_of(event.get("item_id")), None)
            case _ if kind == _HEARD:
                return self._hear(message, event)
            case _ if isinstance(event.get("item"), dict) and "response_id" not in event:
                self._put(object_of(event.get("item")))
            case _:
                if draft := self._open.get(text_of(event.get("response_id"))):
                    draft.add(message, event)
        return []

    def open_number(self) -> int | None:
        """The first request that has not been answered."""
        return open_number_of([*self._open.values(), *self._asked])

    def close(self) -> list[Turn]:
        """What was asked and not answered to the end."""
        left = [*self._open.values(), *self._asked]
        for draft in self._asked:
            draft.request = self._request(draft.request)
        self._open.clear()
        self._asked.clear()
        return [draft.turn(complete=False) for draft in left]

    def _begin(self, message: SocketMessage, event: JsonObject) -> None:
        asked = self._asked.popleft() if self._asked else None
        started_us = asked.started_us if asked else self._heard_us or message.at_us
        request = self._request(asked.request if asked else {})
        draft = Draft(asked.number if asked else message.number, started_us, request)
        self._heard_us = 0
        draft.add(message, event)
        self._open[text_of(object_of(event.get("response")).get("id"))] = draft

    def _end(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        response = object_of(event.get("response"))
        draft = self._open.pop(text_of(response.get("id")), None)
        if draft is None:
            draft = Draft(message.number, message.at_us, self._request({}))
        draft.add(message, event)
        for item in list_of(_folded(draft).get("output")):
            self._put(object_of(item))
        return [draft.turn()]

    def _fail(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """An error is the answer to a request that did not come to a response."""
        if not self._asked:
            return []
        draft = self._asked.popleft()
        draft.request = self._request(draft.request)
        draft.add(message, event)
        return [draft.turn()]

    def _hear(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        item = self._items.get(text_of(event.get("item_id")))
        if item is not None:
            _transcribe(item, event)
        if not isinstance(event.get("usage"), dict):
            return []
        audio = object_of(object_of(self._session.get("audio")).get("input"))
        told = object_of(audio.get("transcription"))
        told = told or object_of(self._session.get("input_audio_transcription"))
        draft = Draft(message.number, message.at_us, {"model": told.get("model")})
        draft.add(message, event)
        return [draft.turn(kind="transcription")]

    def _request(self, asked: JsonObject) -> JsonObject:
        """The session's settings, what this response asks for instead, and the conversation."""
        session = {k: v for k, v in self._session.items() if k not in _NOT_ASKED}
        items: Json = list(self._items.values())
        model = text_of(session.get("model")) or self._model
        return {**session, "model": model, "input": items, **asked}

    def _put(self, item: JsonObject) -> None:
        """The item as the server has it now, in the place where the client had put it."""
        item_id = text_of(item.get("id"))
        known = self._items.get(item_id)
        if known is not None:
            if item.get("content") or item.get("arguments") or not known.get("content"):
                self._items[item_id] = known | item
            return
        mine = next((key for key, own in self._items.items() if _is_same(key, own, item)), None)
        if mine is None:
            self._items[item_id] = item
        else:
            self._items = {(item_id if k == mine else k): v for k, v in self._items.items()}


def _is_same(key: str, own: JsonObject, item: JsonObject) -> bool:
    """Whether the server's *item* is one that the client sent without an id."""
    names = ("type", "role", "call_id")
    return key.startswith("own:") and all(
        own.get(name) is None or own.get(name) == item.get(name) for name in names
    )


def _transcribe(item: JsonObject, event: JsonObject) -> None:
    index = event.get("content_index")
    content = list_of(item.get("content"))
    if isinstance(index, int) and 0 <= index < len(content) and isinstance(content[index], dict):
        content[index]["transcript"] = event.get("transcript")


def _folded(draft: Draft) -> JsonObject:
    stream = RealtimeStream()
    for _, event in draft.events:
        stream.add("", event)
    return stream.whole()
