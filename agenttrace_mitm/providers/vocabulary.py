"""What the wire of each dialect is known to say, and what in a reply is not in it.

New events, fields and members are no errors: they are kept as they came.  But somebody should see
that a provider has moved, so each leaves a short, stable note: `unknown event: response.x`.
Dialects without an entry are not judged.  Checked against the official SDKs' types, 2026-11.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..model import Json, JsonObject, Message, UnknownPart
from .finish import normalized

MOST_NOTES = 12
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names of a dialect: of stream events, of fields of the response, of its usage object."""

    events: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    usage: frozenset[str] = frozenset()
    usage_field: str = "usage"


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


def _known(
    events: str = "", fields: str = "", usage: str = "", usage_field: str = "usage"
) -> Vocabulary:
    return Vocabulary(
        frozenset(events.split()), frozenset(fields.split()), frozenset(usage.split()), usage_field
    )


_ANY_EVENT = frozenset({"", "message", "error", "ping", "keepalive"})
# Members with a meaning that need no words of their own here: kept whole.
_KEPT_PARTS = frozenset(
    {"compaction", "container_upload", "item_reference", "additional_tools", "tool_addition"}
)

_CHAT_FIELDS = """
    choices created id model object service_tier system_fingerprint usage metadata request_id
    moderation provider citations search_results prompt_filter_results x_groq usage_breakdown
    timings time_info p error
"""
_CHAT_USAGE = """
    prompt_tokens completion_tokens total_tokens
    prompt_tokens_details prompt_tokens_details.audio_tokens prompt_tokens_details.cached_tokens
    prompt_tokens_details.cache_write_tokens prompt_tokens_details.image_tokens
    prompt_tokens_details.text_tokens prompt_tokens_details.video_tokens
    completion_tokens_details completion_tokens_details.accepted_prediction_tokens
    completion_tokens_details.audio_tokens completion_tokens_details.image_tokens
    completion_tokens_details.reasoning_tokens completion_tokens_details.text_tokens
    completion_tokens_details.rejected_prediction_tokens
    cost cost_details cost_details.upstream_inference_completions_cost
    cost_details.upstream_inference_cost cost_details.upstream_inference_prompt_cost is_byok
    server_tool_use_details server_tool_use_details.tool_calls_requested
    server_tool_use_details.tool_calls_executed server_tool_use_details.web_search_requests
    prompt_cache_hit_tokens prompt_cache_miss_tokens num_sources_used cost_in_usd_ticks
    queue_time prompt_time completion_time total_time
    num_cached_tokens service_tier prompt_audio_seconds prompt_token_details
    prompt_token_details.cached_tokens prompt_token_details.audio_tokens request_count
"""
_CHAT = _known("", _CHAT_FIELDS, _CHAT_USAGE)
_COHERE_USAGE = """
    api_version api_version.version api_version.is_deprecated api_version.is_experimental warnings
    billed_units billed_units.input_tokens billed_units.output_tokens billed_units.search_units
    billed_units.classifications billed_units.images billed_units.image_tokens
    billed_units.text_tokens billed_units.pages
    tokens tokens.input_tokens tokens.output_tokens tokens.reasoning_tokens tokens.image_tokens
    cached_tokens
"""

VOCABULARIES = {
    "openai.chat": _CHAT,
    "mistral.chat": _CHAT,
    "mistral.fim": _CHAT,
    "mistral.agents": _CHAT,
    "openai.completions": _CHAT,
    "openai.responses": _known(
        """
        response.created response.in_progress response.queued response.completed
        response.incomplete response.failed response.cancelled
        response.output_item.added response.output_item.done
        response.content_part.added response.content_part.done
        response.output_text.delta response.output_text.done
        response.output_text.annotation.added
        response.refusal.delta response.refusal.done
        response.reasoning_part.added response.reasoning_part.done
        response.reasoning_text.delta response.reasoning_text.done
        response.reasoning_summary_part.added response.reasoning_summary_part.done
        response.reasoning_summary_text.delta response.reasoning_summary_text.done
        response.function_call_arguments.delta response.function_call_arguments.done
        response.custom_tool_call_input.delta response.custom_tool_call_input.done
        response.file_search_call.in_progress response.file_search_call.searching
        response.file_search_call.completed
        response.web_search_call.in_progress response.web_search_call.searching
        response.web_search_call.completed
        response.code_interpreter_call.in_progress response.code_interpreter_call.interpreting
        response.code_interpreter_call.completed
        response.code_interpreter_call_code.delta response.code_interpreter_call_code.done
        response.image_generation_call.in_progress response.image_generation_call.generating
        response.image_generation_call.partial_image response.image_generation_call.completed
        response.mcp_list_tools.in_progress response.mcp_list_tools.completed
        response.mcp_list_tools.failed
        response.mcp_call.in_progress response.mcp_call.completed response.mcp_call.failed
        response.mcp_call_arguments.delta response.mcp_call_arguments.done
        response.audio.delta response.audio.done
        response.audio.transcript.delta response.audio.transcript.done
        """,
        """
        background billing completed_at conversation created_at error frequency_penalty id
        incomplete_details input instructions max_output_tokens max_tool_calls metadata model
        moderation object output output_text parallel_tool_calls presence_penalty
        previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention
        reasoning safety_identifier service_tier status store temperature text tool_choice
        tool_usage tools top_logprobs top_p truncation usage user input_tokens content_filters
        """,
        """
        input_tokens output_tokens total_tokens
        input_tokens_details input_tokens_details.cached_tokens
        input_tokens_details.cache_write_tokens input_tokens_details.cache_write_tokens_details
        output_tokens_details output_tokens_details.reasoning_tokens
        cost cost_details cost_details.upstream_inference_cost
        cost_details.upstream_inference_input_cost cost_details.upstream_inference_output_cost
        is_byok cost_in_usd_ticks num_sources_used num_server_side_tools_used
        server_side_tool_usage_details context_details context_details.input_tokens
        context_details.output_tokens
        """,
    ),
    "anthropic.messages": _known(
        """
        message_start message_delta message_stop
        content_block_start content_block_delta content_block_stop
        """,
        """
        id type role model content stop_reason stop_sequence stop_details usage container
        context_management input_tokens diagnostics
        """,
        """
        input_tokens output_tokens cache_creation_input_tokens cache_read_input_tokens
        cache_creation cache_creation.ephemeral_5m_input_tokens
        cache_creation.ephemeral_1h_input_tokens
        output_tokens_details output_tokens_details.thinking_tokens
        server_tool_use server_tool_use.web_search_requests server_tool_use.web_fetch_requests
        service_tier speed inference_geo iterations fallback_credit fallback_credit.status
        """,
    ),
    "anthropic.complete": _known(
        "completion", "id type model completion stop stop_reason truncated log_id exception"
    ),
    "gemini.generate": _known(
        "",
        """
        candidates promptFeedback usageMetadata modelVersion responseId createTime modelStatus
        automaticFunctionCallingHistory parsed sdkHttpResponse
        totalTokens totalBillableCharacters promptTokensDetails cachedContentTokenCount
        cacheTokensDetails
        """,
        """
        promptTokenCount candidatesTokenCount responseTokenCount totalTokenCount
        cachedContentTokenCount thoughtsTokenCount toolUsePromptTokenCount
        promptTokensDetails candidatesTokensDetails responseTokensDetails cacheTokensDetails
        toolUsePromptTokensDetails trafficType serviceTier totalTokens totalBillableCharacters
        """,
        "usageMetadata",
    ),
    "cohere.v2chat": _known(
        """
        message-start message-end content-start content-delta content-end tool-plan-delta
        tool-call-start tool-call-delta tool-call-end citation-start citation-end debug
        """,
        "id finish_reason message prompt usage logprobs",
        _COHERE_USAGE,
    ),
    "cohere.v1chat": _known(
        """
        stream-start stream-end text-generation search-queries-generation search-results
        citation-generation tool-calls-chunk tool-calls-generation debug
        """,
        """
        response_id generation_id text chat_history finish_reason meta citations documents
        is_search_required search_queries search_results tool_calls prompt conversation_id
        """,
        _COHERE_USAGE,
        "meta",
    ),
    "cohere.generate": _known(
        "", "id prompt generations meta text finish_reason", _COHERE_USAGE, "meta"
    ),
}
