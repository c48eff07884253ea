"""Spend of a stretch of time: whole days and hours from the rollups, the edges from the calls.

A budget's day begins at somebody's midnight, which need not be a whole UTC hour.
"""

from ..store.counting import UNPRICED
from .moments import HOUR_US
from .rule_type import METERED, MODEL_CALLS, SUBJECTS, Params, Question, filters

_ROLLED_SUBJECTS = {"all": "'all'", "agent": "agent_id", "model": "model", "provider": "provider"}
_ROLLED_FILTERS = ("agent", "model", "provider", "project")
_ROLLED_NAMES = {"agent": "agent_id"}


def spend(params: Params, per: str, since_us: int, until_us: int) -> Question:
    """Rows `subject, spent, unpriced`: metered nano-dollars from *since_us* until *until_us*."""
    sources = [_calls(params, per, *_first(since_us, until_us))]
    if per == "session":  # which rollups do not know
        sources = [_calls(params, per, since_us, until_us)]
    else:
        sources += _rolled_up(params, per, since_us, until_us)
    _, given = filters(params)
    sql = f"""
        select subject, coalesce(sum(cost), 0) as spent, sum(unpriced) as unpriced
        from ({" union all ".join(sources)}) group by subject
    """
    return Question(sql, given)


def _first(since_us: int, until_us: int) -> tuple[int, int]:
    return since_us, min(-(-since_us // HOUR_US) * HOUR_US, until_us)


def _rolled_up(params: Params, per: str, since_us: int, until_us: int) -> list[str]:
    """Hours, days, hours, and the calls after the last whole hour."""
    first, last = -(-since_us // HOUR_US), until_us // HOUR_US
    if first > last:
        return []
    first_day, last_day = -(-first // 24), last // 24
    sources = [_calls(params, per, last * HOUR_US, until_us)]
    if first_day >= last_day:
        return [*sources, _sums(params, per, "hour", first, last)]
    return [
        *sources,
        _sums(params, per, "hour", first, first_day * 24),
        _sums(params, per, "day", first_day, last_day),
        _sums(params, per, "hour", last_day * 24, last),
    ]


def _calls(params: Params, per: str, since_us: int, until_us: int) -> str:
    clauses, _ = filters(params)
    return f"""
        select {SUBJECTS[per]} as subject, cost_nano_usd as cost, {UNPRICED} as unpriced
        from llm_calls
        where started_us >= {since_us} and started_us < {until_us} and {MODEL_CALLS}
          and {METERED} and outcome <> 'in_flight'{clauses}
    """


def _sums(params: Params, per: str, step: str, first: int, last: int) -> str:
    clauses = "".join(
        f" and {_ROLLED_NAMES.get(name, name)} = :{name}"
        for name in _ROLLED_FILTERS
        if getattr(params, name)
    )
    return f"""
        select {_ROLLED_SUBJECTS[per]} as subject, cost_nano_usd as cost, unpriced
        from rollup_{step}
        where {step} >= {first} and {step} < {last} and {MODEL_CALLS} and {METERED}{clauses}
    """
