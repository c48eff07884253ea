"""`no_traffic`: nothing is recorded although something should be."""

import re

from pydantic import Field, field_validator

from ...store.counting import MODEL_CALLS
from .. import words
from ..moments import MINUTE_US, SECOND_US, WEEKDAYS, local, start_of
from ..rule_type import At, Params, Question, Row, RuleType, Verdict, filters

_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")


class NoTraffic(Params):
    """Its settings."""

    duration_minutes: int = Field(60, ge=1, description="nothing for this long")
    hours: str = Field("", description="only within these hours of the day, such as 9-18")
    days: tuple[str, ...] = Field((), description="only on these days, such as mon, tue")

    @field_validator("hours")
    @classmethod
    def _is_a_range(cls, value: str) -> str:
        match = _HOURS.fullmatch(value)
        if value and not (match and int(match[1]) < int(match[2]) <= 24):
            raise ValueError("hours are written like 9-18")
        return value

    @field_validator("days")
    @classmethod
    def _are_days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(value) - set(WEEKDAYS):
            raise ValueError(f"{unknown.pop()!r} is not one of {', '.join(WEEKDAYS)}")
        return value


def ask(p: NoTraffic, at: At) -> Question:
    """When the newest call began; no row where there never was one."""
    clauses, given = filters(p)
    sql = f"""
        select 'all' as subject, started_us as last_us from llm_calls
        where started_us < :now_us and {MODEL_CALLS}{clauses}
        order by started_us desc limit 1
    """
    return Question(sql, given | {"now_us": at.now_us})


def judge(row: Row, p: NoTraffic, at: At) -> Verdict:
    """Time outside of the hours does not count: at nine nothing has been missing yet."""
    opened_us = _opened(p, at)
    if opened_us is None:
        return Verdict(False, "outside of the hours in which traffic is expected")
    silent = (at.now_us - max(row["last_us"], opened_us)) / MINUTE_US
    if silent < p.duration_minutes:
        return Verdict(False, "calls are recorded again", silent)
    return Verdict(True, f"no call for {words.minutes(silent)}", silent)


def _opened(p: NoTraffic, at: At) -> int | None:
    """Since when traffic is expected; None now it is not."""
    now = local(at.now_us, at.zone)
    if p.days and WEEKDAYS[now.weekday()] not in p.days:
        return None
    match = _HOURS.fullmatch(p.hours)
    if not match:
        return start_of("day", at.now_us, at.zone) if p.days else 0
    if not int(match[1]) <= now.hour < int(match[2]):
        return None
    opened = now.replace(tzinfo=at.zone, hour=int(match[1]), minute=0, second=0, microsecond=0)
    return int(opened.timestamp()) * SECOND_US


RULE = RuleType(
    name="no_traffic",
    summary="No call was recorded for a while. Before the first call it is quiet.",
    params=NoTraffic,
    ask=ask,
    judge=judge,
    gone="there are no calls any more",
    example={"duration_minutes": 90, "hours": "9-18", "days": ["mon", "tue", "wed", "thu", "fri"]},
)
