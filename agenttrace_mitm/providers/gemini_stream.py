"""Streamed Gemini responses, folded into the one response they add up to.

Every chunk is a whole response with a piece of the content.  `usageMetadata` grows from chunk to
chunk: the last one wins, whole, because a field may also go away again.
"""

from ..model import Json, JsonObject
from ..wire.jsonio import list_of, object_of


def unwrapped(body: JsonObject) -> JsonObject:
    """The response inside the envelope of `cloudcode-pa.googleapis.com`, if there is one."""
    inner = body.get("response")
    return inner if isinstance(inner, dict) and "candidates" not in body else body


class GeminiStream:
    """Folds `GenerateContentResponse` chunks into one."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._candidates: dict[int, _Candidate] = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes a chunk in; true when it carried generated content."""
        event = unwrapped(event)
        generated = False
        for key, value in event.items():
            if key == "candidates":
                for candidate in map(object_of, list_of(value)):
                    generated |= self._add_candidate(candidate)
            elif value is not None:
                self._head[key] = value
        if object_of(event.get("promptFeedback")).get("blockReason"):
            self.complete = True
        self.usage_is_final = self.complete
        return generated

    def done(self) -> None:
        """Gemini has no `[DONE]`; gateways add one."""

    def whole(self) -> JsonObject:
        """The response as far as it came."""
        candidates = [self._candidates[index].whole() for index in sorted(self._candidates)]
        return {**self._head, "candidates": candidates} if candidates else dict(self._head)

    def _add_candidate(self, candidate: JsonObject) -> bool:
        index = candidate.get("index")
        known = self._candidates.setdefault(index if isinstance(index, int) else 0, _Candidate())
        if candidate.get("finishReason"):
            self.complete = True
        return known.add(candidate)


class _Candidate:
    """One candidate of a streamed response."""

    def __init__(self) -> None:
        self._head: JsonObject = {}
        self._role: Json = "model"
        self._parts: list[tuple[JsonObject, list[str]]] = []

    def add(self, candidate: JsonObject) -> bool:
        content = object_of(candidate.get("content"))
        self._role = content.get("role", self._role)
        self._head |= {k: v for k, v in candidate.items() if k != "content" and v is not None}
        generated = False
        for part in map(object_of, list_of(content.get("parts"))):
            self._add_part(part)
            generated |= _is_generated(part)
        return generated

    def whole(self) -> JsonObject:
        parts = [part | {"text": "".join(texts)} if texts else part for part, texts in self._parts]
        return {**self._head, "content": {"role": self._role, "parts": parts}}

    def _add_part(self, part: JsonObject) -> None:
        """Text joins the text before, arguments the call that is still open."""
        last, texts = self._parts[-1] if self._parts else ({}, [])
        text = part.get("text")
        if isinstance(text, str):
            if texts and _is_thought(part) == _is_thought(last):
                texts.append(text)
                last |= part  # a signature may come with the last piece
            else:
                self._parts.append((dict(part), [text]))
            return
        call, before = object_of(part.get("functionCall")), object_of(last.get("functionCall"))
        if before.get("willContinue") and not call.get("name"):
            pieces = [*list_of(before.get("partialArgs")), *list_of(call.get("partialArgs"))]
            merged = before | {"partialArgs": pieces, "willContinue": call.get("willContinue")}
            last["functionCall"] = merged
            return
        self._parts.append((dict(part), []))


def _is_thought(part: JsonObject) -> bool:
    return part.get("thought") is True


def _is_generated(part: JsonObject) -> bool:
    return bool(part.get("text")) or any(k not in ("text", "thoughtSignature") for k in part)
