"""What is stored: one `llm_calls` row and the rows that hang on it.

Field names are the column names of the database; `store/descriptions.py` describes each for people.
"""

from typing import Literal

from .json import Json
from .placement import Placement
from .row import Row
from .usage import UsageSource

Outcome = Literal["ok", "error", "cancelled", "interrupted", "in_flight"]
Kind = Literal["llm", "auxiliary", "count", "admin", "telemetry"]


class LlmCall(Row):
    """One exchange with a provider host, normalized.  JSON columns hold plain values here."""

    id: str
    started_us: int
    ended_us: int | None = None
    provider: str
    dialect: str = "other"
    operation: str = "other"
    kind: Kind = "admin"
    service_tier: str | None = None
    billing: Literal["metered", "subscription", "free"] | None = None
    params: Json = None
    rate_limit: Json = None
    tags: Json = None
    project: str | None = None
    end_user: str | None = None
    prompt_id: str | None = None
    host: str
    method: str
    path: str
    model: str | None = None
    response_model: str | None = None
    streamed: bool = False
    status_code: int | None = None
    outcome: Outcome
    error_type: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    finish_reason: str | None = None
    finish_reasons: Json = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_total: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_detail: Json = None
    usage_raw: Json = None
    usage_source: UsageSource = "none"
    cost_nano_usd: int | None = None
    cost_detail: Json = None
    price_source: str | None = None
    unpriced_reason: str | None = None
    latency_ms: float | None = None
    ttfb_ms: float | None = None
    ttft_ms: float | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    chunks: int = 0
    response_id: str | None = None
    duplicate_of: str | None = None
    provider_request_id: str | None = None
    client_request_id: str | None = None
    operation_id: str | None = None
    attempt: int = 1
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    thread_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    continues_call_id: str | None = None
    continues_how: str | None = None
    continues_confidence: float | None = None
    history: str | None = None
    conversation_id: str | None = None
    turn_print: str | None = None
    reply_print: str | None = None
    request_chain: str | None = None
    n_messages: int = 0
    n_tool_calls: int = 0
    tool_names: Json = None
    reply_chars: int | None = None
    user_agent: str | None = None
    client: str | None = None
    client_address: str | None = None
    pid: int | None = None
    process: str | None = None
    cwd: str | None = None
    source: str = "proxy"
    privacy_tier: Literal[1, 2, 3] = 3
    notes: Json = None


class StoredMessage(Row):
    """One message that a call adds to its conversation, as it may be kept.

    `content` is the list of parts; None when the tier drops it, or when `known` says that the
    store has it already.  `position` counts from the conversation's first message.  `direction`
    says whether the call sent it or the model answered it; `choice` numbers the answers of one
    call.
    """

    fingerprint: str
    known: bool = False
    position: int
    direction: Literal["in", "out"]
    choice: int = 0
    role: str
    content: Json = None
    text: str | None = None
    size: int = 0


class StoredToolCall(Row):
    """A tool call that the model made in this reply; the result comes with a later call."""

    tool_call_id: str
    position: int
    name: str
    arguments: str | None = None
    server: bool = False
    typed: bool = False
    item_id: str = ""
    fingerprint: str = ""
    prompts: tuple[str, ...] = ()
    span_id: str | None = None
    calls_inside: Json = None


class StoredToolResult(Row):
    """What a tool answered to a call that an earlier reply made.  `result` is JSON or text.

    `call_id` and `position` name that tool call, `at_us` is when the result came.
    """

    tool_call_id: str
    call_id: str
    position: int
    how: str = "id"
    confidence: float = 1.0
    at_us: int
    result: Json = None
    is_error: bool = False


class StoredPrompt(Row):
    """A system prompt and a tool set of an agent, without what changes by itself.

    `system` is text, `tools` a JSON list in the order of names; both are None when not kept.
    Sizes are in characters; prints are keyed, empty where there is no such part.
    """

    prompt_id: str
    agent_id: str
    system_print: str = ""
    tools_print: str = ""
    system: str | None = None
    tools: Json = None
    system_chars: int = 0
    tools_chars: int = 0
    n_tools: int = 0


class StoredMedium(Row):
    """An image, a sound or a file; `data` is None where it is too large or holds a secret."""

    sha256: str
    mime_type: str
    size: int
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    token_estimate: int | None = None
    data: bytes | None = None


class Payload(Row):
    """Wire bytes of a call, decoded and redacted (tier 3).  Bodies are None when withheld.

    Bodies name their media by hash; `media` holds each once.
    """

    request_headers: Json = None
    response_headers: Json = None
    request_body: bytes | None = None
    response_body: bytes | None = None
    arrivals: Json = None
    media: tuple[StoredMedium, ...] = ()


class Record(Row):
    """Everything the store writes for one call.

    `messages` are those that the call adds to what `continues_call_id` already holds; `prompt` is
    None where there is none, or the store has it.  `awaited` are calls that came before, and may
    go on from this one; `overtaken` where a call that began later goes on from the same one.
    """

    call: LlmCall
    messages: tuple[StoredMessage, ...] = ()
    tool_calls: tuple[StoredToolCall, ...] = ()
    tool_results: tuple[StoredToolResult, ...] = ()
    payload: Payload | None = None
    placement: Placement = Placement()
    prompt: StoredPrompt | None = None
    awaited: tuple[str, ...] = ()
    overtaken: bool = False
