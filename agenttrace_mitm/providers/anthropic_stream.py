"""Streamed Anthropic messages, folded into the message they build up.

`message_delta` repeats cumulative counts: the last one wins, field by field.  Adding them up
would bill the same tokens many times over.
"""

from ..model import Json, JsonObject
from ..wire.jsonio import NotJson, decode, list_of, object_of, text_of

# Delta type -> where its piece stands in the delta, and where it goes in the block.
_PIECES = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
    "compaction_delta": ("content", "content"),
}


class MessageStream:
    """Folds `message_*` and `content_block_*` events into one message."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._message: JsonObject = {}
        self._usage: JsonObject = {}
        self._blocks: dict[int, JsonObject] = {}
        self._pieces: dict[int, dict[str, list[str]]] = {}
        self._error: Json = None

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        match event.get("type") or name:
            case "content_block_delta":
                return self._add_delta(event)
            case "content_block_start":
                block = dict(object_of(event.get("content_block")))
                self._blocks[_index(event)] = block
                # A call's name is the first that the model makes of it, and may be all.
                return bool(block.get("name"))
            case "message_start":
                self._message = dict(object_of(event.get("message")))
                self._usage = dict(object_of(self._message.get("usage")))
            case "message_delta":
                self._add_end(event)
            case "message_stop":
                self.complete = self.usage_is_final = True
            case "error":
                self._error = event.get("error") or event
            case "" if "error" in event:
                self._error = event["error"]
            case _:
                pass
        return False

    def done(self) -> None:
        """Anthropic has no `[DONE]`; gateways add one."""

    def whole(self) -> JsonObject:
        """The message as far as it came."""
        message = dict(self._message)
        content = [self._block(index) for index in sorted(self._blocks)]
        message["content"] = [*list_of(message.get("content")), *content]
        if self._usage:
            message["usage"] = self._usage
        if self._error is not None:
            message["error"] = self._error
        return message

    def _add_delta(self, event: JsonObject) -> bool:
        delta = object_of(event.get("delta"))
        index = _index(event)
        kind = text_of(delta.get("type"))
        if kind in _PIECES:
            source, target = _PIECES[kind]
            piece = delta.get(source)
            if not isinstance(piece, str):
                return False
            self._pieces.setdefault(index, {}).setdefault(target, []).append(piece)
            return bool(piece)
        block = self._blocks.setdefault(index, {})
        if kind == "signature_delta":
            block["signature"] = delta.get("signature")
        elif kind == "citations_delta":
            block["citations"] = list_of(block.get("citations"))
            block["citations"].append(delta.get("citation"))
        return False

    def _add_end(self, event: JsonObject) -> None:
        delta = object_of(event.get("delta"))
        self._message |= {k: v for k, v in delta.items() if v is not None}
        self._usage |= {k: v for k, v in object_of(event.get("usage")).items() if v is not None}
        self.usage_is_final = bool(delta.get("stop_reason"))

    def _block(self, index: int) -> JsonObject:
        block = dict(self._blocks[index])
        for field, pieces in self._pieces.get(index, {}).items():
            text = "".join(pieces)
            if field == "input":
                block[field] = _input(text) if text else block.get(field, {})
            else:
                block[field] = text_of(block.get(field)) + text
        return block


def _index(event: JsonObject) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0


def _input(text: str) -> Json:
    """A tool's input from its JSON text; the text itself where the stream was cut inside."""
    try:
        return decode(text.encode())
    except NotJson:
        return text
