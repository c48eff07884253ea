"""What a rule is set to, as people say it: `slower than 30 s`, not `threshold_ms 30000.0`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from agenttrace_mitm.alerts.words import minutes, ordinal

from .. import figures

MEASURES = {
    "latency_ms": "whole answers",
    "ttft_ms": "first tokens",
    "ttfb_ms": "first bytes",
}


def _number(value: float) -> str:
    return f"{value:,.6g}"


def _dollars(value: float) -> str:
    return f"${value:,.2f}".removesuffix(".00")


def _span(ms: float) -> str:
    return figures.duration(ms).replace("\N{NO-BREAK SPACE}", " ").replace(".0 s", " s")


def _several(values: Any) -> str:
    return ", ".join(map(str, values))


_SAID: Mapping[str, tuple[str, Callable[[Any], str]]] = MappingProxyType(
    {
        "limit_usd": ("more than {}", _dollars),
        "period": (" a {}", str),
        "warn_percent": ("a warning at {}%", _number),
        "time_zone": ("in {}", str),
        "threshold_percent": ("{}% or more", _number),
        "headroom_percent": ("less than {}% of a limit left", _number),
        "threshold_ms": ("slower than {}", _span),
        "percentile": ("{} percentile", ordinal),
        "measure": ("{}", lambda value: MEASURES.get(value, str(value))),
        "drop_points": ("down by {} points", _number),
        "factor": ("{} times the usual", _number),
        "deviations": ("{} deviations above it", _number),
        "min_usd": (" and by {} at least", _dollars),
        "weeks": ("compared with {} weeks", _number),
        "min_weeks": ("after {} weeks", _number),
        "baseline_days": ("compared with {} days", _number),
        "repeats": ("{} times the same", _number),
        "duration_minutes": ("for {}", minutes),
        "window_minutes": ("within {}", minutes),
        "forget_days": ("forgotten after {} days", _number),
        "min_calls": ("from {} calls on", _number),
        "min_connections": ("from {} connections on", _number),
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
