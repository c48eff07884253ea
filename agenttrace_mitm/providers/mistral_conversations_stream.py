"""Streamed conversations: entries by output index, folded into the list they stand for."""

from ..model import Json, JsonObject
from ..wire.jsonio import list_of, object_of, text_of

_DELTAS = {
    "message.output.delta": "message.output",
    "function.call.delta": "function.call",
    "tool.execution.started": "tool.execution",
    "tool.execution.delta": "tool.execution",
    "tool.execution.done": "tool.execution",
    "agent.handoff.started": "agent.handoff",
    "agent.handoff.done": "agent.handoff",
}


class ConversationStream:
    """Folds events into one conversation response."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._whole: JsonObject = {}
        self._entries: dict[int, JsonObject] = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        kind = text_of(event.get("type")) or name
        if kind in _DELTAS:
            self._add_entry(_DELTAS[kind], event)
            return kind.endswith(".delta")
        match kind:
            case "conversation.response.started":
                self._whole["conversation_id"] = event.get("conversation_id")
            case "conversation.response.done":
                self._whole["usage"] = event.get("usage")
                self.complete = self.usage_is_final = True
            case "conversation.response.error":
                error = {"code": event.get("code"), "message": event.get("message")}
                self._whole["error"] = error
                self.complete = True
            case _ if "object" in event or "error" in event:
                self._whole |= event
        return False

    def done(self) -> None:
        """The terminal event is what counts."""

    def whole(self) -> JsonObject:
        """The response as far as it came."""
        if self._whole.get("outputs"):
            return dict(self._whole)
        entries = [self._entries[key] for key in sorted(self._entries)]
        return self._whole | {"outputs": entries, "complete": self.complete}

    def _add_entry(self, kind: str, event: JsonObject) -> None:
        index = event.get("output_index")
        key = index if isinstance(index, int) else len(self._entries)
        entry = self._entries.setdefault(key, {"type": kind})
        for name, value in event.items():
            if name in ("type", "output_index", "content_index", "created_at"):
                continue
            grows = name in ("content", "arguments") and name in entry
            entry[name] = _grown(entry[name], value) if grows else value


def _grown(earlier: Json, more: Json) -> Json:
    if isinstance(earlier, str) and isinstance(more, str):
        return earlier + more
    return [*_blocks(earlier), *_blocks(more)]


def _blocks(content: Json) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [object_of(content)] if isinstance(content, dict) else list_of(content)
