"""What was spent, and by whom."""

from .query import CannedQuery

COST_PER_DAY = CannedQuery(
    "cost_per_day_and_model",
    "Cost per day and model",
    "Metered spend of ended calls in US dollars by UTC day, 90 days; NULL is unpriced, not free.",
    """\
select date(day * 86400, 'unixepoch') as day_utc,
       model,
       sum(case when billing in ('metered', '') then cost_nano_usd end) * 1e-9 as cost_usd,
       sum(calls) as calls,
       sum(tokens_in) as tokens_in,
       sum(cache_read_tokens) as cache_read_tokens,
       sum(tokens_out) as tokens_out
from rollup_model
where kind in ('llm', 'auxiliary')
  and day > (select max(day) from rollup_model) - 90
group by day, model
order by day_utc desc, cost_usd desc
""",
    question="What did each model cost, day by day?",
    page="costs",
)

UNPRICED = CannedQuery(
    "unpriced_calls",
    "Unpriced calls",
    "Finished calls without a price, and why; they are missing from every sum of costs.",
    """\
with each as (  -- in the order of their index
    select provider, response_model, model, unpriced_reason, count(*) as calls,
           sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
           max(started_us) as last_us
    from llm_calls
    where cost_nano_usd is null
      and kind in ('llm', 'auxiliary')
      and outcome not in ('error', 'in_flight')
      and duplicate_of is null
    group by provider, response_model, model, unpriced_reason
)
select provider, coalesce(response_model, model) as model, unpriced_reason,
       sum(calls) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
       datetime(max(last_us) * 0.000001, 'unixepoch') as last_seen_utc
from each
group by provider, coalesce(response_model, model), unpriced_reason
order by calls desc
""",
    question="Which calls are missing from every sum of costs?",
    page="costs",
)

TOKENS_PER_AGENT = CannedQuery(
    "tokens_per_agent",
    "Tokens per agent",
    "What each agent read, wrote and spent over the last 30 recorded days, ended calls.",
    """\
select case when agent_id = '' then '(none)' else agent_id end as agent,
       sum(calls) as calls,
       sum(tokens_in) as tokens_in,
       sum(cache_read_tokens) as cache_read_tokens,
       sum(tokens_out) as tokens_out,
       sum(reasoning_tokens) as reasoning_tokens,
       sum(case when billing in ('metered', '') then cost_nano_usd end) * 1e-9 as cost_usd,
       date(max(day) * 86400, 'unixepoch') as last_day_utc
from rollup_day
where kind in ('llm', 'auxiliary')
  and day > (select max(day) from rollup_day) - 30
group by agent_id
order by tokens_in desc
""",
    question="Which agent spends most?",
    page="agents",
)

CALLS_PER_CLIENT = CannedQuery(
    "calls_per_client",
    "Calls per client",
    "Which programs made the last 10,000 calls, to which provider, and how many failed.",
    """\
with recent as (
    select client, process, provider, kind, outcome, billing, cost_usd, started_at
    from llm_calls
    order by started_us desc
    limit 10000
)
select coalesce(client, process, '(unknown)') as client,
       provider,
       count(*) as calls,
       sum(outcome in ('error', 'interrupted')) as failed,
       sum(case when coalesce(billing, 'metered') = 'metered' then cost_usd end) as cost_usd,
       max(started_at) as last_seen
from recent
where kind in ('llm', 'auxiliary')
group by coalesce(client, process, '(unknown)'), provider
order by calls desc
""",
    question="Which programs make the calls, and how many fail?",
    page="agents",
)
