"""Tools: used, failing, slow, asked for in vain; and the prompts that name them."""

from .query import CannedQuery

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
