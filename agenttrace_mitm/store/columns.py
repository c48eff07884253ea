"""What each column means that is not one of `llm_calls`; those are described in `descriptions`.

For tables and views.  `columns_of` gives all of a table; a view's column that bears the name of a
call's column means the same, and is not described again.
"""

from collections.abc import Iterable, Mapping

from . import alert_tables, api_tables, commit_tables, kept_tables, prompts, spent
from .descriptions import CALL_COLUMNS, GENERATED_COLUMNS, TOLD_OF_COLUMNS

CALLS = {**CALL_COLUMNS, **GENERATED_COLUMNS, **TOLD_OF_COLUMNS}

_SUMS = {
    "calls": "calls that ended",
    "failed": "of them, ended in an error or were cut short, not by the client",
    "cancelled": "of them, the client left",
    "unpriced": "of them, with usage but without a price",
    "cost_nano_usd": "sum of their costs; NULL when none had a price",
    "tokens_in": "sum of tokens_in",
    "tokens_out": "sum of tokens_out",
    "cache_read_tokens": "sum of cache_read_tokens",
    "cache_write_tokens": "sum of cache_write_tokens",
    "reasoning_tokens": "sum of reasoning_tokens",
    "latencies": "histogram of latency_ms: buckets 5 % wide, read by store.histograms",
    "model": "model as answered, else as asked",
}
_MODEL = {"model": "model as answered, else as asked"}
_ESTIMATED_OUT = {"estimated_tokens_out": "output as we estimate it; it is in no sum"}

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "messages": {
        "id": "row number, used by call_messages",
        "fingerprint": "keyed hash of role and content, taken before redaction",
        "role": "system, user, assistant, tool",
        "content": "JSON list of parts: text, reasoning, tool_call, tool_call_response, media",
        "text": "the same as words, for search; messages_fts indexes it. Generated from content and"
        " own_text",
        "own_text": "text where it is not told from content; read text",
        "size": "characters of text",
        "first_seen_us": "when it was first sent, microseconds, UTC",
        "privacy_tier": "tier under which the content was stored",
    },
    "call_messages": {
        "call_id": "the call, llm_calls.id",
        "direction": "in: the call sent it; out: the model answered it",
        "position": "place in the conversation, counted from its first message",
        "choice": "which of several answers; 0 is the first",
        "message_id": "the message, messages.id",
    },
    "tool_calls": {
        "id": "row number",
        "call_id": "the call whose reply made it, llm_calls.id",
        "position": "place in that reply",
        "tool_call_id": "the provider's id of it",
        "name": "tool",
        "arguments": "the model's own text, JSON or not",
        "calls_inside": "JSON list: calls in the script that the arguments are (Codex's exec)",
        "result": "what came back, text or JSON; NULL until a later call brings it",
        "is_error": "1 when the result was marked as an error",
        "server": "1 when the tool ran at the provider (web search, code execution)",
        "typed": "1 when the provider defines it and the client runs it (shell, computer, patch):"
        " not counted in llm_calls.n_tool_calls",
        "item_id": "the id of the output item that held it, where there is one",
        "fingerprint": "keyed hash of name and arguments",
        "prompts": "JSON list of keyed hashes of the texts in the arguments",
        "span_id": "its span, spans.span_id",
        "how": "what ties the result to it: id, item_id, name+args, rewritten_id, name, reply",
        "confidence": "how sure that is, 0 to 1",
        "started_us": "when the reply that made it was complete, microseconds, UTC",
        "ended_us": "when the request with its result began",
        "answered_by_call_id": "the call that brought the result",
    },
    "sessions": {
        "session_id": "the client's own id; else run, process or address",
        "pid": "process that opened it",
        "how": "what it was told by: client, run, process, address",
        "confidence": "how sure that is, 0 to 1",
        "started_us": "when its first call began, microseconds, UTC",
        "ended_us": "when its last call ended",
    },
    "traces": {
        "trace_id": "32 hex digits; the client's own where it sent one",
        "thread_id": "the thread it was asked in",
        "call_id": "the call that opened it, llm_calls.id",
        "root_span_id": "its first span, spans.span_id",
        "name": "the text that asked for it, cut short",
        "how": "what opened it: client (it named the trace) or user_text",
        "confidence": "how sure that is, 0 to 1",
        "started_us": "when its first call began, microseconds, UTC",
        "ended_us": "when its last call ended",
    },
    "threads": {
        "thread_id": "the id of its first call",
        "parent_thread_id": "the thread of the agent that started this one",
        "parent_span_id": "the tool call that started it, spans.span_id; NULL: nobody's sub-agent",
        "how": "what that rests on: argument, header+argument, header",
        "confidence": "how sure that is, 0 to 1",
        "started_us": "when its first call began, microseconds, UTC",
        "ended_us": "when its last call ended",
    },
    "spans": {
        "span_id": "16 hex digits",
        "parent_span_id": "the span around it; NULL at the root",
        "kind": "agent, llm, attempt, tool",
        "name": "agent, operation and model, or tool",
        "call_id": "the call that did or asked for it, llm_calls.id",
        "outcome": "ok or error; NULL while it is open",
        "how": "what ties it to its place, where that was inferred",
        "confidence": "how sure that is, 0 to 1",
        "started_us": "when it began, microseconds, UTC",
        "ended_us": "when it ended; NULL while it is open",
    },
    "payloads": {
        "id": "row number; an earlier payload has a smaller one",
        "call_id": "the call, llm_calls.id",
        "request_headers": "names and values of the headers that may stay, as JSON: a byte"
        " for the form, then zstd with a dictionary. The call's page and exports read it",
        "response_headers": "the same of the response",
        "request_body": "decoded and redacted; a byte for the form, then the body or zstd, alone or"
        " as the difference to another: the call's page and store.request_of read it",
        "response_body": "the same of the response; store.response_of reads it",
        "stored_after": "payloads.id of the call that has to be read first; NULL: stands alone",
        "arrivals": "JSON list of microseconds and response bytes, in turns, each counted from the"
        " piece before; a byte for the form, then as it is or zstd: the call's page reads it",
    },
    "media": {
        "sha256": "hash of the bytes; message parts name it",
        "mime_type": "as sent",
        "size": "bytes",
        "width": "pixels",
        "height": "pixels",
        "duration_ms": "length of sounds and films",
        "token_estimate": "tokens by the provider's published rule; in no sum",
        "first_call_id": "the call that first carried it",
        "first_seen_us": "when that was, microseconds, UTC",
        "last_seen_us": "when it was last sent or made, microseconds, UTC",
        "data": "the bytes, at tier 3",
    },
    "blind_spots": {
        "id": "row number",
        "at_us": "when, microseconds, UTC",
        "host": "host of the connection",
        "reason": "why it was not decrypted",
        "client": "address of the client",
    },
    "recorder_events": {
        "id": "row number",
        "at_us": "when, microseconds, UTC",
        "kind": "what happened, such as spool_replayed",
        "detail": "its particulars, in words",
    },
    "rollup_hour": _SUMS,
    "rollup_day": _SUMS,
    "rollup_model": {
        name: said for name, said in _SUMS.items() if name not in ("agent_id", "project")
    }
    | {"asked_model": "model as asked, '' if none"},
    "rollup_session": {name: said for name, said in _SUMS.items() if name != "latencies"},
    "rollup_spend": spent.COLUMNS,
    **alert_tables.COLUMNS,
    **api_tables.COLUMNS,
    **prompts.COLUMNS,
    **commit_tables.COLUMNS,
    **kept_tables.COLUMNS,
    "unpriced": _MODEL
    | {
        "calls": "how many",
        "tokens_in": "sum of tokens_in",
        "tokens_out": "sum of tokens_out",
        "last_seen": "when the last of them began, ISO 8601, UTC",
    },
    "cost_by_day": _MODEL
    | {
        "day_utc": "the day, ISO 8601, UTC",
        "calls": "calls of that day",
        "cost_usd": "their cost in dollars, as far as it is known",
        "unpriced_calls": "calls whose cost is not known",
        "tokens_in": "sum of tokens_in",
        "tokens_out": "sum of tokens_out",
        "cache_read_tokens": "sum of cache_read_tokens",
    },
    "retries": {
        "started_at": "when the first attempt began",
        "attempts": "how many there were",
        "failed_attempts": "all but the last",
        "retry_cost_usd": "what the attempts before the last cost",
        "cost_usd": "what all of them cost",
        "lost_ms": "time spent in the attempts before the last",
        "outcome": "how the last one ended",
        "last_call_id": "the last attempt, llm_calls.id",
    },
    "billed_but_cancelled": _MODEL | _ESTIMATED_OUT,
    "estimates": _MODEL
    | _ESTIMATED_OUT
    | {
        "estimated_tokens_in": "input as we estimate it; it is in no sum",
        "estimated_cost_usd": "what that would cost; it is in no sum",
    },
    "agents": {
        "first_seen_us": "when its first call began, microseconds, UTC",
        "last_seen_us": "when its last call began",
        "calls": "its calls, side calls included",
        "sessions": "sessions it was in",
        "tool_calls": "tool calls its replies asked for",
        "failed": "calls that ended in an error or were cut short",
        "tokens_in": "sum of tokens_in",
        "tokens_out": "sum of tokens_out",
        "cost_nano_usd": "sum of their costs; NULL when none had a price",
    },
    "agent_calls": {
        "caller": "the agent that made the tool call",
        "callee": "the agent that worked for it",
        "tool": "the tool that stands for the other agent",
        "span_id": "the callee's agent span, spans.span_id",
        "trace_id": "the trace both belong to",
        "thread_id": "the callee's thread",
        "started_us": "when its first call began, microseconds, UTC",
        "latency_ms": "until its last call ended",
        "outcome": "ok or error: how its last call ended",
        "how": "what ties it to the tool call: argument, header+argument",
        "confidence": "how sure that is, 0 to 1",
        "calls": "calls it made for that",
        "tokens_in": "sum of tokens_in",
        "tokens_out": "sum of tokens_out",
        "cost_nano_usd": "sum of their costs; NULL when none had a price",
    },
    "broken_caches": {
        "model": "the model that answered",
        "after_call_id": "the call that read or wrote the cache, llm_calls.id",
        "tokens_lost": "tokens that could have come from the cache",
        "changed": "model, tools, system, history, time (the cache lives 5 minutes or an hour),"
        " unseen (nothing that we saw); system or tools: one of the two",
        "pause_ms": "time between the two calls",
    },
    "repeated_tool_calls": {
        "name": "the tool",
        "times": "how often it was called with the same arguments",
        "first_at": "when the first of those calls began",
        "last_at": "when the last of them began",
        "arguments": "JSON as the model wrote it, where it is kept",
        "results": "how many different results came back",
        "last_call_id": "the call that made the last of them, llm_calls.id",
        "cost_usd": "what asking again took: shares of all those calls but the first",
    },
    "tool_loops": {
        "name": "the tool",
        "times": "how often it was called with the same arguments, nothing else in between",
        "first_at": "when the first of those calls began",
        "last_at": "when the last of them began",
        "arguments": "JSON as the model wrote it, where it is kept",
        "results": "how many different results came back",
        "last_call_id": "the call that made the last of them, llm_calls.id",
        "cost_usd": "what asking again took: shares of all those calls but the first",
    },
    "unused_tools": {
        "name": "the tool",
        "calls": "calls that it was sent with",
        "last_at": "when the last of them began",
        "characters": "length of its description and schema",
        "estimated_tokens": "a quarter of that, for all these calls: what it took to send it",
        "estimated_cost_usd": "what these tokens took, at the mean price of one that was read",
    },
    "large_tool_results": {
        "call_id": "the call that made the tool call, llm_calls.id",
        "name": "the tool",
        "characters": "length of the result",
        "answered_by_call_id": "the call that brought it, llm_calls.id",
        "estimated_cost_usd": "what reading it took that call, by size; later ones read it again",
    },
    "read_prices": {
        "call_id": "the call, llm_calls.id",
        "usd_per_token": "US dollars: what the call cost without its output, by tokens_in",
    },
    "tool_call_costs": {
        "call_id": "the call that made the tool call, llm_calls.id",
        "position": "its place among those of the reply, tool_calls.position",
        "asked_usd": "US dollars: what the call cost, by the number of its tool calls",
        "estimated_read_usd": "what its result took to read once, four characters a token",
    },
    "drift": {
        "note": "what was new or misshapen",
        "calls": "calls that say so",
        "first_seen": "when the first of them began",
        "last_seen": "when the last of them began",
        "last_call_id": "the last of them, llm_calls.id",
    },
}


def columns_of(name: str, present: Iterable[str]) -> dict[str, str]:
    """What the columns *present* in the table or view *name* mean, in that order."""
    own = CALLS if name == "llm_calls" else COLUMNS.get(name, {})
    return {column: own.get(column) or CALLS[column] for column in present}
