"""Records to write into a store, short to say."""

from typing import Any

from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import LlmCall, Record, StoredMessage

NOON_US = 1_760_000_000_000_000


def call(**values: Any) -> LlmCall:
    """A finished OpenAI chat call; *values* override its columns."""
    defaults: dict[str, Any] = {
        "id": new_id(),
        "started_us": NOON_US,
        "ended_us": NOON_US + 1_500_000,
        "provider": "openai",
        "dialect": "openai.chat",
        "operation": "chat",
        "kind": "llm",
        "billing": "metered",
        "host": "api.openai.com",
        "method": "POST",
        "path": "/v1/chat/completions",
        "model": "gpt-5.5",
        "outcome": "ok",
        "status_code": 200,
    }
    return LlmCall(**(defaults | values))


def message(words: str, position: int = 0, direction: str = "in", **values: Any) -> StoredMessage:
    """A message whose fingerprint is its text."""
    defaults: dict[str, Any] = {
        "fingerprint": words,
        "position": position,
        "direction": direction,
        "role": "user" if direction == "in" else "assistant",
        "content": [{"type": "text", "content": words}],
        "text": words,
        "size": len(words),
    }
    return StoredMessage(**(defaults | values))


def record(*texts: str, **values: Any) -> Record:
    """A record with one incoming message per text."""
    said = tuple(message(text, position) for position, text in enumerate(texts))
    return Record(call=call(**values), messages=said)
