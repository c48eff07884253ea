"""Streamed chat completions, folded into the `chat.completion` they stand for.

Fragments of a tool call are joined by `index`, else by `id`, else to the call before: compatible
servers leave out either.  `obfuscation` is padding and dropped; fields we do not know are kept.
"""

from ..model import Json, JsonObject
from ..wire.jsonio import list_of, object_of, text_of


def spent_in(body: JsonObject) -> Json:
    """The usage object, wherever compatible servers put it."""
    groq = object_of(body.get("x_groq")).get("usage")
    choices = list_of(body.get("choices"))
    moonshot = object_of(choices[0]).get("usage") if choices else None
    return body.get("usage") or groq or moonshot


class ChatStream:
    """Folds `chat.completion.chunk` events into one `chat.completion`."""

    def __init__(self) -> None:
        self.complete = False
        self.usage_is_final = False
        self._head: JsonObject = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, name: str, event: JsonObject) -> bool:
        """Takes a chunk in; true when it carried generated content."""
        generated = False
        for key, value in event.items():
            if key == "choices":
                for choice in list_of(value):
                    generated |= self._add_choice(object_of(choice))
            # Azure's asynchronous filter ends streams with chunks whose `id` and `model` are "":
            # like null that says nothing, and takes nothing back.
            elif value is not None and value != "" and key != "obfuscation":
                self._head[key] = value
        if spent := spent_in(event):
            self._head["usage"] = spent
            # Some servers count along: only what comes with or after the end is the whole.
            self.usage_is_final = self.has_ended or not event.get("choices")
        return generated

    def done(self) -> None:
        """The stream said `[DONE]`."""
        self.complete = self.usage_is_final = True

    @property
    def has_ended(self) -> bool:
        """True once every choice said why it ended."""
        choices = self._choices.values()
        return bool(choices) and all(choice.has_ended for choice in choices)

    def whole(self) -> JsonObject:
        """The completion as far as it came."""
        choices = [self._choices[index].whole(index) for index in sorted(self._choices)]
        return {**self._head, "object": "chat.completion", "choices": choices}

    def _add_choice(self, choice: JsonObject) -> bool:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        known = self._choices.get(index)
        if known is None:
            known = self._choices[index] = _Choice()
        return known.add(choice)


class _Choice:
    """One choice of a streamed completion."""

    def __init__(self) -> None:
        self._content = _Content()
        self._texts: dict[str, list[str]] = {}
        self._calls: list[_Call] = []
        self._function: _Call | None = None
        self._audio: JsonObject = {}
        self._other: JsonObject = {}
        self._finish_reason: Json = None
        self._error: Json = None

    @property
    def has_ended(self) -> bool:
        return bool(self._finish_reason)

    def add(self, choice: JsonObject) -> bool:
        # Where others say null some servers say "", also after a choice has ended.
        if choice.get("finish_reason"):
            self._finish_reason = choice["finish_reason"]
        if "error" in choice:  # OpenRouter's, of the provider behind it
            self._error = choice["error"] or self._error
        # Some compatible servers send a whole message in their only chunk.
        delta = object_of(choice.get("delta") or choice.get("message"))
        generated = False
        for key, value in delta.items():
            # A role is no content, and `obfuscation` is padding against eavesdroppers.
            if key == "role":
                self._other[key] = value
            elif value not in (None, "", []) and key != "obfuscation":
                self._add_field(key, value)
                generated = True
        return generated

    def whole(self, index: int) -> JsonObject:
        message: JsonObject = {"role": "assistant", **self._other}
        message["content"] = self._content.whole()
        message |= {key: "".join(pieces) for key, pieces in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [call.whole() for call in self._calls]
        if self._function:
            message["function_call"] = self._function.whole()["function"]
        if self._audio:
            message["audio"] = {
                key: "".join(value) if isinstance(value, list) else value
                for key, value in self._audio.items()
            }
        choice = {"index": index, "message": message, "finish_reason": self._finish_reason}
        return choice | {"error": self._error} if self._error else choice

    def _add_field(self, key: str, value: Json) -> None:
        match key:
            case "content":
                self._content.add(value)
            case "tool_calls":
                for call in list_of(value):
                    self._add_call(object_of(call))
            case "function_call":
                self._function = self._function or _Call({})
                self._function.add({"function": value})
            case "audio":
                self._add_audio(object_of(value))
            case _ if isinstance(value, str):
                self._texts.setdefault(key, []).append(value)
            case _ if isinstance(value, list):
                self._other.setdefault(key, []).extend(value)
            case _:
                self._other[key] = value

    def _add_audio(self, audio: JsonObject) -> None:
        for key, value in audio.items():
            if key in ("data", "transcript") and isinstance(value, str):
                self._audio.setdefault(key, []).append(value)
            else:
                self._audio[key] = value

    def _add_call(self, call: JsonObject) -> None:
        known = self._known_call(call)
        if known is None:
            self._calls.append(_Call(call))
        else:
            known.add(call)

    def _known_call(self, call: JsonObject) -> "_Call | None":
        """The call that a fragment continues: by index, else by id, else by being the last."""
        index, call_id = call.get("index"), call.get("id")
        if index is not None:
            latest = next((c for c in reversed(self._calls) if c.index == index), None)
            return None if latest and _is_another(call, latest) else latest
        if call_id:
            return next((known for known in self._calls if known.id == call_id), None)
        names_one = bool(object_of(call.get("function")).get("name"))
        return self._calls[-1] if self._calls and not names_one else None


def _is_another(call: JsonObject, known: "_Call") -> bool:
    """True for servers that give each of several parallel calls the same index."""
    call_id, named = text_of(call.get("id")), object_of(call.get("function")).get("name")
    return bool(call_id and known.id and call_id != known.id and named)


class _Call:
    """One tool call of a streamed choice."""

    def __init__(self, first: JsonObject) -> None:
        self.index = first.get("index")
        self.id = ""
        self._head: JsonObject = {}
        self._bodies: dict[str, JsonObject] = {}
        self._pieces: dict[tuple[str, str], list[str]] = {}
        self.add(first)

    def add(self, fragment: JsonObject) -> None:
        for key, value in fragment.items():
            if isinstance(value, dict) and key in ("function", "custom"):
                self._add_body(key, value)
            elif key == "id":
                self.id = self.id or text_of(value)
            elif value is not None and key != "index":
                self._head[key] = value

    def whole(self) -> JsonObject:
        call: JsonObject = {"id": self.id, **self._head}
        for kind, body in self._bodies.items():
            call[kind] = dict(body)
        for (kind, key), pieces in self._pieces.items():
            call[kind][key] = "".join(pieces)
        return call

    def _add_body(self, kind: str, body: JsonObject) -> None:
        known = self._bodies.setdefault(kind, {})
        for key, value in body.items():
            if key in ("arguments", "input") and isinstance(value, str):
                self._pieces.setdefault((kind, key), []).append(value)
            elif value is not None and value != "":
                known[key] = value


class _Content:
    """Streamed content: pieces of text, or (Mistral) of blocks, and either after the other."""

    def __init__(self) -> None:
        self._blocks: list[tuple[JsonObject, list[str]]] = []
        self._is_text = True

    def add(self, value: Json) -> None:
        if isinstance(value, str):
            self._add_piece("text", {"type": "text"}, value)
            return
        self._is_text = False
        for block in list_of(value):
            fields = object_of(block)
            match fields.get("type"):
                case "text":
                    self._add_piece("text", fields, text_of(fields.get("text")))
                case "thinking":
                    pieces = map(object_of, list_of(fields.get("thinking")))
                    thought = "".join(text_of(piece.get("text")) for piece in pieces)
                    self._add_piece("thinking", fields, thought)
                case _:
                    self._blocks.append((fields or {"type": "unknown", "raw": block}, []))

    def whole(self) -> Json:
        if self._is_text:
            return "".join(self._blocks[0][1]) if self._blocks else None
        return [self._block(block, "".join(pieces)) for block, pieces in self._blocks]

    def _add_piece(self, kind: str, block: JsonObject, piece: str) -> None:
        if not self._blocks or self._blocks[-1][0].get("type") != kind:
            self._blocks.append((block, []))
        self._blocks[-1][1].append(piece)

    @staticmethod
    def _block(block: JsonObject, text: str) -> JsonObject:
        match block.get("type"):
            case "text":
                return block | {"text": text}
            case "thinking":
                return block | {"thinking": [{"type": "text", "text": text}]}
            case _:
                return block
