"""`blind_spot`: connections to LLM hosts that could not be read, so their calls are missing."""

from pydantic import Field

from ... import figures
from .. import words
from ..moments import MINUTE_US
from ..rule_type import At, Params, Question, Row, RuleType, Verdict


class BlindSpots(Params):
    """Its settings."""

    window_minutes: int = Field(60, ge=1, description="connections of the last minutes")
    min_connections: int = Field(1, ge=1, description="fires from so many on")
    host: str = Field("", description="only this host")


def ask(p: BlindSpots, at: At) -> Question:
    """Connections by host, and why the last one could not be read."""
    sql = """
        select host as subject, count(*) as connections, max(at_us) as last_us, reason
        from blind_spots
        where at_us >= :since_us and at_us < :now_us and (:host = '' or host = :host)
        group by host
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    return Question(sql, {"since_us": since_us, "now_us": at.now_us, "host": p.host})


def judge(row: Row, p: BlindSpots, at: At) -> Verdict:
    """So many, and why."""
    told = (
        f"{figures.counted(row['connections'], 'connection')} in {words.minutes(p.window_minutes)}"
        f" could not be read: {row['reason']}"
    )
    return Verdict(row["connections"] >= p.min_connections, told, row["connections"])


RULE = RuleType(
    name="blind_spot",
    summary="Connections to an LLM host could not be read.",
    params=BlindSpots,
    ask=ask,
    judge=judge,
    gone="every connection could be read",
    example={"min_connections": 3},
)
