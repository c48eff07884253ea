"""Streamed runs: `thread.run.*` events hold the whole run, `thread.message.*` what it says."""

from ..model import JsonObject
from ..wire.jsonio import list_of, object_of, text_of

_ENDS = frozenset(
    f"thread.run.{state}"
    for state in ("completed", "incomplete", "failed", "cancelled", "expired", "requires_action")
)


class RunStream:
    """Folds events into a run with its messages."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._run: JsonObject = {}
        self._messages: dict[str, JsonObject] = {}
        self._pieces: dict[str, list[str]] = {}
        self._error: JsonObject | None = None

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        if name == "error" or "error" in event:
            self._error = object_of(event.get("error")) or event
            self.complete = True
        elif name.endswith(".delta"):
            return self._add_delta(name, event)
        elif name.startswith("thread.message."):
            self._messages[text_of(event.get("id"))] = event
            if name.endswith((".completed", ".incomplete")):
                self._pieces.pop(text_of(event.get("id")), None)
        elif name.startswith("thread.run.") and not name.startswith("thread.run.step."):
            self._run = event
            if name in _ENDS:
                self.complete = self.usage_is_final = True
        return False

    def done(self) -> None:
        """The run's last event is what counts."""

    def whole(self) -> JsonObject:
        """The run as far as it came, with its messages."""
        whole = self._run | {"messages": [self._message(key) for key in self._messages]}
        return whole | {"error": self._error} if self._error else whole

    def _message(self, key: str) -> JsonObject:
        pieces = self._pieces.get(key)
        text = {"type": "text", "text": {"value": "".join(pieces or ())}}
        return self._messages[key] | {"content": [text]} if pieces else self._messages[key]

    def _add_delta(self, name: str, event: JsonObject) -> bool:
        if name != "thread.message.delta":
            return name == "thread.run.step.delta"
        key = text_of(event.get("id"))
        self._messages.setdefault(key, {})
        for block in list_of(object_of(event.get("delta")).get("content")):
            value = text_of(object_of(object_of(block).get("text")).get("value"))
            self._pieces.setdefault(key, []).append(value)
        return True
