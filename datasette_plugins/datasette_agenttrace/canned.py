"""Questions people ask first, as SQL they can read, run and change.

The hook gives them to every database with our schema; `metadata.yml` repeats them for one called
`data`, written by `described.py` from here.  No `/` between integers and no `strftime`: the same
text is meant to run on other engines one day.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CannedQuery:
    """One saved query; `name` is its address."""

    name: str
    title: str
    description: str
    sql: str
    question: str
    """What a person wants to know."""
    page: str = ""
    """The page that shows it, or the nearest to it; empty: none does."""

    def as_metadata(self) -> dict[str, str]:
        """As Datasette wants it."""
        return {"title": self.title, "description": self.description, "sql": self.sql}


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

SLOWEST = CannedQuery(
    "slowest_calls",
    "Slowest calls",
    "The hundred of the last 10,000 calls that took longest to answer; times in ms.",
    """\
with recent as (
    select id, started_at, provider, coalesce(response_model, model) as model, kind, outcome,
           latency_ms, ttft_ms, tokens_out, agent_id, client
    from llm_calls
    order by started_us desc
    limit 10000
)
select id, started_at, provider, model, latency_ms, ttft_ms, tokens_out, agent_id, client
from recent
where kind in ('llm', 'auxiliary') and outcome = 'ok'
order by latency_ms desc
limit 100
""",
    question="Which calls took longest?",
    page="latency",
)

ERRORS = CannedQuery(
    "recent_errors",
    "Errors",
    "Calls that failed, were cut short or were cancelled by the client, newest first.",
    """\
select id, started_at, provider, coalesce(response_model, model) as model, outcome,
       status_code, error_type, error_code, error_message, agent_id, client
from llm_calls
where outcome in ('error', 'interrupted', 'cancelled')
  and outcome in ('error', 'cancelled', 'interrupted', 'in_flight')  -- as their index says it
order by started_us desc
limit 200
""",
    question="What went wrong lately?",
    page="calls?outcome=failed",
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

TOOL_CALLS = CannedQuery(
    "tool_calls_by_name",
    "Tool calls",
    "Of the last 10,000: how often each tool was asked for, how often it failed, its time in ms.",
    """\
with recent as (
    select name, is_error, result is null as without_result,
           (ended_us - started_us) * 0.001 as took_ms
    from tool_calls
    order by id desc
    limit 10000
)
select name,
       count(*) as calls,
       sum(is_error) as failed,
       sum(without_result) as without_result,
       round(avg(took_ms), 1) as mean_ms,
       round(max(took_ms), 1) as longest_ms
from recent
group by name
order by calls desc
""",
    question="Which tools are used, which fail, and which are slow?",
    page="agents",
)

CONVERSATION = CannedQuery(
    "conversation",
    "Conversation of a call",
    "Every message that the call with this id sent, history included, and what it was answered.",
    """\
with recursive source (id, below, continued) as (
    select id, 1000000000, continues_call_id from llm_calls where id = :call_id
    union all
    select s.continued, (
        select min(n.position) from call_messages n
        where n.call_id = s.id and n.direction = 'in'
    ), (select c.continues_call_id from llm_calls c where c.id = s.continued)
    from source s
    where s.continued is not null
)
select m.position, m.direction, t.role, t.content, m.message_id, m.call_id
from source s
join call_messages m on m.call_id = s.id
join messages t on t.id = m.message_id
where (m.direction = 'in' and m.position < s.below) or m.call_id = :call_id
order by m.position, m.direction, m.choice
""",
    question="What exactly was the model told in this call?",
    page="calls",
)

DRIFT = CannedQuery(
    "drift_by_dialect",
    "Drift",
    "What the last 10,000 calls had on the wire that was new to us or had another shape.",
    """\
with recent as (
    select id, dialect, notes, started_at
    from llm_calls
    order by started_us desc
    limit 10000
)
select dialect, note.value as note, count(*) as calls, min(started_at) as first_seen,
       max(started_at) as last_seen, max(recent.id) as last_call_id
from recent, json_each(recent.notes) as note
where notes is not null
  and (note.value like 'unknown %' or note.value like '%: not %'
       or note.value like '%is not %' or note.value = 'usage_mismatch')
group by dialect, note.value
order by calls desc
limit 200
""",
    question="What did providers change?",
)

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
    question="What did tries in vain cost?",
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

REPEATED_TOOLS = CannedQuery(
    "repeated_tool_calls_by_thread",
    "Repeated tool calls",
    "Of the last 10,000 tool calls: made again alike in one thread; one result is no news.",
    """\
with recent as (
    select id as tool_id, call_id, position, fingerprint
    from tool_calls
    where not server
    order by id desc
    limit 10000
),
made as (
    select t.*, c.thread_id, c.started_us,
           count(*) over (partition by c.thread_id, t.fingerprint) as times,
           row_number() over (
               partition by c.thread_id, t.fingerprint order by c.started_us, t.position) as nth
    from recent t cross join llm_calls c on c.id = t.call_id
    where t.fingerprint is not null and c.thread_id is not null
)
select t.name, times, count(distinct t.result) as results,
       sum(case when nth > 1 then k.asked_usd end) as cost_usd, c.agent_id, c.session_id,
       min(c.started_at) as first_at, max(c.started_at) as last_at,
       min(t.arguments) as arguments, max(c.id) as last_call_id
from made m
cross join tool_calls t on t.id = m.tool_id
cross join llm_calls c on c.id = m.call_id
cross join tool_call_costs k on k.call_id = t.call_id and k.position = t.position
where times > 1
group by m.thread_id, m.fingerprint
order by times desc, last_at desc
limit 200
""",
    question="Which tools were asked for the same thing again, and at what cost?",
    page="costs/savings",
)

TOOL_LOOPS = CannedQuery(
    "tool_loops_by_thread",
    "Loops",
    "Of the last 10,000 tool calls: the same three times and more in a row; what the rest cost.",
    """\
with recent as (
    select id as tool_id, call_id, position, fingerprint
    from tool_calls
    where not server
    order by id desc
    limit 10000
),
made as (
    select t.*, c.thread_id, c.started_us,
           row_number() over (partition by c.thread_id order by c.started_us, t.position)
           - row_number() over (
               partition by c.thread_id, t.fingerprint order by c.started_us, t.position) as run
    from recent t cross join llm_calls c on c.id = t.call_id
    where t.fingerprint is not null and c.thread_id is not null
),
looped as (
    select thread_id, fingerprint, run from made group by 1, 2, 3 having count(*) >= 3
),
turns as (
    select m.*, row_number() over (
        partition by thread_id, fingerprint, run order by m.started_us, m.position) as nth
    from looped join made m using (thread_id, fingerprint, run)
)
select t.name, count(*) as times, count(distinct t.result) as results,
       sum(case when nth > 1 then k.asked_usd end) as cost_usd, c.agent_id, c.session_id,
       min(c.started_at) as first_at, max(c.started_at) as last_at,
       min(t.arguments) as arguments, max(c.id) as last_call_id
from turns
cross join tool_calls t on t.id = turns.tool_id
cross join llm_calls c on c.id = turns.call_id
cross join tool_call_costs k on k.call_id = t.call_id and k.position = t.position
group by turns.thread_id, turns.fingerprint, run
order by times desc, last_at desc
limit 200
""",
    question="Which agents went round in circles, and at what cost?",
    page="costs/savings",
)

LARGE_RESULTS = CannedQuery(
    "large_tool_results_by_size",
    "Large tool results",
    "Of the last 10,000 tool calls: results above 20,000 characters; the cost of one reading.",
    """\
with recent as (
    select call_id, position, name, length(result) as characters, answered_by_call_id
    from tool_calls
    order by id desc
    limit 10000
)
select t.name, t.characters, k.estimated_read_usd as estimated_cost_usd, c.started_at, c.agent_id,
       c.session_id, t.call_id, t.answered_by_call_id
from recent t cross join llm_calls c on c.id = t.call_id
cross join tool_call_costs k on k.call_id = t.call_id and k.position = t.position
where t.characters > 20000
order by characters desc
limit 200
""",
    question="Which tools answer too much, and what does reading it cost?",
    page="costs/savings",
)

UNUSED_TOOLS = CannedQuery(
    "unused_tools_by_prompt",
    "Unused tools",
    "Of the last 10,000 calls: tools sent with ten and more that none called; what that cost.",
    """\
with recent as (
    select id, prompt_id, started_at
    from llm_calls
    order by started_us desc
    limit 10000
),
sent as (
    select c.prompt_id, count(*) as calls, max(c.started_at) as last_at,
           avg(p.usd_per_token) as usd_per_token
    from recent c left join read_prices p on p.call_id = c.id
    where c.prompt_id is not null
    group by c.prompt_id
    having count(*) >= 10
),
used as (
    select distinct c.prompt_id, t.name
    from recent c cross join tool_calls t on t.call_id = c.id
)
select tool.value ->> 0 as name, p.agent_id, s.calls, tool.value ->> 1 as characters,
       cast(s.calls * (tool.value ->> 1) * 0.25 as integer) as estimated_tokens,
       s.calls * (tool.value ->> 1) * 0.25 * s.usd_per_token as estimated_cost_usd,
       s.last_at, s.prompt_id
from sent s cross join prompts p on p.prompt_id = s.prompt_id, json_each(p.tool_sizes) as tool
where tool.value ->> 0 is not null
  and (s.prompt_id, tool.value ->> 0) not in (select prompt_id, name from used
                                              where prompt_id is not null and name is not null)
order by estimated_tokens desc
limit 200
""",
    question="Which tools are sent with every call and never used, and at what cost?",
    page="costs/savings",
)

PROMPTS = CannedQuery(
    "versions_of_prompts",
    "Versions of prompts",
    "Each system prompt and tool set of an agent by first sight, newest first.",
    """\
select agent_id,
       row_number() over (partition by agent_id order by first_seen_us) as version,
       datetime(first_seen_us * 0.000001, 'unixepoch') as first_seen,
       system_chars, n_tools, tools_chars, system, prompt_id
from prompts
order by first_seen_us desc
limit 200
""",
    question="How did an agent's system prompt and tools change?",
    page="agents",
)

CANNED_QUERIES = (
    COST_PER_DAY,
    SLOWEST,
    ERRORS,
    UNPRICED,
    TOKENS_PER_AGENT,
    CALLS_PER_CLIENT,
    TOOL_CALLS,
    CONVERSATION,
    DRIFT,
    RETRIES,
    CANCELLED,
    BROKEN_CACHES,
    REPEATED_TOOLS,
    TOOL_LOOPS,
    LARGE_RESULTS,
    UNUSED_TOOLS,
    PROMPTS,
)


def questions() -> str:
    """`docs/questions.md`: each question, the page that answers it, and the query."""
    return "\n".join(_section(query) for query in CANNED_QUERIES)


def _section(query: CannedQuery) -> str:
    page = f"Page: `/-/agenttrace/{query.page}`. " if query.page else ""
    told = f"{page}Saved query: `{query.name}`. {query.description}"
    return f"## {query.question}\n\n{told}\n\n```sql\n{query.sql}```\n"
