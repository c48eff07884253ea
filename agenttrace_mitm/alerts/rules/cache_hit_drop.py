"""`cache_hit_drop`: much less is read from the prompt cache than in the days before."""

from typing import Literal

from pydantic import Field

from ... import figures
from ...store.counting import MODEL_CALLS
from .. import words
from ..moments import DAY_US, HOUR_US, MINUTE_US
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

_ROLLED = {"all": "'all'", "agent": "agent_id", "model": "model", "provider": "provider"}


class CacheHitDrop(Params):
    """Its settings."""

    window_minutes: int = Field(60, ge=1, description="calls of the last minutes")
    baseline_days: int = Field(7, ge=1, le=90, description="compared with so many days before")
    drop_points: float = Field(
        20, gt=0, le=100, description="fires when the share fell by so many percentage points"
    )
    min_calls: int = Field(20, ge=1, description="fewer calls say nothing, now or before")
    per: Literal["all", "agent", "model", "provider"] = Field(
        "model", description="judge all together, or each agent, model ... by itself"
    )


def ask(p: CacheHitDrop, at: At) -> Question:
    """Tokens read and those of them from a cache: now, and in the whole hours before."""
    clauses, given = filters(p)
    rolled = "".join(f" and {'agent_id' if name == 'agent' else name} = :{name}" for name in given)
    sql = f"""
        with recent as (
            select {SUBJECTS[p.per]} as subject, count(*) as calls, sum(tokens_in) as read,
                   coalesce(sum(cache_read_tokens), 0) as cached
            from llm_calls
            where started_us >= :since_us and started_us < :now_us and {MODEL_CALLS}
              and tokens_in > 0{clauses}
            group by 1
        ),
        before as (
            select {_ROLLED[p.per]} as subject, sum(calls) as calls, sum(tokens_in) as read,
                   coalesce(sum(cache_read_tokens), 0) as cached
            from rollup_hour
            where hour >= :first_hour and hour < :last_hour and {MODEL_CALLS}{rolled}
            group by 1
        )
        select recent.*, coalesce(before.calls, 0) as calls_before, before.read as read_before,
               before.cached as cached_before
        from recent left join before using (subject)
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    times = {
        "since_us": since_us,
        "now_us": at.now_us,
        "first_hour": (since_us - p.baseline_days * DAY_US) // HOUR_US,
        "last_hour": since_us // HOUR_US,
    }
    return Question(sql, given | times)


def judge(row: Row, p: CacheHitDrop, at: At) -> Verdict:
    """Both shares need enough calls behind them."""
    now = row["cached"] / row["read"]
    if min(row["calls"], row["calls_before"]) < p.min_calls or not row["read_before"]:
        return Verdict(False, "too few calls to compare", 100 * now)
    before = row["cached_before"] / row["read_before"]
    told = (
        f"{figures.percent(now)} of the tokens read came from a cache in"
        f" {words.minutes(p.window_minutes)}, {figures.percent(before)} in"
        f" {words.minutes(p.baseline_days * 1440)} before"
    )
    return Verdict(100 * (before - now) >= p.drop_points, told, 100 * now)


def calls(p: CacheHitDrop, at: At, subject: str) -> Question:
    """The newest calls that read nothing from a cache."""
    since_us = at.now_us - p.window_minutes * MINUTE_US
    missed = "tokens_in > 0 and coalesce(cache_read_tokens, 0) = 0"
    return calls_behind(missed, p, p.per, subject, since_us=since_us, until_us=at.now_us)


RULE = RuleType(
    name="cache_hit_drop",
    summary="The share of tokens read from a prompt cache fell.",
    params=CacheHitDrop,
    ask=ask,
    judge=judge,
    calls=calls,
    gone="no calls in the window",
    example={"drop_points": 30, "per": "agent"},
)
