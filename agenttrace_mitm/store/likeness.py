"""Whether stored text says the same as text read again from redacted bytes."""

import re

REDACTED = "[redacted:"
_MARK = re.compile(r"\[redacted:\w+\]")


def is_redacted(text: str | None) -> bool:
    """True when something was taken out of *text*."""
    return text is not None and REDACTED in text


def alike(again: str, stored: str) -> bool:
    """True when *stored* equals *again* wherever that was not redacted."""
    if again == stored:
        return True
    first, *pieces = _MARK.split(again)
    if not pieces or not stored.startswith(first):
        return False
    last = pieces.pop()
    end = len(stored) - len(last)
    at = len(first)
    for piece in pieces:
        found = stored.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end and stored.endswith(last)
