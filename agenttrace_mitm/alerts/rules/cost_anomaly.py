"""`cost_anomaly`: the last hour cost far more than the same hour of past weeks.

Median and median absolute deviation: one bad week in the past does not hide the next one.
"""

import json
import statistics
from typing import Literal

from pydantic import Field

from ... import figures
from ...store.counting import METERED, MODEL_CALLS
from ..moments import HOUR_US, weeks_before
from ..rule_type import (
    SUBJECTS,
    At,
    Params,
    Question,
    Row,
    RuleType,
    Verdict,
    calls_behind,
    filters,
)

SIGMA = 1.4826  # makes a median absolute deviation of a normal distribution its standard one


class CostAnomaly(Params):
    """Its settings."""

    weeks: int = Field(6, ge=2, le=26, description="compared with so many past weeks")
    min_weeks: int = Field(3, ge=2, description="fewer weeks of recordings say nothing")
    factor: float = Field(3, gt=1, description="fires from so many times the usual spend on")
    deviations: float = Field(4, ge=0, description="and from so many usual deviations above it")
    min_usd: float = Field(1, ge=0, description="and only so many dollars above the usual")
    per: Literal["all", "agent", "model", "provider"] = Field(
        "all", description="judge all together, or each agent, model ... by itself"
    )


def ask(p: CostAnomaly, at: At) -> Question:
    """Spend in the last 60 minutes and in the same 60 of each past week, by the clock."""
    clauses, given = filters(p)
    ends = [weeks_before(at.now_us, week, at.zone) for week in range(p.weeks + 1)]
    windows = ", ".join(f"({week}, {end - HOUR_US}, {end})" for week, end in enumerate(ends))
    sql = f"""
        with windows (week, since_us, until_us) as (values {windows}),
        spend as (
            select {SUBJECTS[p.per]} as subject, week, sum(cost_nano_usd) as spent
            from windows cross join llm_calls
            where started_us >= since_us and started_us < until_us and {MODEL_CALLS}
              and {METERED} and outcome <> 'in_flight'{clauses}
            group by 1, 2
        )
        select subject, coalesce(sum(case when week = 0 then spent end), 0) as spent,
               json_group_object(week, spent) as weeks,
               (select count(*) from windows
                where week > 0 and since_us >= (select min(started_us) from llm_calls))
                   as weeks_recorded
        from spend group by subject
    """
    return Question(sql, given)


def judge(row: Row, p: CostAnomaly, at: At) -> Verdict:
    """A week without a call of the subject is a week of zero, if anything was recorded then."""
    known = row["weeks_recorded"]
    if known < p.min_weeks:
        few = f"{figures.counted(known, 'week')} recorded, too few to compare"
        return Verdict(False, few, row["spent"] / 1e9)
    weeks = json.loads(row["weeks"])
    past = [weeks.get(str(week)) or 0 for week in range(1, known + 1)]
    usual = statistics.median(past)
    deviation = SIGMA * statistics.median(abs(spent - usual) for spent in past)
    least = max(p.factor * usual, usual + p.deviations * deviation, usual + p.min_usd * 1e9)
    told = (
        f"{figures.usd(row['spent'])} in the last hour; {figures.usd(usual)} is usual at this time"
        f" (median of {figures.counted(known, 'week')})"
    )
    fires = row["spent"] > 0 and row["spent"] >= least
    return Verdict(fires, told, row["spent"] / 1e9)


def calls(p: CostAnomaly, at: At, subject: str) -> Question:
    """The calls that cost most."""
    return calls_behind(
        f"cost_nano_usd > 0 and {METERED}",
        p,
        p.per,
        subject,
        since_us=at.now_us - HOUR_US,
        until_us=at.now_us,
        dearest=True,
    )


RULE = RuleType(
    name="cost_anomaly",
    summary="The last hour cost far more than the same hour of past weeks.",
    params=CostAnomaly,
    ask=ask,
    judge=judge,
    calls=calls,
    gone="nothing was spent in the last hour",
    example={"factor": 5, "min_usd": 2, "per": "agent"},
)
