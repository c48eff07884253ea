"""What one session took: the figures that a gate in CI judges."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from .counting import FAILED, METERED, MODEL_CALLS, UNPRICED, WITHOUT_USAGE, known_sum
from .queries import reading


@dataclass(frozen=True, slots=True)
class SessionSums:
    """Sums over a session's calls.  Cost is what was metered; `unpriced` calls are left out of it.

    Tokens and cost are None where nobody knows any of them; of calls `without_usage` it is not
    known what they read and wrote.  `agent_id` is who the session is of, not a sub-agent.

    `unmetered_nano_usd` is the list price of what a subscription or a free tier covers.
    """

    session_id: str
    agent_id: str | None
    started_us: int
    duration_s: float
    calls: int
    errors: int
    running: int
    tokens_in: int | None
    tokens_out: int | None
    without_usage: int
    cost_nano_usd: int | None
    unpriced: int
    unmetered_nano_usd: int
    tool_calls: int
    tool_failures: int
    commits: int = 0
    commit_lines_added: int | None = 0
    commit_lines_removed: int | None = 0


_LAST = f"""
    select session_id from llm_calls
    where session_id is not null and {MODEL_CALLS} order by started_us desc limit 1
"""
_SUMS = f"""
    select session_id,
           coalesce((select coalesce(s.agent_id, s.client, s.process) from sessions s
                     where s.session_id = :session),
                    (select c.agent_id from llm_calls c where c.session_id = :session
                     and {MODEL_CALLS} order by c.started_us limit 1)) as agent_id,
           min(started_us) as started_us,
           (max(coalesce(ended_us, started_us)) - min(started_us)) / 1e6 as duration_s,
           count(*) as calls, sum({FAILED}) as errors, sum(outcome = 'in_flight') as running,
           sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
           sum({WITHOUT_USAGE}) as without_usage,
           {known_sum(of=METERED)} as cost_nano_usd,
           sum({UNPRICED} and {METERED}) as unpriced,
           coalesce(sum(case when not {METERED} then cost_nano_usd end), 0)
               as unmetered_nano_usd
    from llm_calls where session_id = :session and {MODEL_CALLS}
"""
_TOOLS = """
    select count(*) as tool_calls, coalesce(sum(is_error = 1), 0) as tool_failures
    from llm_calls c join tool_calls t on t.call_id = c.id where c.session_id = ?
"""
_COMMITS = """
    select count(*) as commits,
           case when count(*) then sum(lines_added) else 0 end as commit_lines_added,
           case when count(*) then sum(lines_removed) else 0 end as commit_lines_removed
    from commits where session_id = ? and call_id is not null and not replaced
"""


def sums(database: Path, session: str | None) -> SessionSums:
    """The figures of *session*, the last one when None.  Raises `StoreError` without it."""
    with reading(database) as db:
        db.row_factory = sqlite3.Row
        if session is None:
            found = db.execute(_LAST).fetchone()
            session = found[0] if found else ""
        row = db.execute(_SUMS, {"session": session}).fetchone()
        tools = db.execute(_TOOLS, (session,)).fetchone()
        commits = db.execute(_COMMITS, (session,)).fetchone()
    if not row or row[0] is None:
        raise StoreError(
            f"There is no session {session!r}" if session else "No session was recorded",
            "See: agenttrace-mitm sessions list",
        )
    return SessionSums(**dict(row), **dict(tools), **dict(commits))
