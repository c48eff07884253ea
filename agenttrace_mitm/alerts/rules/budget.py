"""`budget`: spend of a day, a week or a month, by the calendar of somebody's time zone."""

from pydantic import Field, field_validator

from ... import figures
from ...errors import SettingsError
from ...store.counting import METERED
from ..moments import Period, Zone, local, start_of, zone_of
from ..rule_type import At, Params, Per, Question, Row, RuleType, Verdict, calls_behind
from ..spend import spend


class Budget(Params):
    """Its settings."""

    limit_usd: float = Field(gt=0, description="fires when so many dollars are spent")
    period: Period = Field("day", description="day, week (from Monday) or month")
    warn_percent: float = Field(
        80, ge=0, le=100, description="warns from this share of the limit on; 0 does not warn"
    )
    time_zone: str = Field("", description="such as Europe/Berlin; the machine's own when empty")
    per: Per = Field("all", description="one budget for all, or one for each agent, model ...")

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            zone_of(value)
        except SettingsError as error:
            raise ValueError(str(error)) from None
        return value


def _zone(p: Budget, at: At) -> Zone:
    return zone_of(p.time_zone) if p.time_zone else at.zone


def ask(p: Budget, at: At) -> Question:
    """What was spent since the period began.  Calls on a subscription are not spend."""
    return spend(p, p.per, start_of(p.period, at.now_us, _zone(p, at)), at.now_us)


def judge(row: Row, p: Budget, at: At) -> Verdict:
    """A new period is a new episode, even where nobody looked in between."""
    zone = _zone(p, at)
    spent = row["spent"] / 1e9
    since = local(start_of(p.period, at.now_us, zone), zone).date().isoformat()
    share = spent / p.limit_usd
    told = (
        f"{figures.usd(row['spent'])} of {figures.usd(p.limit_usd * 1e9)} for the {p.period}"
        f" since {since} spent ({figures.percent(share)})"
    )
    if row["unpriced"]:
        told += f"; {figures.counted(row['unpriced'], 'call')} without a price not counted"
    fires = share >= 1 or bool(p.warn_percent and 100 * share >= p.warn_percent)
    return Verdict(fires, told, spent, "critical" if share >= 1 else "warning", since)


def calls(p: Budget, at: At, subject: str) -> Question:
    """The calls that cost most."""
    since_us = start_of(p.period, at.now_us, _zone(p, at))
    return calls_behind(
        f"cost_nano_usd > 0 and {METERED}", p, p.per, subject,
        since_us=since_us, until_us=at.now_us, dearest=True,
    )  # fmt: skip


RULE = RuleType(
    name="budget",
    summary="Spend of the day, week or month reaches its limit, or a share of it.",
    params=Budget,
    ask=ask,
    judge=judge,
    calls=calls,
    gone="a new period began",
    example={"limit_usd": 20, "period": "day", "time_zone": "Europe/Berlin"},
)
