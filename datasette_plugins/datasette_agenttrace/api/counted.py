"""Ended calls of any stretch of time as rows of rollups, to be added up.

Whole days and hours are those of the rollups; what is left at either end, less than an hour each,
is read from the calls: sums are exact, to the microsecond, and a million calls are not read.
"""

from collections.abc import Iterator
from typing import Literal

from agenttrace_mitm.store.counting import MODEL_CALLS
from agenttrace_mitm.store.rollups import OF_A_CALL

from ..asking import HOUR_US

DAY_HOURS = 24

type Step = Literal["hour", "day"]

_FIGURES = """
    provider, model, billing, calls, failed, unpriced, cost_nano_usd, tokens_in, tokens_out,
    cache_read_tokens
"""

_OF_CALLS = {"model": "coalesce(response_model, model)"}


def counted(since_us: int, until_us: int, names: list[str], step: Step = "day") -> str:
    """A `select` with `hour`, sums, and `latency_ms` of a call or `latencies` of many.

    *names*, of the columns of rollups, have to equal the parameters called like them.  Rows tell
    apart hours where *step* is one; those of whole days have the first hour of theirs.
    """
    stretches = [one for one in _stretches(since_us, until_us, step) if one[1] < one[2]]
    return " union all ".join(
        _of_calls(first, last, names) if unit == "call" else _of_rollup(unit, first, last, names)
        for unit, first, last in stretches or [("call", since_us, until_us)]
    )


def _stretches(since_us: int, until_us: int, step: Step) -> Iterator[tuple[str, int, int]]:
    """Calls by microseconds, hours, days: each from its first and until its last, excluded."""
    first, last = -(-since_us // HOUR_US), until_us // HOUR_US
    if first >= last:
        yield "call", since_us, until_us
        return
    yield "call", since_us, first * HOUR_US
    first_day, last_day = -(-first // DAY_HOURS), last // DAY_HOURS
    if step == "hour" or first_day >= last_day:
        yield "hour", first, last
    else:
        yield "hour", first, first_day * DAY_HOURS
        yield "day", first_day, last_day
        yield "hour", last_day * DAY_HOURS, last
    yield "call", last * HOUR_US, until_us


def calls_of(since_us: int, until_us: int, names: list[str]) -> str:
    """The same, read from the calls: a row for each, with `started_us` as well."""
    # Inside, where names are those of `llm_calls`: so that each can use its index.
    filters = "".join(f" and {_OF_CALLS.get(one, one)} = :{one}" for one in names)
    time = f"started_us >= {since_us} and started_us < {until_us}"
    return f"select * from ({OF_A_CALL} and {time}{filters}) where {MODEL_CALLS}"


def _of_calls(since_us: int, until_us: int, names: list[str]) -> str:
    calls = calls_of(since_us, until_us, names)
    return f"select hour, {_FIGURES}, latency_ms, null as latencies from ({calls})"


def _of_rollup(unit: str, first: int, last: int, names: list[str]) -> str:
    everybody = unit == "day" and "agent_id" not in names
    table = "rollup_model" if everybody else f"rollup_{unit}"
    hour = "hour" if unit == "hour" else f"day * {DAY_HOURS} as hour"
    filters = "".join(f" and {one} = :{one}" for one in names)
    return (
        f"select {hour}, {_FIGURES}, null as latency_ms, latencies from {table}"
        f" where {unit} >= {first} and {unit} < {last} and {MODEL_CALLS}{filters}"
    )
