"""`rate_limited`: a provider refuses calls, or soon will, by its own headers."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from ... import figures
from ...store.counting import MODEL_CALLS
from .. import words
from ..moments import MINUTE_US, SECOND_US
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

LIMITED = "status_code = 429"


class RateLimited(Params):
    """Its settings."""

    window_minutes: int = Field(10, ge=1, description="calls of the last minutes")
    threshold_percent: float = Field(
        5, gt=0, le=100, description="fires when this share was answered 429"
    )
    min_calls: int = Field(5, ge=1, description="fewer calls say nothing about the share")
    headroom_percent: float = Field(
        5, ge=0, le=100, description="fires when no more than this is left of a limit; 0 ignores it"
    )
    per: Per = Field("provider", description="judge all together, or each agent, model ... alone")


def ask(p: RateLimited, at: At) -> Question:
    """Calls, refused calls, and the newest headers about limits."""
    clauses, given = filters(p)
    sql = f"""
        select {SUBJECTS[p.per]} as subject, count(*) as calls,
               coalesce(sum({LIMITED}), 0) as limited,
               max(case when rate_limit is not null then ended_us end) as told_us, rate_limit
        from llm_calls
        where started_us >= :since_us and started_us < :now_us and {MODEL_CALLS}
          and outcome <> 'in_flight'{clauses}
        group by 1
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return Question(sql, given | {"since_us": since_us, "now_us": at.now_us})


def judge(row: Row, p: RateLimited, at: At) -> Verdict:
    """Refused calls come first: they happened."""
    calls, limited = row["calls"], row["limited"]
    share = limited / calls
    evidence = {name: row[name] for name in ("subject", "calls", "limited")}
    refused = (
        f"{limited:,} of {figures.counted(calls, 'call')} in {words.minutes(p.window_minutes)}"
        f" answered 429 ({figures.percent(share)})"
    )
    if calls >= p.min_calls and 100 * share >= p.threshold_percent:
        return Verdict(True, refused, 100 * share, evidence=evidence)
    left = list(_headroom(row, at)) if p.headroom_percent else []
    if left and 100 * min(left)[0] <= p.headroom_percent:
        share_left, meter = min(left)
        told = f"{figures.percent(share_left)} of the limit {meter} is left"
        evidence |= {"meter": meter, "left": share_left}
        return Verdict(True, told, 100 * share_left, "warning", evidence=evidence)
    return Verdict(False, refused, 100 * share, evidence=evidence)


def calls(p: RateLimited, at: At, subject: str) -> Question:
    """The calls that were refused."""
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return calls_behind(LIMITED, p, p.per, subject, since_us=since_us, until_us=at.now_us)


def _headroom(row: Row, at: At) -> Iterator[tuple[float, str]]:
    """What share is left of each limit that has not begun anew since its header was sent."""
    told = json.loads(row["rate_limit"]) if row["told_us"] is not None else {}
    for name, meter in _meters(told):
        resets_us = _resets_us(meter, row["told_us"])
        if resets_us is not None and resets_us <= at.now_us:
            continue
        match meter:
            case {"limit": int() | float() as limit, "remaining": int() | float() as left} if limit:
                yield left / limit, name
            case {"utilization": int() | float() as used}:
                yield 1 - used, name
            case {"used_percent": int() | float() as used}:
                yield 1 - used / 100, name


def _meters(told: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, meter in told.items() if isinstance(told, dict) else ():
        if isinstance(meter, dict):
            yield name, meter
            nested = ((inner, value) for inner, value in meter.items() if isinstance(value, dict))
            yield from ((f"{name} {inner}", value) for inner, value in nested)


def _resets_us(meter: dict[str, Any], told_us: int) -> float | None:
    if isinstance(at := meter.get("reset_at"), int | float):
        return at * SECOND_US
    wait = meter.get("reset_s", meter.get("reset_after_seconds"))
    return told_us + wait * SECOND_US if isinstance(wait, int | float) else None


RULE = RuleType(
    name="rate_limited",
    summary="A provider answers 429, or says that little is left of a limit.",
    params=RateLimited,
    ask=ask,
    judge=judge,
    calls=calls,
    gone="no calls in the window",
    example={"threshold_percent": 2, "headroom_percent": 10},
)
