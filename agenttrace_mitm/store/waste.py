"""What was paid for nothing, as views: broken prompt caches, work done twice, large results.

A cache should have hit where a call goes on from another one that read or wrote one.  Who changed
the prompt is told as far as rows tell it: another model, other tools, another system prompt, an
edited history, a pause longer than the cache lives; else nothing that we saw.  `caches` looks
closer: at the first message that changed, and what it cost.
"""

from sqlite_utils import Database

HOUR_US = 3_600_000_000
FIVE_MINUTES_US = 300_000_000

BROKEN_CACHES = f"""
with pairs as (
    select c.id, c.started_at, c.started_us, c.agent_id, c.session_id, c.provider, c.tokens_in,
           coalesce(c.response_model, c.model) as model, c.history, p.id as after_call_id,
           coalesce(p.response_model, p.model) as model_before,
           (c.started_us - p.ended_us) as pause_us,
           p.cache_read_tokens is not null or p.cache_write_tokens is not null as counts,
           coalesce(p.cache_read_tokens, 0) + coalesce(p.cache_write_tokens, 0) as cached,
           coalesce(c.cache_read_tokens, 0) as hit,
           json_extract(p.usage_detail, '$.cache_write_1h') as long_lived
    from llm_calls c join llm_calls p on p.id = c.continues_call_id
    where c.kind = 'llm' and c.outcome = 'ok'
)
select id, started_at, agent_id, session_id, provider, model, after_call_id,
       cached - hit as tokens_lost,
       case when model is not model_before then 'model'
            when history in ('edited', 'truncated', 'compacted') then 'history'
            when pause_us > case when long_lived > 0 then {HOUR_US} else {FIVE_MINUTES_US} end
            then 'time'
            else 'system or tools' end as changed,
       pause_us / 1000 as pause_ms
from pairs
where counts and cached > 0 and hit * 2 < cached and tokens_in > hit
order by started_us desc
"""

REPEATED_TOOL_CALLS = """
select c.session_id, c.thread_id, c.agent_id, t.name, count(*) as times,
       min(c.started_at) as first_at, max(c.started_at) as last_at, min(t.arguments) as arguments,
       count(distinct t.result) as results, max(t.call_id) as last_call_id
from tool_calls t join llm_calls c on c.id = t.call_id
where t.fingerprint is not null and not t.server and c.thread_id is not null
group by c.session_id, c.thread_id, t.fingerprint
having count(*) > 1
order by times desc, last_at desc
"""

LARGE_TOOL_RESULTS = """
select t.call_id, c.started_at, c.agent_id, c.session_id, t.name, length(t.result) as characters,
       t.answered_by_call_id
from tool_calls t join llm_calls c on c.id = t.call_id
where length(t.result) > 20000
order by characters desc
"""

_PAIRS = BROKEN_CACHES[: BROKEN_CACHES.index("select id, started_at, agent_id")]
BROKEN_CACHES_NAMED = (
    _PAIRS.replace(
        "select c.id,",
        """select c.id, coalesce(now.tools_print <> was.tools_print, 0) as new_tools,
           coalesce(now.system_print <> was.system_print, 0) as new_system,
           now.prompt_id is not null and was.prompt_id is not null as told,""",
    ).replace(
        "    where c.kind",
        """    left join prompts now on now.prompt_id = c.prompt_id
    left join prompts was on was.prompt_id = p.prompt_id
    where c.kind""",
    )
    + f"""
select id, started_at, started_us, agent_id, session_id, provider, model, after_call_id,
       cached - hit as tokens_lost,
       case when model is not model_before then 'model'
            when new_tools then 'tools' when new_system then 'system'
            when history in ('edited', 'truncated', 'compacted') then 'history'
            when pause_us > case when long_lived > 0 then {HOUR_US} else {FIVE_MINUTES_US} end
            then 'time'
            when told then 'unseen' else 'system or tools' end as changed,
       pause_us / 1000 as pause_ms
from pairs
where counts and cached > 0 and hit * 2 < cached and tokens_in > hit
order by started_us desc
"""
)

_UNUSED = """
with sent as (
    select prompt_id, count(*) as calls, max(started_at) as last_at
    from llm_calls where prompt_id is not null group by prompt_id having count(*) >= 10
),
{named}
select n.agent_id, n.prompt_id, n.name, n.calls, n.last_at, n.characters,
       n.calls * n.characters / 4 as estimated_tokens
from named n
where n.name is not null and not exists (
    select 1 from tool_calls t join llm_calls c on c.id = t.call_id
    where t.name = n.name and c.prompt_id = n.prompt_id
)
order by estimated_tokens desc
"""

# As `prompts.tools` was JSON text: tools of one name each, whatever the dialect wraps them in.
UNUSED_TOOLS = _UNUSED.format(
    named="""offered as (
    select s.prompt_id, p.agent_id, s.calls, s.last_at, tool.value as tool
    from sent s join prompts p on p.prompt_id = s.prompt_id, json_each(p.tools) as tool
    where tool.type = 'object' and tool.value ->> '$.functionDeclarations' is null
      and tool.value ->> '$.function_declarations' is null
    union all
    select s.prompt_id, p.agent_id, s.calls, s.last_at, one.value
    from sent s join prompts p on p.prompt_id = s.prompt_id, json_each(p.tools) as tool,
         json_each(coalesce(tool.value -> '$.functionDeclarations',
                            tool.value -> '$.function_declarations', '[]')) as one
    where tool.type = 'object'
),
named as (
    select *, length(tool) as characters,
           coalesce(tool ->> '$.function.name', tool ->> '$.toolSpec.name', tool ->> '$.name')
           as name
    from offered
)"""
)

UNUSED_TOOLS_SIZED = _UNUSED.format(
    named="""named as (
    select s.prompt_id, p.agent_id, s.calls, s.last_at, tool.value ->> 0 as name,
           tool.value ->> 1 as characters
    from sent s join prompts p on p.prompt_id = s.prompt_id, json_each(p.tool_sizes) as tool
)"""
)

# Calls of one thread in a row: where the two row numbers keep their distance.
TOOL_LOOPS = """
with made as (
    select c.thread_id, c.session_id, c.agent_id, t.name, t.fingerprint, t.arguments, t.result,
           t.call_id, c.started_at,
           row_number() over (partition by c.thread_id order by c.started_us, t.position)
           - row_number() over (
               partition by c.thread_id, t.fingerprint order by c.started_us, t.position) as run
    from tool_calls t join llm_calls c on c.id = t.call_id
    where t.fingerprint is not null and not t.server and c.thread_id is not null
)
select session_id, thread_id, agent_id, name, count(*) as times, min(started_at) as first_at,
       max(started_at) as last_at, min(arguments) as arguments,
       count(distinct result) as results, max(call_id) as last_call_id
from made
group by thread_id, fingerprint, run
having count(*) >= 3
order by times desc, last_at desc
"""

VIEWS = {
    "broken_caches": BROKEN_CACHES,
    "repeated_tool_calls": REPEATED_TOOL_CALLS,
    "large_tool_results": LARGE_TOOL_RESULTS,
}


def create(db: Database) -> None:
    """The views."""
    for name, sql in VIEWS.items():
        db.create_view(name, sql)


def look_closer(db: Database) -> None:
    """Views that know the versions of prompts."""
    db.create_view("broken_caches", BROKEN_CACHES_NAMED, replace=True)
    db.create_view("unused_tools", UNUSED_TOOLS)
    db.create_view("tool_loops", TOOL_LOOPS)


def know_sizes(db: Database) -> None:
    """Tools are looked up by name and size."""
    db.create_view("unused_tools", UNUSED_TOOLS_SIZED, replace=True)
