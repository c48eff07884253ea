"""Why a reply ended: the providers' own words, and the words all of them share.

Shared: `stop`, `length`, `tool_calls`, `content_filter`, `paused`, `error`, `aborted`; a word we
have not met becomes `other`, and stands in `finish_reasons` as it came.
"""

_WORDS = {
    "stop": (
        "stop",
        "completed",
        "end_turn",
        "stop_sequence",
        "complete",
        "finish",
        "endoftext",
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
    ),
    "aborted": ("user_cancel",),
}
_NORMALIZED = {word: name for name, words in _WORDS.items() for word in words}


def normalized(word: str) -> str:
    """The shared word for a provider's own; empty stays empty."""
    return _NORMALIZED.get(word.lower(), "other") if word else ""
