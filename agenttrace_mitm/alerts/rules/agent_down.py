"""`agent_down`: an agent that used to be heard of is silent.

A heartbeat is a sign of life, and so is a call, also one that is under way.
"""

from pydantic import Field

from .. import words
from ..moments import DAY_US, MINUTE_US
from ..rule_type import At, Params, Question, Row, RuleType, Verdict


class AgentDown(Params):
    """Its settings."""

    duration_minutes: int = Field(5, ge=1, description="silent for this long")
    forget_days: int = Field(
        7, ge=1, description="where no agent is named: one silent for longer has retired"
    )


def ask(p: AgentDown, at: At) -> Question:
    """When each agent was last heard of; agents are found by steps in the index."""
    named = "select :agent as agent" if p.agent else _EVERYBODY
    sql = f"""
        with recursive {_STEPS} seen (agent) as ({named})
        select agent as subject, max(at_us) as last_us from (
            select agent, (
                select max(case when outcome = 'in_flight' and started_us > :now_us - :day_us
                           then :now_us else coalesce(min(ended_us, :now_us), started_us) end)
                from (select outcome, started_us, ended_us from llm_calls
                      where agent_id = seen.agent and started_us < :now_us
                      order by started_us desc limit 20)
            ) as at_us from seen
            union all
            select agent, (select max(at_us) from events
                           where agent_id = seen.agent and at_us <= :now_us) from seen
        )
        where at_us is not null
        group by agent
        having :named or last_us >= :forgotten_us
    """
    return Question(
        sql,
        {
            "agent": p.agent,
            "named": bool(p.agent),
            "now_us": at.now_us,
            "day_us": DAY_US,
            "forgotten_us": at.now_us - p.forget_days * DAY_US,
        },
    )


_STEPS = """
    called (agent) as (
        select min(agent_id) from llm_calls
        union all
        select (select min(agent_id) from llm_calls where agent_id > called.agent)
        from called where called.agent is not null
    ),
    beaten (agent) as (
        select min(agent_id) from events
        union all
        select (select min(agent_id) from events where agent_id > beaten.agent)
        from beaten where beaten.agent is not null
    ),
"""
_EVERYBODY = """
    select agent from called where agent is not null
    union select agent from beaten where agent is not null
"""


def judge(row: Row, p: AgentDown, at: At) -> Verdict:
    """Silent for the duration, to the microsecond."""
    silent = (at.now_us - row["last_us"]) / MINUTE_US
    if silent >= p.duration_minutes:
        return Verdict(True, f"no call and no heartbeat for {words.minutes(silent)}", silent)
    return Verdict(False, "heard of again", silent)


RULE = RuleType(
    name="agent_down",
    summary="An agent sends neither a call nor a heartbeat. One never heard of is not down.",
    params=AgentDown,
    ask=ask,
    judge=judge,
    gone="silent for so long that it counts as retired",
    example={"agent": "nightly-eval", "duration_minutes": 30},
)
