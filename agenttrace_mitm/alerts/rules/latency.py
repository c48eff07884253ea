"""`latency`: answers take too long, or begin too late."""

import json
import math
from typing import Literal

from pydantic import Field

from ... import figures
from ...store.counting import MODEL_CALLS
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


class Latency(Params):
    """Its settings."""

    window_minutes: int = Field(15, ge=1, description="calls of the last minutes")
    threshold_ms: float = Field(30_000, gt=0, description="fires from this many milliseconds on")
    percentile: float = Field(95, gt=0, le=100, description="of the answered calls")
    measure: Literal["latency_ms", "ttft_ms", "ttfb_ms"] = Field(
        "latency_ms", description="whole call, first content or first byte"
    )
    min_calls: int = Field(10, ge=1, description="fewer calls say nothing")
    per: Per = Field("all", description="judge all together, or each agent, model ... by itself")


_OF = {"latency_ms": "", "ttft_ms": " of first tokens", "ttfb_ms": " of first bytes"}


def ask(p: Latency, at: At) -> Question:
    """The latencies of the calls that were answered."""
    clauses, given = filters(p)
    sql = f"""
        select {SUBJECTS[p.per]} as subject, json_group_array({p.measure}) as latencies
        from llm_calls
        where started_us >= :since_us and started_us < :now_us and {MODEL_CALLS}
          and outcome = 'ok' and {p.measure} is not null{clauses}
        group by 1
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return Question(sql, given | {"since_us": since_us, "now_us": at.now_us})


def judge(row: Row, p: Latency, at: At) -> Verdict:
    """The percentile is the latency that this share of calls does not exceed."""
    took = sorted(json.loads(row["latencies"]))
    found = took[max(math.ceil(len(took) * p.percentile / 100) - 1, 0)]
    when = f"{figures.counted(len(took), 'answered call')} in {words.minutes(p.window_minutes)}"
    evidence = {"subject": row["subject"], "calls": len(took), "percentile_ms": found}
    if len(took) < p.min_calls:
        return Verdict(False, f"{when}, too few to judge", found, evidence=evidence)
    which = f"{words.ordinal(p.percentile)} percentile{_OF[p.measure]}"
    told = f"{which} {figures.duration(found)}, {when}"
    return Verdict(found >= p.threshold_ms, told, found, evidence=evidence)


def calls(p: Latency, at: At, subject: str) -> Question:
    """The calls that took so long."""
    since_us = at.now_us - p.window_minutes * MINUTE_US
    slow = f"outcome = 'ok' and {p.measure} >= {p.threshold_ms}"
    return calls_behind(slow, p, p.per, subject, since_us=since_us, until_us=at.now_us)


RULE = RuleType(
    name="latency",
    summary="A percentile of the latency is too high.",
    params=Latency,
    ask=ask,
    judge=judge,
    calls=calls,
    gone="no answered calls in the window",
    example={"threshold_ms": 20_000, "per": "model"},
)
