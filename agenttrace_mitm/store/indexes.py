"""What every call pays for being found: the indexes, narrowed to what queries use.

An index entry costs 20 to 80 bytes a call, at every privacy tier.  So rows that no query looks
for are left out of them (a column that is NULL, the first of an operation's attempts, which has
the operation's id), and an index that another one makes superfluous is gone.
"""

from sqlite_utils import Database

from ..clock import NAME_FROM

# Left out where NULL: `=` and `in` find the same without.
_SPARSE = {
    "llm_calls": (
        ("session_id", "started_us"),
        ("response_id",),
        ("continues_call_id",),
        ("turn_print",),
        ("reply_print",),
        ("request_chain",),
        ("conversation_id",),
    ),
    "traces": (("session_id", "started_us"),),
    "threads": (("session_id", "started_us"), ("parent_span_id",)),
    "spans": (("parent_span_id",),),
}

_GONE = (
    "idx_llm_calls_operation_id",  # llm_calls_attempts
    "idx_llm_calls_model_started_us",  # llm_calls_model_served: the model that people see
    "idx_spans_call_id",  # llm_calls.span_id and tool_calls.span_id name the spans of a call
    "idx_spans_started_us",  # spans_agents, and traces by time
    "idx_spans_trace_id_started_us",  # spans_of_trace: a trace's spans are few, and soon sorted
    "idx_threads_started_us",  # threads are looked for by session
    "idx_messages_first_seen_us",  # messages_kept
    "idx_call_messages_message_id",  # call_messages_of_message
)

_MADE = (
    "create index llm_calls_attempts on llm_calls (operation_id) where operation_id <> id",
    "create index spans_of_trace on spans (trace_id)",
    "create index spans_agents on spans (started_us) where kind = 'agent'",
    # Those whose content is kept: what retention and search look at.
    "create index messages_kept on messages (first_seen_us) where content is not null",
)

_RETRIES = """
with tried (operation_id) as (select distinct operation_id from llm_calls where attempt > 1),
made (operation_id, call_id) as (
    select operation_id, operation_id from tried
    union all
    select t.operation_id, c.id
    from tried t join llm_calls c on c.operation_id = t.operation_id and c.operation_id <> c.id
),
ended (operation_id, call_id) as (
    select operation_id, coalesce((
        select id from llm_calls l
        where l.operation_id = t.operation_id and l.operation_id <> l.id
        order by attempt desc, started_us desc limit 1
    ), operation_id)
    from tried t
)
select made.operation_id, min(c.started_at) as started_at, c.provider, c.model,
       count(*) as attempts,
       sum(c.id <> last.id) as failed_attempts,
       sum(case when c.id <> last.id then c.cost_nano_usd end) / 1e9 as retry_cost_usd,
       sum(c.cost_nano_usd) / 1e9 as cost_usd,
       sum(case when c.id <> last.id then c.latency_ms end) as lost_ms,
       last.outcome, last.id as last_call_id
from made
join llm_calls c on c.id = made.call_id
join ended on ended.operation_id = made.operation_id
join llm_calls last on last.id = ended.call_id
group by made.operation_id
order by started_at desc
"""


def narrow(db: Database) -> None:
    """The indexes of a call, its messages and spans as they are used."""
    for name in _GONE:
        db.execute(f"drop index {name}")
    for table, indexes in _SPARSE.items():
        for columns in indexes:
            name = f"idx_{table}_{'_'.join(columns)}"
            db.execute(f"drop index {name}")
            db.execute(
                f"create index {name} on {table} ({', '.join(columns)})"
                f" where {columns[0]} is not null"
            )
    for sql in _MADE:
        db.execute(sql)
    db.create_view("retries", _RETRIES, replace=True)
    _cluster_messages(db)


def _cluster_messages(db: Database) -> None:
    """`call_messages` as its primary key alone, which was stored a second time."""
    db.execute("alter table call_messages rename to call_messages_before")
    db.execute(
        """
        create table call_messages (
            call_id text not null references llm_calls (id),
            direction text not null,
            position integer not null,
            choice integer not null,
            message_id integer not null references messages (id),
            primary key (call_id, direction, position, choice)
        ) without rowid
        """
    )
    db.execute("insert into call_messages select * from call_messages_before")
    db.execute("drop table call_messages_before")
    db.execute("create index call_messages_of_message on call_messages (message_id)")


def spare_operations(db: Database) -> None:
    """The id of an operation only in its further attempts: the first has it as its own."""
    # The indexes and the view of retries go along with the name.
    db.execute("alter table llm_calls rename column operation_id to retry_of")
    db.execute(
        "alter table llm_calls add column operation_id text"
        " generated always as (coalesce(retry_of, id)) virtual"
    )


def for_pages(db: Database) -> None:
    """Calls that pages look for among all others: few, so indexes hold what is shown of them."""
    # Columns of the condition as well: without, SQLite 3.40 reads the row to be sure of it.
    db.execute(
        "create index llm_calls_unpriced on llm_calls"
        " (provider, response_model, model, unpriced_reason, tokens_in, tokens_out, started_us,"
        " cost_nano_usd, kind, outcome, duplicate_of)"
        " where cost_nano_usd is null and kind in ('llm', 'auxiliary')"
        " and outcome not in ('error', 'in_flight') and duplicate_of is null"
    )
    db.execute(
        "create index llm_calls_refused on llm_calls"
        " (started_us, outcome, kind, provider, status_code, error_type, response_model, model,"
        " agent_id, id)"
        " where outcome in ('error', 'interrupted')"
    )


def for_cold_pages(db: Database) -> None:
    """What pages ask of few among many rows, in their index: each row was a page read from disk."""
    # Savings: 2,000 cancelled calls lay among 8,000 that failed otherwise.
    db.execute(
        "create index llm_calls_cut on llm_calls"
        " (started_us, outcome, kind, billing, cost_nano_usd, latency_ms, provider,"
        " response_model, model, agent_id)"
        " where outcome in ('cancelled', 'interrupted')"
    )
    # Agents: which of them another span started.
    db.execute("drop index spans_agents")
    db.execute(
        "create index spans_agents on spans (started_us, parent_span_id) where kind = 'agent'"
    )


def spare_unplaced(db: Database) -> None:
    """Traces and threads of the calls that have one: what programs tell of has none."""
    for columns in (("trace_id",), ("thread_id", "started_us")):
        name = f"idx_llm_calls_{'_'.join(columns)}"
        db.execute(f"drop index {name}")
        db.execute(
            f"create index {name} on llm_calls ({', '.join(columns)})"
            f" where {columns[0]} is not null"
        )


CARRIED = "latency_ms is null and ended_us is not null and source = 'proxy'"
"""Calls that came inside another exchange: nobody knows how long they took."""
NAME_IN_ID = f"substr(id, {NAME_FROM})"
"""`clock.name_in` as SQL."""


def for_lines(db: Database) -> None:
    """Lines of batches by what is read, whenever it is."""
    db.execute(f"create index llm_calls_lines on llm_calls ({NAME_IN_ID}) where {CARRIED}")


def for_told_traces(db: Database) -> None:
    """What programs tell of a trace goes with it; heartbeats, nearly all of it, name none."""
    db.execute("create index events_trace on events (trace_id) where trace_id is not null")
