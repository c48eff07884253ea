"""What the bytes of an exchange tell of its call: the columns that reading them again can renew.

Comes in: an exchange and what was understood of it.  Goes out: columns by name, and how the call
ended.  Where it belongs, what it cost and what may be kept of it is decided elsewhere.
"""

from .model import Exchange, Failure, Json, Outcome, Reply, Understood

UNREACHED = "connection_error"
"""The error type of a call to which no provider answered."""


def told_by(exchange: Exchange, understood: Understood) -> dict[str, Json]:
    """Columns of `llm_calls` that the bytes alone decide."""
    ask, reply, usage = understood.ask, understood.reply, understood.reply.usage
    failure = reply.failure or _unanswered(exchange)
    return {
        "dialect": understood.dialect,
        "operation": understood.operation,
        "kind": understood.kind,
        "service_tier": reply.service_tier or None,
        "params": dict(ask.params),
        "model": ask.model or None,
        "response_model": reply.model or None,
        "streamed": understood.streamed,
        "outcome": outcome(exchange, reply),
        "error_type": failure.type or None if failure else None,
        "error_code": failure.code or None if failure else None,
        "error_message": failure.message or None if failure else None,
        "finish_reason": _finish_reason(exchange, understood),
        "finish_reasons": list(reply.finish_reasons),
        "tokens_in": usage.input_tokens,
        "tokens_out": usage.output_tokens,
        "tokens_total": usage.total_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_detail": dict(usage.detail),
        "usage_raw": usage.raw,
        "usage_source": usage.source,
        "response_id": reply.response_id or None,
        "n_tool_calls": len(reply.tool_calls),
        "tool_names": [made.name for made in reply.tool_calls],
        "reply_chars": len(reply.text) if reply.messages else None,
    }


def is_reserved(service_tier: str | None) -> bool:
    """True for capacity that was paid for in advance: its calls are not billed by the token."""
    return service_tier == "PROVISIONED_THROUGHPUT"


def outcome(exchange: Exchange, reply: Reply) -> Outcome:
    """How the call ended: an error the provider reported comes before the way it was cut."""
    if reply.failure or (exchange.status is not None and exchange.status >= 400):
        return "error"
    if exchange.status is not None and reply.complete and reply.messages:
        return "ok"  # everything had been said when the connection went
    if exchange.ending == "client_left":
        return "cancelled"
    if exchange.ending != "complete" or exchange.status is None or not reply.complete:
        return "interrupted"
    return "ok"


def _unanswered(exchange: Exchange) -> Failure | None:
    """Why nothing was answered, in the proxy's words: no such name, a connection that was lost."""
    if exchange.status is None and exchange.ending == "upstream_left" and exchange.ending_note:
        return Failure(UNREACHED, message=exchange.ending_note)
    return None


def _finish_reason(exchange: Exchange, understood: Understood) -> str | None:
    reply = understood.reply
    if reply.finish_reason:
        return reply.finish_reason
    if understood.kind != "llm":
        return None
    if outcome(exchange, reply) in ("cancelled", "interrupted"):
        return "aborted"
    return "error" if reply.failure else None
