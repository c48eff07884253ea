"""Rules in words: what they are set to, and what is in force by itself."""

import pytest

from agenttrace_mitm.alerts import wording
from agenttrace_mitm.alerts.making import made
from agenttrace_mitm.alerts.rules import RULE_TYPES
from agenttrace_mitm.alerts.wording import in_force, said


def test_settings_are_said_in_words():
    latency = {"window_minutes": 1440, "threshold_ms": 30000.0, "per": "model", "agent": ""}
    assert said(latency) == "slower than 30 s, within 24 hours, for each model"
    assert said({"limit_usd": 20.0, "period": "week", "per": "all"}) == "$20 or more a week"
    assert said({"threshold_percent": 3.0, "per": "agent"}) == "3% or more, for each agent"
    assert said({"min_usd": 0.5, "factor": 3}) == "3 times the usual and by $0.50 at least"
    assert said({"days": ("mon", "tue"), "hours": "9-18"}) == "at 9-18 h, on mon, tue"
    assert said({"later": 5, "window_minutes": "x"}) == "window_minutes x, later 5"
    assert said({}) == ""


@pytest.mark.parametrize(
    "params, words",
    [
        ({"limit_usd": 0.001}, "$0.001 or more"), ({"limit_usd": 1234.5}, "$1,234.50 or more"),
        ({"window_minutes": 125}, "within 125 min"), ({"window_minutes": 2880}, "within 2 days"),
        ({"threshold_ms": 1250.5}, "slower than 1.2505 s"),
        ({"threshold_ms": 80}, "slower than 80 ms"),
        ({"limit_usd": 5, "warn_percent": 0}, "$5 or more, no warning before"),
        ({"min_calls": 1}, "from 1 call on"), ({"min_connections": 2}, "from 2 connections on"),
        ({"weeks": 1}, "compared with 1 week"), ({"drop_points": 1.5}, "down by 1.5 points"),
        ({"headroom_percent": 0}, "whatever is left of a limit"),
        ({"headroom_percent": 5}, "or 5% or less of a limit left"),
    ],
)  # fmt: skip
def test_thresholds_keep_their_digits(params, words):
    assert said(params) == words


def test_what_is_in_force_has_the_defaults():
    rule = made(1, name="x", type="error_rate", params={"per": "agent"})
    assert rule.params == {"per": "agent"}
    assert said(in_force(rule)) == "10% or more, within 15 min, from 10 calls on, for each agent"
    later = rule.model_copy(update={"params": {"novelty": 1}})
    assert in_force(later) == {"novelty": 1}


@pytest.mark.parametrize("rule", RULE_TYPES, ids=lambda rule: rule.name)
def test_every_setting_has_words(rule):
    """Also one that is added: with a value, no setting is shown by its name in code."""
    params = rule.params.model_validate(rule.example).model_dump(mode="json")
    words = said(params)
    assert words
    assert not [name for name in params if "_" in name and name in words], words
    assert not set(params) - set(wording._SAID)
