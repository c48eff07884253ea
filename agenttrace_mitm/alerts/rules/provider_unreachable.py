"""`provider_unreachable`: connections to a provider's host failed before there was any call."""

import re

from pydantic import Field

from ... import figures
from ...frames import UNREACHED
from ...hosts import provider_among
from .. import words
from ..moments import MINUTE_US
from ..rule_type import At, Params, Question, Row, RuleType, Verdict

_MORE = re.compile(r", and \d+ more since the last line(?=\)$)")
_END = " more since the last line)"


class ProviderUnreachable(Params):
    """Its settings."""

    window_minutes: int = Field(15, ge=1, description="connections of the last minutes")
    min_connections: int = Field(3, ge=1, description="fires from so many on that failed")
    host: str = Field("", description="only this host, such as `api.openai.com`")


def ask(p: ProviderUnreachable, at: At) -> Question:
    """Failed connections by host, and the newest line.

    A line is `HOST: REASON (WHO)`, or `(WHO, and 11 more since the last line)`, as
    `capture/unreached.py` writes it: one connection, and those that were only counted.
    """
    # A reason may have an `, and ` of its own: the number is what stands right before the end.
    sql = """
        with line as (
            select at_us, detail, substr(detail, 1, length(detail) - length(:end)) as told
            from recorder_events
            where at_us >= :since_us and at_us < :now_us and kind = :kind
        ),
        failed as (
            select at_us, detail, substr(detail, 1, instr(detail, ': ') - 1) as host,
                   case when detail like '%, and %' || :end
                        then cast(substr(told, length(rtrim(told, '0123456789')) + 1) as integer)
                        else 0 end as more
            from line
        )
        select host as subject, sum(1 + more) as connections, max(at_us) as last_us, detail
        from failed where :host = '' or host = :host group by host
    """
    since_us = at.now_us - p.window_minutes * MINUTE_US
    given = {"since_us": since_us, "now_us": at.now_us, "kind": UNREACHED, "end": _END}
    return Question(sql, given | {"host": p.host})


def judge(row: Row, p: ProviderUnreachable, at: At) -> Verdict:
    """So many, and why the last one."""
    number, host = row["connections"], row["subject"]
    told = f"{figures.counted(number, 'connection')} in {words.minutes(p.window_minutes)} failed"
    reason = _MORE.sub("", row["detail"].removeprefix(f"{host}: "))
    concerned = p.provider in ("", provider_among(host, at.hosts))
    return Verdict(concerned and number >= p.min_connections, f"{told}: {reason}", number)


RULE = RuleType(
    name="provider_unreachable",
    summary="Connections to a provider failed before there was any call: no such name, a closed"
    " port, another's certificate.",
    params=ProviderUnreachable,
    ask=ask,
    judge=judge,
    gone="no connection failed any more",
    example={"min_connections": 5, "host": "api.openai.com"},
)
