"""The calls that were made with one version of a prompt: no index has them.

A version is one agent's, and its calls are found by the index on agents and time, from the last
day on which it was in use to the first: the sums of days say when that was.
"""

import sqlite3

from ..asking import DAY_US

# Beyond the versions of an agent that are kept, sums alone know whose a version is.  Nobody's are
# of agent '' there, of none in calls.
OF_PROMPT = (
    " and agent_id is nullif(coalesce((select agent_id from prompts where prompt_id = :prompt),"
    " (select agent_id from rollup_session where prompt_id = :prompt limit 1)), '')"
    " and prompt_id = :prompt"
)
"""A condition on `llm_calls`."""

_IN_USE = f"""
    select min(since), max(until) from (
        select min(day) * {DAY_US} as since, (max(day) + 1) * {DAY_US} as until
        from rollup_session where day >= :first and day <= :last and prompt_id = :prompt
        union all  -- sums are of calls that have ended
        select min(started_us), max(started_us) + 1
        from llm_calls indexed by llm_calls_running
        where outcome = 'in_flight' and started_us > 0 and prompt_id = :prompt
    )
"""


def in_use(db: sqlite3.Connection, prompt: str, since_us: int, until_us: int) -> tuple[int, int]:
    """The part of the time *since_us* to *until_us* in which the version was called."""
    given = {"prompt": prompt, "first": since_us // DAY_US, "last": (until_us - 1) // DAY_US}
    since, until = db.execute(_IN_USE, given).fetchone()
    if since is None:
        return since_us, since_us
    return max(since, since_us), min(until, until_us)
