"""What was paid for nothing, as views: broken prompt caches, work done twice, large results.

A cache should have hit where a call goes on from another one that read or wrote one.  Who changed
the prompt is told as far as rows tell it: another model, an edited history, a pause longer than
the cache lives; else what stands before the history, the system prompt or the tools.
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

VIEWS = {
    "broken_caches": BROKEN_CACHES,
    "repeated_tool_calls": REPEATED_TOOL_CALLS,
    "large_tool_results": LARGE_TOOL_RESULTS,
}


def create(db: Database) -> None:
    """The views."""
    for name, sql in VIEWS.items():
        db.create_view(name, sql)
