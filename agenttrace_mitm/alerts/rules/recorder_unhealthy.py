"""`recorder_unhealthy`: the recorder has something to report: losses, outages, a damaged file."""

from pydantic import Field

from ... import figures
from ...frames import UNREACHED
from ..moments import MINUTE_US
from ..rule_type import At, Params, Question, Row, RuleType, Verdict

_NOT_OURS = (UNREACHED,)
"""Reports of what is not the recorder's fault, nor loses anything, and has a rule of its own."""


class RecorderUnhealthy(Params):
    """Its settings."""

    window_minutes: int = Field(60, ge=1, description="reports of the last minutes")
    ignore: tuple[str, ...] = Field((), description="kinds of reports that do not matter")


def ask(p: RecorderUnhealthy, at: At) -> Question:
    """Reports by kind, with the newest's particulars."""
    sql = """
        select kind as subject, count(*) as reports, max(at_us) as last_us, detail
        from recorder_events where at_us >= :since_us and at_us < :now_us group by kind
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return Question(sql, {"since_us": since_us, "now_us": at.now_us})


def judge(row: Row, p: RecorderUnhealthy, at: At) -> Verdict:
    """What it was, in the recorder's words."""
    told = f"{figures.counted(row['reports'], 'report')}: {row['detail']}"
    return Verdict(row["subject"] not in (*_NOT_OURS, *p.ignore), told, row["reports"])


RULE = RuleType(
    name="recorder_unhealthy",
    summary="The recorder reports losses, outages or a database that was replaced.",
    params=RecorderUnhealthy,
    ask=ask,
    judge=judge,
    gone="no more reports",
    example={"ignore": ["spool_replayed"]},
)
