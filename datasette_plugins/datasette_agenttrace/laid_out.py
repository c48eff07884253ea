"""JSON laid out for people, in characters that every page can be sent in."""

import json

from agenttrace_mitm.model.json import Json


def laid_out(value: Json) -> str:
    r"""*value* over lines.  Half of an emoji, which JSON can escape, stays so: `\ud83c`."""
    return sendable(json.dumps(value, indent=2, ensure_ascii=False))


def sendable(text: str) -> str:
    """*text* without halves of characters: UTF-8 has none, and they would cut an answer off."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
