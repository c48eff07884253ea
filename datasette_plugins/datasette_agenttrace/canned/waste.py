"""What was paid for nothing, tools aside."""

from .query import CannedQuery

RETRIES = CannedQuery(
    "retried_operations",
    "Retries",
    "Operations of the last 500 retries, and what the attempts before the last cost; ms, dollars.",
    """\
with recent as (
    select distinct retry_of as operation_id
    from (
        select retry_of from llm_calls
        where attempt > 1 and retry_of is not null
        order by started_us desc
        limit 500
    )
),
tried (operation_id, call_id) as (
    select operation_id, operation_id from recent  -- the first attempt has the operation's id
    union all
    select r.operation_id, c.id
    from recent r join llm_calls c on c.retry_of = r.operation_id and c.retry_of <> c.id
),
attempts as (
    select t.operation_id, c.id, c.started_at, c.provider, c.model, c.outcome, c.cost_usd,
           c.latency_ms, row_number() over (
               partition by t.operation_id order by c.attempt desc, c.started_us desc
           ) as from_last
    from tried t join llm_calls c on c.id = t.call_id
)
select operation_id, min(started_at) as started_at,
       max(case when from_last = 1 then provider end) as provider,
       max(case when from_last = 1 then model end) as model,
       count(*) as attempts, count(*) - 1 as failed_attempts,
       sum(case when from_last > 1 then cost_usd end) as retry_cost_usd,
       sum(cost_usd) as cost_usd,
       sum(case when from_last > 1 then latency_ms end) as lost_ms,
       max(case when from_last = 1 then outcome end) as outcome,
       max(case when from_last = 1 then id end) as last_call_id
from attempts
group by operation_id
order by started_at desc
limit 200
""",
    question="What did failed attempts cost?",
    page="costs/savings",
)

CANCELLED = CannedQuery(
    "billed_but_cancelled_calls",
    "Billed but cancelled",
    "Calls that were cut off after the provider had counted tokens; counts may be a lower bound.",
    """\
select id, started_at, provider, coalesce(response_model, model) as model, outcome,
       usage_source, tokens_in, tokens_out,
       json_extract(usage_detail, '$.estimated_output_tokens') as estimated_tokens_out,
       cost_usd, agent_id
from llm_calls
where outcome in ('cancelled', 'interrupted')
  and usage_source in ('reported', 'partial') and duplicate_of is null
order by started_us desc
limit 200
""",
    question="What was paid for replies that nobody read?",
    page="costs/savings",
)

BROKEN_CACHES = CannedQuery(
    "broken_caches_by_cause",
    "Broken caches",
    "Of the last 10,000 calls: those that missed what the one before had cached, and why.",
    """\
select started_at, id, agent_id, session_id, model, changed, tokens_lost, pause_ms, after_call_id
from broken_caches
where started_us >= coalesce(
    (select started_us from llm_calls order by started_us desc limit 1 offset 9999), 0)
order by started_us desc
limit 200
""",
    question="Which calls missed the prompt cache, and who broke it?",
    page="costs/caches",
)
