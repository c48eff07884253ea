"""A call that a program tells of itself, on its way from the web process to the recorder."""

from typing import Literal

import msgspec

from .call import LlmCall
from .json import Json
from .row import row_of


class SubmittedCall(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Those columns of `LlmCall` that such a call has, priced; JSON holds them without names.

    There are thousands a second: as lists they are read and looked through for secrets in half the
    time.  Both processes are of one installation, so the order may change with any version.
    """

    id: str
    started_us: int
    ended_us: int
    provider: str
    operation: str
    model: str | None
    response_model: str | None
    status_code: int | None
    outcome: Literal["ok", "error"]
    error_type: str | None
    error_message: str | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_total: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage_source: Literal["reported", "none"]
    latency_ms: float | None
    ttft_ms: float | None
    client_request_id: str | None
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    session_id: str | None
    agent_id: str
    source: str
    tags: Json
    cost_nano_usd: int | None
    cost_detail: Json
    price_source: str | None
    unpriced_reason: str | None
    notes: Json

    def stored(self, tier: Literal[1, 2, 3]) -> LlmCall:
        """The whole call, not yet cut down to *tier*."""
        return row_of(
            LlmCall,
            kind="llm",
            billing="metered",
            host="",
            method="POST",
            path="",
            privacy_tier=tier,
            **msgspec.structs.asdict(self),
        )
