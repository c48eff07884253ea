"""`unpriced`: calls that cost something have no price, so every sum is too low."""

from pydantic import Field

from ... import figures
from ...store.counting import MODEL_CALLS, UNPRICED
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

WITH_USAGE = f"{UNPRICED} and usage_source in ('reported', 'partial')"


class UnpricedCalls(Params):
    """Its settings."""

    window_minutes: int = Field(1440, ge=1, description="calls of the last minutes")
    min_calls: int = Field(1, ge=1, description="fires from so many calls on")
    per: Per = Field("model", description="one firing for all, or for each agent, model ...")


def ask(p: UnpricedCalls, at: At) -> Question:
    """Calls with usage and without a price."""
    clauses, given = filters(p)
    sql = f"""
        select {SUBJECTS[p.per]} as subject, count(*) as calls, max(unpriced_reason) as reason
        from llm_calls
        where started_us >= :since_us and started_us < :now_us and {MODEL_CALLS}
          and {WITH_USAGE}{clauses}
        group by 1
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return Question(sql, given | {"since_us": since_us, "now_us": at.now_us})


def judge(row: Row, p: UnpricedCalls, at: At) -> Verdict:
    """So many, and why."""
    reason = (row["reason"] or "no reason known").replace("_", " ")
    told = (
        f"{figures.counted(row['calls'], 'call')} in {words.minutes(p.window_minutes)}"
        f" without a price: {reason}"
    )
    return Verdict(row["calls"] >= p.min_calls, told, row["calls"])


def calls(p: UnpricedCalls, at: At, subject: str) -> Question:
    """The calls."""
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return calls_behind(WITH_USAGE, p, p.per, subject, since_us=since_us, until_us=at.now_us)


RULE = RuleType(
    name="unpriced",
    summary="Calls with usage have no price. See `agenttrace-mitm db reprice`.",
    params=UnpricedCalls,
    ask=ask,
    judge=judge,
    calls=calls,
    gone="every call has a price",
    example={"min_calls": 5},
)
