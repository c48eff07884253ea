"""Streamed interactions: steps that start, grow and stop, folded into the whole.

`interaction.completed` carries status and usage but not the steps; those are built here.
"""

from ..model import JsonObject
from ..wire.jsonio import list_of, object_of, text_of

_ENDS = ("interaction.completed", "interaction.complete", "interaction.failed")


class InteractionStream:
    """Folds events into one interaction."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._whole: JsonObject = {}
        self._steps: dict[int, JsonObject] = {}
        self._arguments: dict[int, list[str]] = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes an event in; true when it carried generated content."""
        kind = text_of(event.get("event_type")) or name
        match kind:
            case "step.start" | "content.start":
                step = event.get("step") or event.get("content")
                self._steps[self._index(event)] = dict(object_of(step))
                return object_of(step).get("type") == "function_call"
            case "step.delta" | "content.delta":
                return self._add_delta(self._index(event), object_of(event.get("delta")))
            case "error":
                self._whole["error"] = event.get("error") or {"message": event.get("message")}
                self.complete = True
            case "interaction.status_update":
                self._whole["status"] = event.get("status")
            case _:
                self._whole |= object_of(event.get("interaction"))
                if kind in _ENDS:
                    self.complete = self.usage_is_final = True
        return False

    def done(self) -> None:
        """The terminal event is what counts."""

    def whole(self) -> JsonObject:
        """The interaction as far as it came."""
        whole = dict(self._whole)
        if not whole.get("steps"):
            whole["steps"] = [self._step(index) for index in sorted(self._steps)]
        return whole

    def _step(self, index: int) -> JsonObject:
        pieces = self._arguments.get(index)
        step = self._steps[index]
        return step | {"arguments": "".join(pieces)} if pieces else step

    def _index(self, event: JsonObject) -> int:
        index = event.get("index")
        return index if isinstance(index, int) else max(self._steps, default=0)

    def _add_delta(self, index: int, delta: JsonObject) -> bool:
        step = self._steps.setdefault(index, {"type": "model_output"})
        kind = text_of(delta.get("type"))
        match kind:
            case "text":
                key = "content" if step.get("type") != "text" else ""
                self._add_text(step, key, text_of(delta.get("text")))
            case "thought_summary":
                self._add_text(
                    step, "summary", text_of(object_of(delta.get("content")).get("text"))
                )
            case "arguments_delta":
                self._arguments.setdefault(index, []).append(text_of(delta.get("arguments")))
            case "thought_signature":
                step["signature"] = delta.get("signature")
                return False
            case "image" | "audio" | "video" | "document":
                step["content"] = [*list_of(step.get("content")), delta]
            case _:
                step |= {k: v for k, v in delta.items() if k != "type"}
        return True

    def _add_text(self, step: JsonObject, key: str, text: str) -> None:
        if not key:  # an older stream, whose steps are contents
            step["text"] = text_of(step.get("text")) + text
            return
        blocks = list_of(step.get(key))
        last = object_of(blocks[-1]) if blocks else {}
        if last.get("type") == "text":
            blocks = [*blocks[:-1], last | {"text": text_of(last.get("text")) + text}]
        else:
            blocks = [*blocks, {"type": "text", "text": text}]
        step[key] = blocks
