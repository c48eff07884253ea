"""Where a call belongs: its session, trace and thread, and the spans it opens or closes.

Each value may be written again, by the same call or by a later one: what is known first stays,
ends move on.  `how` says what an inferred edge rests on, `confidence` how sure it is (0 to 1).
"""

from typing import Literal

from .row import Row

SpanKind = Literal["agent", "llm", "attempt", "tool"]


class StoredSession(Row):
    """One run of a program, or one conversation with a coding agent."""

    session_id: str
    agent_id: str | None = None
    client: str | None = None
    pid: int | None = None
    process: str | None = None
    cwd: str | None = None
    how: str = ""
    confidence: float = 1.0
    started_us: int
    ended_us: int


class StoredTrace(Row):
    """One piece of work; `name` is the text that asked for it."""

    trace_id: str
    session_id: str | None = None
    thread_id: str | None = None
    call_id: str
    agent_id: str | None = None
    root_span_id: str
    name: str | None = None
    how: str = ""
    confidence: float = 1.0
    started_us: int
    ended_us: int


class StoredThread(Row):
    """Calls each of which continues the one before; a sub-agent's has a parent span."""

    thread_id: str
    session_id: str | None = None
    agent_id: str | None = None
    parent_thread_id: str | None = None
    parent_span_id: str | None = None
    how: str = ""
    confidence: float = 1.0
    started_us: int
    ended_us: int


class StoredSpan(Row):
    """A timed step.  `ended_us` and `outcome` are None while it is open."""

    span_id: str
    trace_id: str
    parent_span_id: str | None = None
    kind: SpanKind
    name: str = ""
    call_id: str | None = None
    thread_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    outcome: str | None = None
    how: str = ""
    confidence: float = 1.0
    started_us: int
    ended_us: int | None = None


class Placement(Row):
    """Everything that one call says about where it belongs."""

    session: StoredSession | None = None
    trace: StoredTrace | None = None
    thread: StoredThread | None = None
    spans: tuple[StoredSpan, ...] = ()
