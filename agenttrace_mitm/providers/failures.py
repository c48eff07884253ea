"""Errors as the providers word them, wherever they put them.

OpenAI, Anthropic and Google have an `error` object; Mistral and Cohere put `message` (or
`detail`) at the top; OAuth front ends answer with two strings; AWS names the type in a header.
OpenRouter, Groq and MiniMax answer with status 200 and put the error inside.  Some generations
just end with a word that says that they failed.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ..model import Failure, Headers, Json, JsonObject
from ..wire.jsonio import encode, list_of, object_of, text_of

_LONGEST_TEXT = 2_000
_MESSAGES = ("message", "Message", "detail", "msg")
# Cohere's `ERROR` and `TIMEOUT`, Mistral's `error`, Z.ai's `network_error`, DeepSeek's
# `insufficient_system_resource`: the server's failures, not the model's ones (Gemini's malformed
# calls), which are answers still.
_FAILED = ("error", "timeout", "network_error", "insufficient_system_resource")


def failure_in(body: Json) -> Failure | None:
    """The error that *body* holds beside or instead of an answer."""
    if isinstance(body, list):
        body = body[0] if body else None
    fields = object_of(body)
    error = fields.get("error")
    if isinstance(error, dict) and error:
        return _from_object(error)
    if isinstance(error, str) and error:
        return _from_words(error, fields)
    return _in_choice(fields) or _beside_answer(fields)


def failure_of(body: Json) -> Failure:
    """The error of a response whose status says that it is one."""
    found = failure_in(body)
    if found:
        return found
    if isinstance(body, list):
        body = body[0] if body else None
    fields = object_of(body)
    said = next((fields[key] for key in _MESSAGES if fields.get(key)), "")
    message = said if isinstance(said, str) else encode(said)
    return Failure(_word(fields.get("type")), _word(fields.get("code")), message)


def failure_in_text(body: bytes) -> Failure:
    """The error of a response that is not JSON: its first words."""
    return Failure(message=body[:_LONGEST_TEXT].decode("utf-8", "replace").strip())


def failure_at_end(words: Sequence[str]) -> Failure | None:
    """The failure that the first of the finish reasons stands for, where no error is said."""
    return Failure(type=words[0]) if words and words[0].lower() in _FAILED else None


def with_type(failure: Failure, headers: Headers) -> Failure:
    """*failure* with the type that AWS puts in the response's *headers*, where it has none."""
    named = headers.get("x-amzn-errortype").partition(":")[0].strip()
    return replace(failure, type=named) if named and not failure.type else failure


def _in_choice(fields: JsonObject) -> Failure | None:
    """OpenRouter's: the answer's first choice has an `error` of its own."""
    choices = list_of(fields.get("choices"))
    error = object_of(choices[0]).get("error") if choices else None
    return _from_object(error) if isinstance(error, dict) and error else None


def _beside_answer(fields: JsonObject) -> Failure | None:
    """Groq's `x_groq: {error}`, MiniMax's `base_resp: {status_code, status_msg}`; 0 is success."""
    error = object_of(fields.get("x_groq")).get("error")
    if isinstance(error, str) and error:
        return Failure(message=error)
    status = object_of(fields.get("base_resp"))
    code = _word(status.get("status_code"))
    if code and code != "0":
        return Failure(code=code, message=text_of(status.get("status_msg")))
    return None


def _from_words(error: str, fields: JsonObject) -> Failure:
    """OAuth's two strings; a string with a `code` beside it (xAI) or an `error_type` (TGI)."""
    message = text_of(fields.get("error_description")) or text_of(fields.get("message"))
    return Failure(
        type=error if message else _word(fields.get("error_type")),
        code=_word(fields.get("code")),
        message=message or error,
    )


def _from_object(error: dict[str, Json]) -> Failure:
    message = error.get("message")
    return Failure(
        # Google's status is the type's name, Azure's the number of the response's status.
        type=_word(error.get("type")) or text_of(error.get("status")),
        code=_word(error.get("code")),
        message=message if isinstance(message, str) else encode(message) if message else "",
    )


def _word(value: Json) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
