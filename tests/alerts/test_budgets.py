"""Budgets: what was spent by the calendar of a time zone, and what a rule says of it."""

import pytest

from agenttrace_mitm.alerts.moments import MINUTE_US, start_of
from agenttrace_mitm.alerts.rules import BY_NAME
from tests.alerts.conftest import BERLIN, DOLLAR, at


def test_a_budget_warns_fires_and_begins_anew(scene):
    scene.rule("budget", limit_usd=10, warn_percent=80)
    scene.calls(cost_nano_usd=7 * DOLLAR)
    assert scene.firing() == []
    scene.calls(cost_nano_usd=1 * DOLLAR)
    assert scene.firing() == ["all"]
    assert scene.history[0].severity == "warning"
    scene.calls(cost_nano_usd=2 * DOLLAR)
    scene.check()
    scene.check()
    assert scene.history[0].severity == "critical"
    assert scene.told == ["fired", "escalated"]
    assert scene.firing(12 * 60) == []  # midnight
    assert scene.told == ["fired", "escalated", "resolved"]


def test_a_budget_names_the_calls_that_cost_most(scene):
    """Not the newest: what was dear may be long past, and many cheap calls come after it."""
    scene.rule("budget", limit_usd=1)
    dear = [scene.calls(minutes_ago=50 - n, cost_nano_usd=n * DOLLAR)[0] for n in range(1, 9)]
    scene.calls(20, minutes_ago=1, cost_nano_usd=200_000)
    assert scene.firing() == ["all"]
    named = scene.history[0].evidence["calls"]
    assert named[:8] == dear[::-1]
    assert len(named) == 10


@pytest.mark.parametrize(
    ("spent_at", "looked_at", "fires"),
    [
        ("2026-11-18 00:30", "2026-11-18 23:59", True),
        ("2026-11-17 23:59", "2026-11-18 00:01", False),
        ("2026-03-29 00:10", "2026-03-29 23:50", True),  # a day of 23 hours
        ("2026-03-28 23:50", "2026-03-29 12:00", False),
        ("2026-10-25 00:10", "2026-10-25 23:50", True),  # a day of 25 hours
        ("2026-10-25 23:50", "2026-10-26 00:10", False),
    ],
)
def test_a_budget_day_is_a_day_of_its_zone(scene, spent_at, looked_at, fires):
    scene.rule("budget", limit_usd=1, time_zone="Europe/Berlin")
    scene.now_us = at(spent_at, BERLIN)
    scene.calls(cost_nano_usd=DOLLAR, minutes_ago=0)
    scene.now_us = at(looked_at, BERLIN)
    assert scene.firing() == (["all"] if fires else [])


@pytest.mark.parametrize(
    ("period", "inside", "outside", "looked_at"),
    [
        ("month", "2026-02-01 00:05", "2026-01-31 23:55", "2026-02-28 12:00"),
        ("month", "2026-12-01 00:05", "2026-11-30 23:55", "2026-12-31 23:59"),
        ("week", "2026-11-16 00:05", "2026-11-15 23:55", "2026-11-22 23:59"),
        ("day", "2026-11-20 00:05", "2026-11-19 23:55", "2026-11-20 00:10"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_weeks_and_months_begin_where_the_calendar_says(
    scene, period, inside, outside, looked_at, zone
):
    """Kolkata's midnight is not a whole UTC hour: rollups must not be taken for it."""
    from zoneinfo import ZoneInfo

    rule = scene.rule("budget", limit_usd=2, period=period, time_zone=zone, warn_percent=0)
    for moment in (inside, outside):
        scene.now_us = at(moment, ZoneInfo(zone))
        scene.calls(cost_nano_usd=DOLLAR, minutes_ago=0)
    scene.now_us = at(looked_at, ZoneInfo(zone))
    assert scene.firing() == []
    changed = {"params": rule.params | {"limit_usd": 1}}
    scene.store.put_rule(rule.model_copy(update=changed))
    assert scene.firing() == ["all"]
    assert scene.history[0].value == 1


def test_a_budget_agrees_with_plain_sql(scene):
    """Whatever the zone: rollups of days and hours plus the calls at the edges."""
    import random

    draw = random.Random(3)
    for _ in range(300):
        scene.calls(
            minutes_ago=draw.uniform(0, 40 * 1440), cost_nano_usd=draw.randrange(1, 9) * 10**6,
            billing=draw.choice(["metered", "subscription", None]),
            agent_id=draw.choice(["a", "b"]), kind=draw.choice(["llm", "auxiliary", "count"]),
        )  # fmt: skip
    for zone in ("UTC", "Asia/Kathmandu", "Australia/Lord_Howe"):
        for period in ("day", "week", "month"):
            for per in ("all", "agent", "session"):
                _agrees(scene, zone, period, per)


def _agrees(scene, zone, period, per):
    from zoneinfo import ZoneInfo

    from agenttrace_mitm.alerts.rule_type import At

    kind = BY_NAME["budget"]
    params = kind.params(limit_usd=1, period=period, time_zone=zone, per=per)
    question = kind.ask(params, At(scene.now_us))
    found = {one["subject"]: one["spent"] for one in scene.store.ask(*question)}
    key = {"all": "'all'", "agent": "agent_id", "session": "''"}[per]
    sql = f"""
        select {key}, sum(cost_nano_usd) from llm_calls
        where started_us >= ? and started_us < ? and coalesce(billing, 'metered') = 'metered'
          and kind in ('llm', 'auxiliary') group by 1
    """
    since_us = start_of(period, scene.now_us, ZoneInfo(zone))
    assert found == dict(scene.db.execute(sql, (since_us, scene.now_us)).fetchall())


def test_a_budget_missed_at_midnight_is_another_episode(scene):
    """Checked once a day: yesterday's firing ends, today's begins."""
    scene.rule("budget", limit_usd=1)
    scene.calls(cost_nano_usd=DOLLAR)
    scene.check()
    scene.now_us += 24 * 60 * MINUTE_US
    scene.calls(cost_nano_usd=DOLLAR)
    assert scene.firing() == ["all"]
    assert scene.told.count("fired") == 2
    assert [one.resolved_us is None for one in scene.history] == [True, False]


def test_a_budget_says_what_it_does_not_count(scene):
    scene.rule("budget", limit_usd=1)
    scene.calls(cost_nano_usd=DOLLAR)
    scene.calls(2, usage_source="reported", tokens_in=5)
    scene.check()
    assert scene.history[0].message.endswith("2 calls without a price not counted")
