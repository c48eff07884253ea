"""What the columns of `llm_calls`, the other tables and the views mean, in a line each.

`docs/schema.md` and the pages' captions are made of this; columns of other tables are described in
`columns`.
"""

from . import alert_tables, api_tables, commit_tables, kept_tables, prompts

CALL_COLUMNS = {
    "id": "UUIDv7; sorts by time",
    "started_us": "when the request began, microseconds since the epoch, UTC",
    "ended_us": "when the exchange ended, microseconds, UTC",
    "provider": "openai, anthropic, google, mistral, cohere, ...",
    "dialect": "wire dialect, such as openai.chat or anthropic.messages; other when unread",
    "operation": "OpenTelemetry operation: chat, generate_content, text_completion, embeddings,"
    " invoke_agent; else audio, classify, compact, count_tokens, decision, image, moderation, ocr,"
    " parse, rerank, video, admin, cancel, files, models, retrieve, update, other",
    "kind": "llm, auxiliary (side calls of agents), count, admin, telemetry",
    "service_tier": "price class as served",
    "billing": "metered, subscription, free; NULL unknown. Spend means metered",
    "params": "JSON: sampling and control parameters as asked",
    "rate_limit": "JSON: typed rate-limit headers of the response",
    "tags": "JSON: labels given to the run",
    "project": "repository or label",
    "end_user": "the caller's own end-user id",
    "prompt_id": "the version of its agent's system prompt and tools, prompts.prompt_id",
    "host": "host that was asked",
    "method": "HTTP method",
    "path": "path; query secrets are gone",
    "model": "model as asked",
    "response_model": "model as answered",
    "streamed": "1 when the reply was a stream, or should have been one and was none at all",
    "status_code": "HTTP status; NULL when no response came",
    "outcome": "ok, error, cancelled (the client left), interrupted (cut short), in_flight",
    "error_type": "the provider's error type, also from inside a stream; `connection_error` where"
    " nothing was answered",
    "error_code": "the provider's error code",
    "error_message": "the provider's words",
    "finish_reason": "normalized: stop, length, tool_calls, content_filter, paused, error, aborted,"
    " other (a word we do not know)",
    "finish_reasons": "JSON list: the provider's own words, one per choice",
    "tokens_in": "everything the model read, cached or not",
    "tokens_out": "everything generated, reasoning included",
    "tokens_total": "the provider's own total",
    "cache_read_tokens": "part of tokens_in that came from a cache",
    "cache_write_tokens": "part of tokens_in that was written to a cache",
    "reasoning_tokens": "part of tokens_out that was reasoning",
    "usage_detail": "JSON: further splits, meters (web_searches) and estimates (estimated_*)",
    "usage_raw": "JSON: the provider's usage object, with the `image_model` of a tool beside it",
    "usage_source": "reported, partial (cut off), estimated (in usage_detail only), none",
    "cost_nano_usd": "exact cost in nano-dollars; NULL is unpriced, not free",
    "cost_detail": "JSON: nano-dollars by kind; listed: by price list, beside a reported one",
    "price_source": "version of the price data",
    "unpriced_reason": "why there is no cost: unknown_model, unknown_provider, no_usage,"
    " not_billed, error, out_of_range, overlap_error, unreadable_usage, unpriced_unit:... (a unit"
    " that no price is known for)",
    "latency_ms": "from the request's first byte to the end",
    "ttfb_ms": "to the first byte of the response",
    "ttft_ms": "to the first generated content; reasoning and tool calls count",
    "request_bytes": "request body on the wire",
    "response_bytes": "response body on the wire",
    "chunks": "pieces in which the response arrived",
    "response_id": "the provider's id of the response",
    "duplicate_of": "call whose response this one only read again; its figures are not repeated",
    "provider_request_id": "request id from the response headers",
    "client_request_id": "request id from the client",
    "operation_id": "what the program wanted: the id of the first attempt, in all of them",
    "attempt": "1 for the first try, 2 for the first retry",
    "trace_id": "32 hex digits",
    "span_id": "16 hex digits",
    "parent_span_id": "16 hex digits",
    "thread_id": "calls each of which continues the one before",
    "session_id": "one run of a program, or one conversation with a coding agent",
    "agent_id": "who called",
    "continues_call_id": "the call whose messages this one goes on from",
    "continues_how": "what that rests on: previous_response_id, conversation, prefix, turn,"
    " tool_result",
    "continues_confidence": "how sure that is, 0 to 1",
    "history": "what became of the history: grown, forked, edited, truncated, compacted",
    "conversation_id": "the conversation's id, where client and provider have one",
    "turn_print": "keyed fingerprint of the reply after the last message",
    "reply_print": "keyed fingerprint of the reply's words, where they are many",
    "request_chain": "keyed fingerprint of all request messages in order",
    "n_messages": "messages in the request, history included",
    "n_tool_calls": "calls the reply asks the client to run",
    "tool_names": "JSON list of their names",
    "reply_chars": "length of the answer's text",
    "user_agent": "User-Agent header",
    "client": "recognised client: openai-python, claude-code, ...",
    "client_address": "client's address and port",
    "pid": "process behind the connection",
    "process": "its name",
    "cwd": "its working directory",
    "source": "proxy, sdk, otlp, hook, transcript",
    "privacy_tier": "tier under which the call was stored",
    "notes": "JSON list of surprises",
}

GENERATED_COLUMNS = {
    "started_at": "started_us as ISO 8601 text, UTC",
    "ended_at": "ended_us as ISO 8601 text, UTC",
    "hour": "hours since the epoch, UTC; group by it",
    "day": "days since the epoch, UTC; group by it",
    "cost_usd": "cost_nano_usd in dollars",
}

STORED_COLUMNS = {"operation_id": "retry_of"}
"""Columns of calls that SQLite tells from others which are stored: what is told, and of which."""

TOLD_OF_COLUMNS = {
    "retry_of": "the first attempt of the operation that this call tries again; NULL in the first",
}

TABLES = {
    "messages": "each message once, however often it was sent",
    "call_messages": "the messages a call adds to the conversation it continues",
    "tool_calls": "tool calls the models made, and what came back",
    "sessions": "runs of programs, and conversations with coding agents",
    "traces": "pieces of work that were asked for, each a tree of spans",
    "threads": "calls each of which continues the one before; sub-agents have a parent span",
    "spans": "timed steps: agents, model operations and their attempts, tools",
    "payloads": "wire bytes and headers, decoded and redacted (privacy tier 3)",
    "media": "images, sounds and files, once each; message parts name them by sha256 (tier 3)",
    "blind_spots": "connections to LLM hosts that were not decrypted, and why",
    "recorder_events": "what an operator should know: drops, spool, restarts",
    "rollup_hour": "ended calls added up by UTC hour, model, agent, project, kind and billing",
    "rollup_day": "the same as rollup_hour by UTC day",
    **prompts.TABLES,
    "rollup_model": "the same by UTC day and model, the one asked for as well, without agents",
    "rollup_session": "the same by session and prompt as well, without latencies",
    "rollup_spend": "calls and spend of each session by UTC day",
    **alert_tables.TABLES,
    **api_tables.TABLES,
    **commit_tables.TABLES,
    **kept_tables.TABLES,
}

VIEWS = {
    "errors": "calls that failed, newest first",
    "unpriced": "calls with usage but no price, by model",
    "cost_by_day": "spend, calls and tokens per day and model",
    "slowest": "the slowest answered calls",
    "retries": "operations that took several attempts, and what the failed ones cost",
    "billed_but_cancelled": "calls that were cut off, and what the provider counted until then",
    "estimates": "calls of which the provider reported nothing: estimated, in no sum",
    "agents": "who called: how often, at what cost, since when",
    "agent_calls": "each time an agent started another: through which tool, and what it took",
    "broken_caches": "calls that should have hit a prompt cache: tokens lost, and what changed",
    "repeated_tool_calls": "tool calls made more than once alike in one conversation",
    "tool_loops": "the same tool call three times and more in a row, and whether results differed",
    "unused_tools": "tools sent with ten calls and more that none called; tokens are estimated",
    "large_tool_results": "tool results above 20,000 characters: each later call resends them",
    "read_prices": "what a token that a call read cost, cached ones and others together; metered",
    "tool_call_costs": "what each tool call took: its share of the call that asked, its result",
    "drift": "what providers sent that was new or misshapen, by dialect",
}
