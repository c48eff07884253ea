"""What the wire of each dialect is known to say, and what in a reply is not in it.

New events, fields and members are no errors: they are kept as they came.  But somebody should see
that a provider has moved, so each leaves a short, stable note: `unknown event: response.x`.
What is known stands in `known_names`.
"""

import re
from collections.abc import Iterable, Iterator

from ..model import Json, JsonObject, Message, UnknownPart
from .finish import normalized
from .known_names import VOCABULARIES

MOST_NOTES = 12
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


def unknown_in(
    dialect: str,
    events: Iterable[str],
    response: JsonObject,
    messages: Iterable[Message],
    finish_reasons: Iterable[str],
) -> tuple[str, ...]:
    """A note for each name that *dialect* was not known to have."""
    found = dict.fromkeys(
        [
            *_unknown_names(dialect, events, response),
            *(f"unknown part: {name}" for name in _unknown_parts(messages)),
            *(
                f"unknown finish reason: {_name(word)}"
                for word in finish_reasons
                if normalized(word) == "other" and _is_new(word)
            ),
        ]
    )
    return tuple(found)[:MOST_NOTES]


def _unknown_names(dialect: str, events: Iterable[str], response: JsonObject) -> Iterator[str]:
    known = VOCABULARIES.get(dialect)
    if known is None:
        return
    for event in sorted(set(events) - known.events - _ANY_EVENT):
        yield f"unknown event: {_name(event)}"
    if response.get("error"):
        return
    for field in response.keys() - known.fields:
        yield f"unknown field: {_name(field)}"
    for field in _paths(response.get(known.usage_field)):
        if field not in known.usage:
            yield f"unknown field: {known.usage_field}.{_name(field)}"


def _paths(usage: Json) -> Iterator[str]:
    """Names of a usage object's fields, and with a dot those of the objects in it."""
    for field, value in usage.items() if isinstance(usage, dict) else ():
        yield field
        if isinstance(value, dict):
            yield from (f"{field}.{inner}" for inner in value)


def _unknown_parts(messages: Iterable[Message]) -> Iterator[str]:
    for message in messages:
        for part in message.parts:
            if isinstance(part, UnknownPart):
                said = part.raw.get("type") if isinstance(part.raw, dict) else None
                if said is not None and _name(said) not in _KEPT_PARTS:
                    yield _name(said)


def _name(value: Json) -> str:
    """*value* where it is a name; what peers write elsewhere is content, and stays out of notes."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else "?"


def _is_new(word: str) -> bool:
    # Gemini may number its reasons; Responses says elsewhere why one is incomplete.
    return not word.isdigit() and word != "incomplete"


_ANY_EVENT = frozenset({"", "message", "error", "ping", "keepalive"})
# Members with a meaning that need no words of their own here: kept whole.
_KEPT_PARTS = frozenset(
    {"compaction", "container_upload", "item_reference", "additional_tools", "tool_addition"}
)
