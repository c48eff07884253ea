"""Realtime events, folded into the response object they build up.

`response.done` carries the response; xAI leaves the contents of its items out of it, and they
are built from the deltas.
"""

from collections.abc import Callable, Mapping

from ..model import JsonObject
from ..wire.jsonio import list_of, object_of, text_of
from .responses_stream import ResponsesStream


class RealtimeStream(ResponsesStream):
    """Folds the events of one Realtime response, or of one transcription."""

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        match event.get("type"):
            case "response.done":
                self._response = object_of(event.get("response"))
                self.complete = self.usage_is_final = True
            case "conversation.item.input_audio_transcription.completed":
                self._response = {"heard": event}
                self.complete = self.usage_is_final = True
            case "response.output_audio.delta" | "response.audio.delta":
                return True  # the sound itself is not kept
            case _:
                return super().add(name, event)
        return False

    def whole(self) -> JsonObject:
        """The response as far as it came."""
        response = super().whole()
        if "heard" in response:
            del response["output"]
            return response
        spoken = {text_of(item.get("id")): item for item in map(self._item, self._items)}
        response["output"] = [
            _filled(object_of(item), spoken) for item in list_of(response.get("output"))
        ]
        return response

    def _add_item(self, kind: str, event: JsonObject) -> bool:
        item = object_of(event.get("item"))
        # xAI's finished items are as empty as its open ones: their pieces are all there is.
        said = item.get("content") or item.get("arguments")
        return super()._add_item(kind if said else "response.output_item.added", event)

    @staticmethod
    def _putters() -> Mapping[str, Callable[[JsonObject, str], None]]:
        return _PUT


def _filled(item: JsonObject, spoken: Mapping[str, JsonObject]) -> JsonObject:
    """*item*, with the contents that its deltas spelled where it has none."""
    if item.get("content") or item.get("arguments"):
        return item
    known = spoken.get(text_of(item.get("id")), {})
    return item | {k: v for k, v in known.items() if k in ("content", "arguments", "name")}


def _put_text(kind: str, key: str) -> Callable[[JsonObject, str], None]:
    def put(item: JsonObject, text: str) -> None:
        if not item.get("content"):
            item["content"] = [{"type": kind, key: text}]

    return put


def _put_arguments(item: JsonObject, text: str) -> None:
    item["arguments"] = item.get("arguments") or text


_PUT = {
    "response.output_text.delta": _put_text("output_text", "text"),
    "response.text.delta": _put_text("text", "text"),
    "response.output_audio_transcript.delta": _put_text("output_audio", "transcript"),
    "response.audio_transcript.delta": _put_text("audio", "transcript"),
    "response.function_call_arguments.delta": _put_arguments,
}
