"""What each privacy tier keeps: one table, applied in one place.

`KEEPS` names for every field of every stored value the lowest tier that keeps it.  The rule for
content goes by author, not by direction: what the model wrote is dropped below tier 3 wherever
it occurs, also as the history of the next request; what people and tools said stays from 2 on.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from ..model import (
    Json,
    JsonObject,
    LlmCall,
    Payload,
    Placement,
    Record,
    StoredCommit,
    StoredEvent,
    StoredMedium,
    StoredMessage,
    StoredPrompt,
    StoredRef,
    StoredSession,
    StoredSpan,
    StoredThread,
    StoredToolCall,
    StoredToolResult,
    StoredTrace,
)
from ..model.row import Row

Tier = Literal[1, 2, 3]


def _fields(tier: Tier, names: str) -> dict[str, Tier]:
    return dict.fromkeys(names.split(), tier)


KEEPS: Mapping[type[Row], Mapping[str, Tier]] = {
    LlmCall: {
        **_fields(
            1,
            """
            id started_us ended_us provider dialect operation kind service_tier billing
            params rate_limit tags project prompt_id host method path model response_model
            streamed status_code outcome error_type error_code finish_reason finish_reasons
            tokens_in tokens_out tokens_total cache_read_tokens cache_write_tokens
            reasoning_tokens usage_detail usage_raw usage_source cost_nano_usd cost_detail
            price_source unpriced_reason latency_ms ttfb_ms ttft_ms request_bytes
            response_bytes chunks response_id duplicate_of provider_request_id
            client_request_id operation_id attempt trace_id span_id parent_span_id thread_id
            session_id agent_id continues_call_id continues_how continues_confidence history
            conversation_id turn_print reply_print request_chain n_messages n_tool_calls
            tool_names reply_chars user_agent client pid process source privacy_tier notes
            """,
        ),
        **_fields(2, "error_message end_user cwd client_address"),
    },
    StoredMessage: {
        **_fields(1, "fingerprint known position direction choice role size"),
        **_fields(2, "content text"),
    },
    StoredPrompt: {
        **_fields(
            1,
            """
            prompt_id agent_id system_print tools_print system_chars tools_chars n_tools
            """,
        ),
        **_fields(2, "system tools"),
    },
    StoredToolCall: {
        **_fields(1, "tool_call_id position name server typed item_id fingerprint prompts span_id"),
        **_fields(2, "arguments calls_inside"),
    },
    StoredToolResult: {
        **_fields(1, "tool_call_id call_id position is_error how confidence at_us"),
        **_fields(2, "result"),
    },
    StoredSession: {
        **_fields(1, "session_id agent_id client pid process how confidence started_us ended_us"),
        **_fields(2, "cwd"),
    },
    StoredTrace: {
        **_fields(
            1,
            """
            trace_id session_id thread_id call_id agent_id root_span_id how confidence started_us
            ended_us
            """,
        ),
        **_fields(2, "name"),
    },
    StoredThread: _fields(
        1,
        """
        thread_id session_id agent_id parent_thread_id parent_span_id how confidence started_us
        ended_us
        """,
    ),
    StoredSpan: _fields(
        1,
        """
        span_id trace_id parent_span_id kind name call_id thread_id session_id agent_id outcome how
        confidence started_us ended_us
        """,
    ),
    Placement: _fields(1, "session trace thread spans"),
    StoredEvent: {
        **_fields(
            1, "id at_us agent_id type name severity tags trace_id span_id session_id received_us"
        ),
        **_fields(2, "message"),
    },
    # At tier 1 nobody asks git.
    StoredCommit: _fields(
        2,
        """
        sha session_id repository branch message author_us committed_us files lines_added
        lines_removed numstat call_id position how confidence found_us
        """,
    ),
    StoredRef: _fields(2, "session_id kind name made call_id position at_us"),
    StoredMedium: _fields(3, "sha256 mime_type size width height duration_ms token_estimate data"),
    Payload: _fields(
        3, "request_headers response_headers request_body response_body arrivals media"
    ),
}
"""Lowest tier that keeps a field.  `NARROWED` fields are kept only in part below tier 3 or 2."""


def keep(record: Record, tier: Tier) -> Record:
    """*record* as *tier* allows it to be stored."""
    if tier == record.call.privacy_tier == 3:
        return record
    if tier == 3:
        return record.model_copy(update={"call": _kept(record.call, tier)})
    return Record(
        call=_kept(record.call, tier),
        messages=tuple(_message(message, tier) for message in record.messages),
        tool_calls=tuple(_kept(made, tier) for made in record.tool_calls),
        tool_results=tuple(_kept(result, tier) for result in record.tool_results),
        payload=None,
        placement=_placement(record.placement, tier),
        prompt=record.prompt and _kept(record.prompt, tier),
    )


def keep_event(event: StoredEvent, tier: Tier) -> StoredEvent:
    """*event* as *tier* allows it to be stored."""
    return event if tier == 3 else _kept(event, tier)


def _kept[Value: Row](value: Value, tier: Tier) -> Value:
    model = type(value)
    gone = {
        name: model.model_fields[name].get_default()
        for name, lowest in KEEPS[model].items()
        if tier < lowest
    }
    if model is LlmCall:
        gone["privacy_tier"] = tier
        if tier == 1:
            gone |= {name: narrow(getattr(value, name)) for name, narrow in NARROWED.items()}
    return value.model_copy(update=gone)


def _placement(placement: Placement, tier: Tier) -> Placement:
    return Placement(
        session=placement.session and _kept(placement.session, tier),
        trace=placement.trace and _kept(placement.trace, tier),
        thread=placement.thread,
        spans=placement.spans,
    )


def _message(message: StoredMessage, tier: Tier) -> StoredMessage:
    kept = _kept(message, tier)
    if tier == 1 or message.content is None:
        return kept.model_copy(update={"text": None})
    content = [without_model_words(part, message.role) for part in message.content]
    if not any(_says_something(part) for part in content):
        return kept.model_copy(update={"content": None, "text": None})
    text = "\n".join(filter(None, (_words(part) for part in content)))
    return kept.model_copy(update={"content": content, "text": text or None})


def without_model_words(part: JsonObject, role: str) -> JsonObject:
    """A part as tier 2 keeps it; `withheld` counts the characters that were dropped."""
    match part.get("type"):
        case "tool_call":
            return part
        case "tool_call_response":
            return part
        case "text" if role != "assistant":
            return part
        case "text" | "reasoning" as kind:
            return {"type": kind, "content": "", "withheld": len(str(part.get("content") or ""))}
        case "blob" | "uri":
            described = {"modality", "mime_type", "size"}
            return {"type": "blob"} | {k: v for k, v in part.items() if k in described}
        case _:
            # Nobody knows who wrote it, so it is treated as the model's.
            return {"type": "unknown", "raw": None, "withheld": len(_as_text(part.get("raw")))}


def _says_something(part: JsonObject) -> bool:
    return "withheld" not in part


def _words(part: JsonObject) -> str:
    match part["type"]:
        case "text":
            return str(part["content"])
        case "tool_call":
            return f"{part.get('name', '')} {part.get('arguments') or ''}"
        case "tool_call_response":
            return _as_text(part.get("response"))
    return ""


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_WORD = re.compile(r"[A-Za-z0-9_.:/+-]{1,64}")
_WORDY_PARAMS = frozenset(
    {
        "display",
        "effort",
        "encoding_format",
        "format",
        "mode",
        "modalities",
        "reasoning_effort",
        "response_format",
        "service_tier",
        "speed",
        "summary",
        "tool_choice",
        "truncate",
        "truncation",
        "type",
        "verbosity",
    }
)
"""Parameters whose words are chosen from a list by the provider, not written by the caller."""


def _params(value: Json) -> Json:
    """Numbers, switches, and words that mean a mode; stop sequences and schemas go."""
    if not isinstance(value, dict):
        return None
    kept: JsonObject = {}
    for name, item in value.items():
        if item is None or isinstance(item, bool | int | float):
            kept[name] = item
        elif isinstance(item, dict) and (inner := _params(item)):
            kept[name] = inner
        elif name in _WORDY_PARAMS and _is_words(item):
            kept[name] = item
    return kept


def _is_words(value: Json) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) and _WORD.fullmatch(item) for item in value)
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _figures(value: Json) -> Json:
    """Numbers and single words, at any depth."""
    match value:
        case dict():
            return {name: _figures(item) for name, item in value.items()}
        case list():
            return [_figures(item) for item in value]
        case str():
            return value if _WORD.fullmatch(value) else None
        case _:
            return value


def _without_query(path: str) -> str:
    return path.partition("?")[0]


NARROWED: Mapping[str, Callable[[Json], Json]] = {
    "params": _params,
    "rate_limit": _figures,
    "usage_raw": _figures,
    "usage_detail": _figures,
    "path": _without_query,
}
"""Fields of a call that tier 1 keeps in part."""
