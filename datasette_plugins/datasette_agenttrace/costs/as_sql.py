"""The figures of Costs, Savings and Caches as queries for people, about what the page was asked.

Each function gives a statement and its parameters: the time, as dates, and the filters are filled
in, and its sums are the page's.
"""

from collections.abc import Mapping
from textwrap import dedent
from types import MappingProxyType

from agenttrace_mitm.store.caches import NEWEST

from .. import dated, sums
from ..asking import NAMED, Asked, clauses
from . import caches, savings, stack

type Query = tuple[str, dict[str, int | str]]

SLOWEST_OF = 10_000  # calls, the newest: no index has latencies
_SUMS = """\
       sum(case when billing in ('metered', '') then cost_nano_usd end) * 1e-9 as cost_usd,
       sum(calls) as calls, sum(failed) as failed, sum(unpriced) as unpriced,
       sum(tokens_in) as tokens_in, sum(cache_read_tokens) as cache_read_tokens,
       sum(tokens_out) as tokens_out"""

_LABELS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "day": ("day", "date(day * 86400, 'unixepoch') as day_utc", "day desc"),
        "hour": ("hour", "datetime(hour * 3600, 'unixepoch') as hour_utc", "hour desc"),
        "model": ("provider, model", "provider, model", "cost_usd desc, calls desc, model"),
    }
)
"""What is grouped by, how a row says it, and the order of rows."""
_WITH_RUNNING = f"""\
with counted as (  -- calls that ended, as they were summed up, and those that still run
    select {{names}}, billing, calls, failed, unpriced, cost_nano_usd, tokens_in,
           cache_read_tokens, tokens_out
    from rollup_{{table}}
    where {{place}}
      and kind in ('llm', 'auxiliary'){{filters}}
    union all
    select {{names_of_calls}}, '', 1, 0, 0, null, null, null, null
    from llm_calls indexed by llm_calls_running
    where outcome = 'in_flight' and {dated.CALLS}
      and kind in ('llm', 'auxiliary'){{filters_of_calls}}
)
select {{label}},
{_SUMS}
from counted
group by {{names}}
order by {{order}}"""
_ENDED = f"""\
select {{column}},
{_SUMS}
from rollup_{{table}}
where {dated.DAYS}
  and kind in ('llm', 'auxiliary'){{filters}}
group by {{column}}
order by cost_usd desc, calls desc"""


def costs(asked: Asked, by: str) -> Query:
    """The sums of Costs by `model`, `day` or `hour`, or by one of `stack.COLUMNS`."""
    table, given = _table(asked, by), _given(asked)
    if by not in _LABELS:
        column = stack.COLUMNS[by]
        return _ENDED.format(column=column, table=table, filters=_rolled(asked)), given
    names, label, order = _LABELS[by]
    sql = _WITH_RUNNING.format(
        names=names, label=label, order=order, table=table,
        place=dated.HOURS if by == "hour" else dated.DAYS, filters=_rolled(asked, "      "),
        names_of_calls=names.replace("model", "coalesce(response_model, model, '')"),
        filters_of_calls=_called(asked, "      "),
    )  # fmt: skip
    return sql, given


_UNPRICED = f"""\
select provider, coalesce(response_model, model) as model, unpriced_reason,
       count(*) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
       datetime(max(started_us) * 0.000001, 'unixepoch') as last_seen_utc
from llm_calls indexed by llm_calls_unpriced
where cost_nano_usd is null and duplicate_of is null
  and kind in ('llm', 'auxiliary') and outcome not in ('error', 'in_flight')
  and {dated.CALLS}{{filters}}
group by provider, coalesce(response_model, model), unpriced_reason
order by calls desc"""


def unpriced(asked: Asked) -> Query:
    """Which calls have no price, and why."""
    return _UNPRICED.format(filters=_called(asked)), _given(asked)


_SLOWEST = f"""\
with newest as (
    select id as call_id, started_at, outcome, provider,
           coalesce(response_model, model) as model, latency_ms, ttft_ms, tokens_out, agent_id,
           session_id
    from llm_calls
    where {dated.CALLS}
      and kind in ('llm', 'auxiliary'){{filters}}
    order by started_us desc
    limit {SLOWEST_OF}
)
select * from newest
where latency_ms is not null
order by latency_ms desc
limit 100"""


def slowest(asked: Asked) -> Query:
    """The calls that took longest, of the newest."""
    return _SLOWEST.format(filters=_called(asked, "      ")), _given(asked)


_METERED = f"""\
select provider, model,
       sum(cost_nano_usd) * 1e-9 as cost_usd, sum(calls) as calls, sum(unpriced) as unpriced,
       sum(tokens_in) as tokens_in, sum(cache_read_tokens) as cache_read_tokens,
       sum(cache_write_tokens) as cache_write_tokens, sum(tokens_out) as tokens_out
from rollup_{{table}}
where {dated.DAYS}
  and kind in ('llm', 'auxiliary') and billing in ('metered', ''){{filters}}
group by provider, model
order by cost_usd desc, calls desc"""


def metered(asked: Asked) -> Query:
    """What Savings reckons with: the metered calls of each model."""
    return _METERED.format(table=_table(asked, "model"), filters=_rolled(asked)), _given(asked)


_OF_A_CALL = """c.id as call_id, c.started_at, c.provider,
           coalesce(c.response_model, c.model) as model, c.outcome, c.error_type, c.cost_usd,
           c.latency_ms, c.agent_id"""


def failed_attempts(asked: Asked) -> Query:
    """The attempts that another one followed."""
    sql = savings.RETRIED.format(columns=_OF_A_CALL, filters=clauses(asked))
    sql = dated.dated(f"{dedent(sql).strip()}\norder by c.started_us desc")
    return sql, _given(asked) | {"most": savings.MOST}


_CUT = f"""\
select id as call_id, started_at, provider, coalesce(response_model, model) as model, outcome,
       usage_source, tokens_in, tokens_out, cost_usd, latency_ms, agent_id
from llm_calls indexed by llm_calls_cut
where outcome in ('cancelled', 'interrupted')
  and {dated.CALLS}
  and kind in ('llm', 'auxiliary') and coalesce(billing, '') in ('metered', ''){{filters}}
order by started_us desc
limit {savings.MOST}"""


def cut_short(asked: Asked) -> Query:
    """The calls that were cancelled or cut short."""
    return _CUT.format(filters=_called(asked)), _given(asked)


_BROKEN = f"""\
select started_at, id as call_id, after_call_id, provider, model, agent_id, session_id, changed,
       tokens_lost, pause_ms
from broken_caches
where {dated.CALLS}
  and started_us >= coalesce((  -- among the newest calls
      select started_us from llm_calls
      where started_us < unixepoch(:until) * 1000000
      order by started_us desc limit 1 offset {NEWEST - 1}
  ), 0){{filters}}
order by started_us desc
limit {caches.MOST}"""


def broken_caches(asked: Asked) -> Query:
    """The calls that missed what a cache had, as the page lists them; without what that cost."""
    columns = {"provider": "provider", "model": "model", "agent": "agent_id"}
    filters = "".join(f"\n  and {columns[name]} = :{name}" for name in asked.filters)
    return _BROKEN.format(filters=filters), _given(asked)


def _table(asked: Asked, by: str) -> str:
    """The smallest rollup that tells apart what is asked."""
    if by in stack.FINER:
        return "session"
    if by == "hour":
        return "hour"
    return "model" if {*asked.filters, by} <= {"provider", "model", "day"} else "day"


def _rolled(asked: Asked, indent: str = "  ") -> str:
    """The filters as conditions on a rollup."""
    return "".join(f"\n{indent}and {sums.ROLLED[name]} = :{name}" for name in asked.filters)


def _called(asked: Asked, indent: str = "  ") -> str:
    """The filters as conditions on `llm_calls`."""
    return "".join(f"\n{indent}and {NAMED[name]} = :{name}" for name in asked.filters)


def _given(asked: Asked) -> dict[str, int | str]:
    return {**dated.dates(asked), **asked.filters}
