"""What a rule is set to, as people say it: `slower than 30 s`, not `threshold_ms 30000.0`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..errors import SettingsError
from ..model import AlertRule
from .findings import params_of
from .words import ordinal

MEASURES = {
    "latency_ms": "whole answers",
    "ttft_ms": "first tokens",
    "ttfb_ms": "first bytes",
}


def _number(value: float) -> str:
    return f"{value:,.6g}"


def _counted(noun: str) -> Callable[[float], str]:
    """`1 call`, `2 calls`, `1.5 points`."""
    return lambda value: f"{_number(value)} {noun}{'' if value == 1 else 's'}"


def _dollars(value: float) -> str:
    """With cents, or without, or with as many digits as it takes to be exact."""
    cents, exact = f"{value:,.2f}", f"{value:,.9f}".rstrip("0")
    return "$" + (cents.removesuffix(".00") if len(exact) <= len(cents) else exact)


def _span(ms: float) -> str:
    return f"{_number(ms)} ms" if ms < 1000 else f"{_number(ms / 1000)} s"


def _minutes(number: int) -> str:
    """Days and hours only where they are whole."""
    for size, name in ((1440, "days"), (60, "hours")):
        if number >= 2 * size and number % size == 0:
            return f"{number // size} {name}"
    return "24 hours" if number == 1440 else f"{number:,} min"


def _warning(percent: float) -> str:
    return f"a warning at {_number(percent)}%" if percent else "no warning before"


def _headroom(percent: float) -> str:
    if not percent:
        return "whatever is left of a limit"
    return f"or {_number(percent)}% or less of a limit left"


def _several(values: Any) -> str:
    return ", ".join(map(str, values))


_SAID: Mapping[str, tuple[str, Callable[[Any], str]]] = MappingProxyType(
    {
        "limit_usd": ("{} or more", _dollars),
        "period": (" a {}", str),
        "warn_percent": ("{}", _warning),
        "time_zone": ("in {}", str),
        "threshold_percent": ("{}% or more", _number),
        "headroom_percent": ("{}", _headroom),
        "threshold_ms": ("slower than {}", _span),
        "percentile": ("{} percentile of answered calls", ordinal),
        "measure": ("{}", lambda value: MEASURES.get(value, str(value))),
        "drop_points": ("down by {}", _counted("point")),
        "factor": ("{} times the usual", _number),
        "deviations": ("{} above it", _counted("deviation")),
        "min_usd": (" and by {} at least", _dollars),
        "weeks": ("compared with {}", _counted("week")),
        "min_weeks": ("after {}", _counted("week")),
        "baseline_days": ("compared with {}", _counted("day")),
        "repeats": ("{} times the same", _number),
        "duration_minutes": ("for {}", _minutes),
        "window_minutes": ("within {}", _minutes),
        "forget_days": ("forgotten after {}", _counted("day")),
        "min_calls": ("from {} on", _counted("call")),
        "min_connections": ("from {} on", _counted("connection")),
        "hours": ("at {} h", str),
        "days": ("on {}", _several),
        "ignore": ("not for {}", _several),
        "host": ("to {}", str),
        "query": ("{}", str),
        "per": ("for each {}", str),
        "agent": ("agent {}", str),
        "model": ("model {}", str),
        "provider": ("provider {}", str),
        "project": ("project {}", str),
    }
)
"""What each setting of the rule types is called, in the order in which they are said.

What begins with a blank goes on with the phrase before.
"""


def in_force(rule: AlertRule) -> dict[str, Any]:
    """The settings that *rule* is judged by: its own, and the defaults of its type.

    Those of a rule that cannot be judged, as one of a later version, are what it says.
    """
    try:
        return params_of(rule).model_dump(mode="json")
    except SettingsError:
        return rule.params if isinstance(rule.params, dict) else {}


def said(params: Mapping[str, Any]) -> str:
    """*params* of a rule in words; what is empty, or is about all calls, is not said.

    A setting of a later version, or one of another type than it should have, is shown as it is.
    """
    known = [
        _phrase(name, params[name])
        for name in _SAID
        if params.get(name) not in (None, "", (), []) and (name, params[name]) != ("per", "all")
    ]
    others = [f"{name} {params[name]}" for name in params if name not in _SAID]
    words = "".join(one if one.startswith(" ") else f", {one}" for one in [*known, *others])
    return words.removeprefix(",").strip()


def _phrase(name: str, value: Any) -> str:
    phrase, shown = _SAID[name]
    try:
        return phrase.format(shown(value))
    except (TypeError, ValueError):
        return f"{name} {value}"
