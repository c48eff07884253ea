"""Why a reply ended: the providers' own words, and the words all of them share.

Shared: `stop`, `length`, `tool_calls`, `content_filter`, `paused`, `error`, `aborted`; a word we
have not met becomes `other`, and stands in `finish_reasons` as it came.
"""

from collections.abc import Sequence

_WORDS = {
    "stop": (
        "stop",
        "completed",
        "end_turn",
        "stop_sequence",
        "complete",
        "finish",
        "endoftext",
        "eos",
        "eos_token",
        "end_of_turn",
    ),
    "length": (
        "length",
        "max_tokens",
        "model_length",
        "model_context_window_exceeded",
        "error_limit",
        "max_output_tokens",
        "max_messages",
        "budget_exceeded",
    ),
    "tool_calls": ("tool_calls", "function_call", "tool_use", "tool_call"),
    "content_filter": (
        "content_filter",
        "content_filtered",
        "guardrail_intervened",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
        "image_other",
        "model_armor",
        "jailbreak",
        "language",
        "error_toxic",
        "sensitive",
    ),
    "paused": (
        "pause_turn",
        "compaction",
        "continuation",
        "steered",
        "queued",
        "in_progress",
        "requires_action",
    ),
    "error": (
        "error",
        "failed",
        "cancelled",
        "cancelling",
        "expired",
        "timeout",
        "malformed_function_call",
        "unexpected_tool_call",
        "too_many_tool_calls",
        "missing_thought_signature",
        "malformed_response",
        "malformed_model_output",
        "malformed_tool_use",
        "no_image",
        "escalation",
        "network_error",
        "insufficient_system_resource",
    ),
    "aborted": ("user_cancel", "abort"),
}
_NORMALIZED = {word: name for name, words in _WORDS.items() for word in words}
_UNDER_WAY = frozenset(("queued", "in_progress"))


def normalized(word: str) -> str:
    """The shared word for a provider's own; empty stays empty."""
    return _NORMALIZED.get(word.lower(), "other") if word else ""


def is_under_way(words: Sequence[str]) -> bool:
    """True where *words* are those of a response that has only begun: no reason why it ended."""
    return bool(words) and _UNDER_WAY.issuperset(words)
