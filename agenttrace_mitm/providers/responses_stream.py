"""Streamed Responses events, folded into the response object they build up.

A terminal event carries the whole response, and its output wins where it is not empty.  Before
that, items that are `done` are authoritative, and items still open are built from their deltas.
"""

from collections.abc import Callable, Mapping

from ..model import Json, JsonObject
from ..wire.jsonio import list_of, object_of, text_of

_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


class ResponsesStream:
    """Folds `response.*` events into one response."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._response: JsonObject = {}
        self._items: dict[int, JsonObject] = {}
        self._pieces: dict[tuple[int, str, int], list[str]] = {}
        self._index_of: dict[str, int] = {}
        self._error: JsonObject | None = None

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        kind = text_of(event.get("type")) or name
        if kind.endswith(".delta"):
            return self._add_delta(kind, event)
        match kind:
            case "response.output_item.added" | "response.output_item.done":
                return self._add_item(kind, event)
            case "error":
                # The error stands in the event itself, or, as on WebSockets, in its `error`.
                fields = {k: event.get(k) for k in ("code", "message", "param")}
                self._error = object_of(event.get("error")) or fields
                self.complete = True
            case "" if "object" in event or "error" in event:
                self._response |= event
                self.complete = True
            case _:
                response = event.get("response")
                if isinstance(response, dict):
                    self._response = response
                if kind in _TERMINAL:
                    self.complete = self.usage_is_final = True
        return False

    def done(self) -> None:
        """Some compatible servers end with `[DONE]`; the terminal event is what counts."""

    def whole(self) -> JsonObject:
        """The response as far as it came."""
        response = dict(self._response)
        if not response.get("output"):
            response["output"] = [self._item(index) for index in sorted(self._items)]
        if self._error is not None:
            response["error"] = self._error
            response["status"] = "failed"
        return response

    def _add_item(self, kind: str, event: JsonObject) -> bool:
        """Takes an item in; true for a call, whose name the model has made."""
        item = object_of(event.get("item"))
        index = self._index(event, item)
        self._items[index] = item
        item_id = item.get("id")
        if isinstance(item_id, str):
            self._index_of[item_id] = index
        if kind.endswith(".done"):
            for key in [key for key in self._pieces if key[0] == index]:
                del self._pieces[key]
        return bool(item.get("name"))

    def _add_delta(self, kind: str, event: JsonObject) -> bool:
        delta = event.get("delta")
        if not isinstance(delta, str):
            return False
        index = self._index(event, {})
        part = event.get("content_index", event.get("summary_index", 0))
        part = part if isinstance(part, int) else 0
        self._pieces.setdefault((index, kind, part), []).append(delta)
        return True

    def _index(self, event: JsonObject, item: JsonObject) -> int:
        index = event.get("output_index")
        if isinstance(index, int):
            return index
        item_id = text_of(event.get("item_id")) or text_of(item.get("id"))
        return self._index_of.get(item_id, len(self._items) if item else len(self._items) - 1)

    def _item(self, index: int) -> JsonObject:
        item = dict(self._items[index])
        putters = self._putters()
        for (at, kind, _), pieces in sorted(self._pieces.items(), key=lambda entry: entry[0]):
            if at == index and kind in putters:
                putters[kind](item, "".join(pieces))
        return item

    @staticmethod
    def _putters() -> Mapping[str, Callable[[JsonObject, str], None]]:
        """Where the pieces of each kind of delta go in their item."""
        return _PUT


def _put_block(field: str, kind: str, key: str = "text") -> Callable[[JsonObject, str], None]:
    def put(item: JsonObject, text: str) -> None:
        item[field] = [*_finished(item.get(field)), {"type": kind, key: text}]

    return put


def _put_field(field: str) -> Callable[[JsonObject, str], None]:
    def put(item: JsonObject, text: str) -> None:
        item[field] = text

    return put


def _finished(blocks: Json) -> list[Json]:
    """Blocks that already hold something: an open item begins with empty ones."""
    return [block for block in list_of(blocks) if any(object_of(block).get(k) for k in _FILLED)]


_FILLED = ("text", "refusal")
_PUT = {
    "response.output_text.delta": _put_block("content", "output_text"),
    "response.refusal.delta": _put_block("content", "refusal", "refusal"),
    "response.reasoning_text.delta": _put_block("content", "reasoning_text"),
    "response.reasoning_summary_text.delta": _put_block("summary", "summary_text"),
    "response.function_call_arguments.delta": _put_field("arguments"),
    "response.mcp_call_arguments.delta": _put_field("arguments"),
    "response.custom_tool_call_input.delta": _put_field("input"),
    "response.code_interpreter_call_code.delta": _put_field("code"),
}
