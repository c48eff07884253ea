"""The views of `waste` with what it cost, as far as rows tell it.

What a tool call took is its share of the call that asked for it; what its result took to read,
and what a tool's schema took to send, is told by size: four characters a token, at the mean price
of a token that the call read.  Metered calls only; NULL is unpriced.  What a broken cache cost
follows from price lists, which SQL does not know: `caches`.
"""

from sqlite_utils import Database

READ_PRICES = """
select id as call_id,
       (cost_nano_usd - coalesce(cost_detail ->> '$.output', 0)) * 1e-9 / tokens_in as usd_per_token
from llm_calls
where tokens_in > 0 and cost_detail ->> '$.input' is not null
  and coalesce(billing, 'metered') = 'metered'
"""

TOOL_CALL_COSTS = """
select t.call_id, t.position,
       case when coalesce(c.billing, 'metered') = 'metered'
            then c.cost_usd / max(c.n_tool_calls, 1) end as asked_usd,
       length(t.result) * 0.25 * p.usd_per_token as estimated_read_usd
from tool_calls t join llm_calls c on c.id = t.call_id
left join read_prices p on p.call_id = t.answered_by_call_id
"""

REPEATED_TOOL_CALLS = """
with made as (
    select t.name, t.fingerprint, t.arguments, t.result, t.call_id, c.session_id, c.thread_id,
           c.agent_id, c.started_at, k.asked_usd,
           row_number() over (
               partition by c.thread_id, t.fingerprint order by c.started_us, t.position) as nth
    from tool_calls t join llm_calls c on c.id = t.call_id
    join tool_call_costs k on k.call_id = t.call_id and k.position = t.position
    where t.fingerprint is not null and not t.server and c.thread_id is not null
)
select session_id, thread_id, agent_id, name, count(*) as times, min(started_at) as first_at,
       max(started_at) as last_at, min(arguments) as arguments,
       count(distinct result) as results, max(call_id) as last_call_id,
       sum(case when nth > 1 then asked_usd end) as cost_usd
from made
group by session_id, thread_id, fingerprint
having count(*) > 1
order by times desc, last_at desc
"""

TOOL_LOOPS = """
with made as (
    select c.thread_id, c.session_id, c.agent_id, t.name, t.fingerprint, t.arguments, t.result,
           t.call_id, c.started_at, c.started_us, t.position, k.asked_usd,
           row_number() over (partition by c.thread_id order by c.started_us, t.position)
           - row_number() over (
               partition by c.thread_id, t.fingerprint order by c.started_us, t.position) as run
    from tool_calls t join llm_calls c on c.id = t.call_id
    join tool_call_costs k on k.call_id = t.call_id and k.position = t.position
    where t.fingerprint is not null and not t.server and c.thread_id is not null
),
turns as (
    select *, row_number() over (
        partition by thread_id, fingerprint, run order by started_us, position) as nth
    from made
)
select session_id, thread_id, agent_id, name, count(*) as times, min(started_at) as first_at,
       max(started_at) as last_at, min(arguments) as arguments,
       count(distinct result) as results, max(call_id) as last_call_id,
       sum(case when nth > 1 then asked_usd end) as cost_usd
from turns
group by thread_id, fingerprint, run
having count(*) >= 3
order by times desc, last_at desc
"""

LARGE_TOOL_RESULTS = """
select t.call_id, c.started_at, c.agent_id, c.session_id, t.name, length(t.result) as characters,
       t.answered_by_call_id, k.estimated_read_usd as estimated_cost_usd
from tool_calls t join llm_calls c on c.id = t.call_id
join tool_call_costs k on k.call_id = t.call_id and k.position = t.position
where length(t.result) > 20000
order by characters desc
"""

UNUSED_TOOLS = """
with sent as (
    select c.prompt_id, count(*) as calls, max(c.started_at) as last_at,
           avg(p.usd_per_token) as usd_per_token
    from llm_calls c left join read_prices p on p.call_id = c.id
    where c.prompt_id is not null group by c.prompt_id having count(*) >= 10
),
named as (
    select s.prompt_id, p.agent_id, s.calls, s.last_at, s.usd_per_token, tool.value ->> 0 as name,
           tool.value ->> 1 as characters
    from sent s join prompts p on p.prompt_id = s.prompt_id, json_each(p.tool_sizes) as tool
)
select n.agent_id, n.prompt_id, n.name, n.calls, n.last_at, n.characters,
       n.calls * n.characters / 4 as estimated_tokens,
       n.calls * n.characters * 0.25 * n.usd_per_token as estimated_cost_usd
from named n
where n.name is not null and not exists (
    select 1 from tool_calls t join llm_calls c on c.id = t.call_id
    where t.name = n.name and c.prompt_id = n.prompt_id
)
order by estimated_tokens desc
"""

VIEWS = {
    "read_prices": READ_PRICES,
    "tool_call_costs": TOOL_CALL_COSTS,
    "repeated_tool_calls": REPEATED_TOOL_CALLS,
    "tool_loops": TOOL_LOOPS,
    "large_tool_results": LARGE_TOOL_RESULTS,
    "unused_tools": UNUSED_TOOLS,
}


def create(db: Database) -> None:
    """The views, in the place of those without money."""
    for name, sql in VIEWS.items():
        db.create_view(name, sql, replace=True)
