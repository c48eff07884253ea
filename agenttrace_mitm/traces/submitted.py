"""The place of a call that its program told of: its session, and the trace and span that it names.

No messages came with it, so nothing is inferred: one that names no trace is in none.  Telling of
it and `traces rebuild` both ask here, so that both say the same.
"""

from ..model import LlmCall, Placement, StoredSession, StoredSpan, StoredTrace, row_of
from .placing import span_of


def is_submitted(call: LlmCall) -> bool:
    """True for a call that a program told of: what crossed a wire has a host."""
    return not call.host


def as_told(call: LlmCall, session: StoredSession | None) -> tuple[LlmCall, Placement]:
    """*call* with the id of its span, and its place in the trace that it names and in *session*."""
    trace_id = call.trace_id
    if not trace_id:
        return call, row_of(Placement, session=session)
    span_id = call.span_id or span_of(call.id)
    if not call.span_id:
        call = call.model_copy(update={"span_id": span_id})
    ended_us = call.ended_us or call.started_us
    span = row_of(
        StoredSpan,
        span_id=span_id,
        trace_id=trace_id,
        parent_span_id=call.parent_span_id,
        kind="llm",
        name=f"{call.operation or ''} {call.model or ''}".strip(),
        call_id=call.id,
        session_id=call.session_id,
        agent_id=call.agent_id,
        outcome="ok" if call.outcome == "ok" else "error",
        started_us=call.started_us,
        ended_us=ended_us,
    )
    trace = row_of(
        StoredTrace,
        trace_id=trace_id,
        session_id=call.session_id,
        call_id=call.id,
        agent_id=call.agent_id,
        root_span_id=span_id,
        how="client",
        started_us=call.started_us,
        ended_us=ended_us,
    )
    return call, row_of(Placement, session=session, trace=trace, spans=(span,))
