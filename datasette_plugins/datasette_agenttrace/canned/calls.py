"""Single calls: slow, failed, told whole, or unlike what we know."""

from .query import CannedQuery

SLOWEST = CannedQuery(
    "slowest_calls",
    "Slowest calls",
    "The hundred of the last 10,000 calls that took longest to answer.",
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

CUT_BY_LENGTH = CannedQuery(
    "cut_by_length",
    "Replies cut by length",
    "Replies among the last 10,000 calls that ended at their most tokens, newest first.",
    """\
with recent as (
    select id, started_at, provider, coalesce(response_model, model) as model, finish_reason,
           tokens_out, reasoning_tokens, agent_id, client
    from llm_calls
    order by started_us desc
    limit 10000
)
select id, started_at, provider, model, tokens_out, reasoning_tokens, agent_id, client
from recent
where finish_reason = 'length'
order by started_at desc
limit 200
""",
    question="Which replies were cut off by max_tokens?",
    page="calls",
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
