"""`error_rate`: too many calls fail."""

from pydantic import Field

from ... import figures
from ...store.counting import FAILED, MODEL_CALLS
from .. import words
from ..moments import MINUTE_US
from ..rule_type import (
    SUBJECTS,
    At,
    Params,
    Per,
    Question,
    Row,
    RuleType,
    Verdict,
    calls_behind,
    filters,
)


class ErrorRate(Params):
    """Its settings."""

    window_minutes: int = Field(15, ge=1, description="calls of the last minutes")
    threshold_percent: float = Field(10, gt=0, le=100, description="fires from this share on")
    min_calls: int = Field(10, ge=1, description="fewer calls say nothing")
    per: Per = Field("all", description="judge all together, or each agent, model ... by itself")


def ask(p: ErrorRate, at: At) -> Question:
    """Calls and failed calls of the window.  A call that its client left did not fail."""
    clauses, given = filters(p)
    sql = f"""
        select {SUBJECTS[p.per]} as subject, count(*) as calls, sum({FAILED}) as failed
        from llm_calls
        where started_us >= :since_us and started_us < :now_us and {MODEL_CALLS}
          and outcome <> 'in_flight'{clauses}
        group by 1
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return Question(sql, given | {"since_us": since_us, "now_us": at.now_us})


def judge(row: Row, p: ErrorRate, at: At) -> Verdict:
    """Too few calls say nothing."""
    calls, failed = row["calls"], row["failed"]
    share = failed / calls
    when = f"in {words.minutes(p.window_minutes)}"
    if calls < p.min_calls:
        few = f"{figures.counted(calls, 'call')} {when}, too few to judge"
        return Verdict(False, few, 100 * share)
    told = (
        f"{failed:,} of {figures.counted(calls, 'call')} failed {when} ({figures.percent(share)})"
    )
    return Verdict(100 * share >= p.threshold_percent, told, 100 * share)


def calls(p: ErrorRate, at: At, subject: str) -> Question:
    """The calls that failed."""
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return calls_behind(FAILED, p, p.per, subject, since_us=since_us, until_us=at.now_us)


RULE = RuleType(
    name="error_rate",
    summary="Too large a share of calls failed.",
    params=ErrorRate,
    ask=ask,
    judge=judge,
    calls=calls,
    gone="no calls in the window",
    example={"window_minutes": 15, "threshold_percent": 20, "per": "agent"},
)
