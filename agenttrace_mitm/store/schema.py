"""The database: the migrations that made it what it is.

The schema is an interface: people write SQL against it.  Names are kept, and a released migration
is never edited.  What its names mean is said in `descriptions`.
"""

from types import UnionType
from typing import Any, get_args, get_origin

from sqlite_utils import Database, Migrations

from ..model import LlmCall
from . import (
    alert_tables,
    api_tables,
    commit_tables,
    graph,
    indexes,
    kept_tables,
    merging,
    places,
    prints,
    prompts,
    rollups,
    search,
    spent,
    waste,
    wasted,
    words,
)
from .descriptions import CALL_COLUMNS

CALL_INDEXES = (
    ("started_us",),
    ("session_id", "started_us"),
    ("trace_id",),
    ("model", "started_us"),
    ("agent_id", "started_us"),
    ("provider", "started_us"),
    ("request_chain",),
    ("response_id",),
    ("continues_call_id",),
    ("turn_print",),
    ("reply_print",),
    ("conversation_id",),
    ("thread_id", "started_us"),
)

migrations = Migrations("agenttrace")


@migrations()
def m001_calls(db: Database) -> None:
    """One row per exchange with a provider host."""
    db.table("llm_calls").create(
        {name: _sql_type(LlmCall.model_fields[name].annotation) for name in CALL_COLUMNS},
        pk="id",
        not_null={"started_us", "provider", "host", "method", "path", "outcome", "source"},
    )
    iso = "strftime('%Y-%m-%dT%H:%M:%fZ', {0} / 1000000.0, 'unixepoch')"
    for name, type_, expression in (
        ("started_at", "text", iso.format("started_us")),
        ("ended_at", "text", iso.format("ended_us")),
        ("hour", "integer", "started_us / 3600000000"),
        ("day", "integer", "started_us / 86400000000"),
        ("cost_usd", "real", "cost_nano_usd / 1e9"),
    ):
        db.execute(
            f"alter table llm_calls add column {name} {type_}"
            f" generated always as ({expression}) virtual"
        )
    for columns in CALL_INDEXES:
        db.table("llm_calls").create_index(columns)
    db.execute(
        "create index llm_calls_failed on llm_calls (started_us) where outcome in"
        " ('error', 'cancelled', 'interrupted', 'in_flight')"
    )


@migrations()
def m002_messages(db: Database) -> None:
    """Content-addressed messages, and which call brought them."""
    db.table("messages").create(
        {
            "id": int,
            "fingerprint": str,
            "role": str,
            "content": str,
            "text": str,
            "size": int,
            "first_seen_us": int,
            "privacy_tier": int,
        },
        pk="id",
        not_null={"fingerprint", "role"},
    )
    db.table("messages").create_index(["fingerprint"], unique=True)
    db.table("messages").create_index(["first_seen_us"])
    db.table("call_messages").create(
        {
            "call_id": str,
            "direction": str,
            "position": int,
            "choice": int,
            "message_id": int,
        },
        pk=("call_id", "direction", "position", "choice"),
        foreign_keys=[("call_id", "llm_calls", "id"), ("message_id", "messages", "id")],
    )
    db.table("call_messages").create_index(["message_id"])
    db.table("messages").enable_fts(["text"], create_triggers=True, tokenize="unicode61")


@migrations()
def m003_tool_calls(db: Database) -> None:
    """What the models asked to be run, and what came back."""
    db.table("tool_calls").create(
        {
            "id": int,
            "call_id": str,
            "position": int,
            "tool_call_id": str,
            "name": str,
            "arguments": str,
            "calls_inside": str,
            "result": str,
            "is_error": int,
            "server": int,
            "typed": int,
            "item_id": str,
            "fingerprint": str,
            "prompts": str,
            "span_id": str,
            "how": str,
            "confidence": float,
            "started_us": int,
            "ended_us": int,
            "answered_by_call_id": str,
        },
        pk="id",
        foreign_keys=[("call_id", "llm_calls", "id")],
    )
    db.table("tool_calls").create_index(["call_id", "position"], unique=True)
    db.table("tool_calls").create_index(["name"])
    for column in ("tool_call_id", "item_id", "fingerprint"):
        db.table("tool_calls").create_index([column])
    db.execute(
        "create index tool_calls_open on tool_calls (id)"
        " where prompts is not null and answered_by_call_id is null"
    )


@migrations()
def m004_payloads(db: Database) -> None:
    """Wire bytes.  Bodies are zstd frames."""
    db.table("payloads").create(
        {
            "call_id": str,
            "request_headers": str,
            "response_headers": str,
            "request_body": bytes,
            "response_body": bytes,
            "arrivals": str,
        },
        pk="call_id",
        foreign_keys=[("call_id", "llm_calls", "id")],
    )


@migrations()
def m005_operations(db: Database) -> None:
    """What the recorder could not see, and what happened to it."""
    db.table("blind_spots").create(
        {"id": int, "at_us": int, "host": str, "reason": str, "client": str}, pk="id"
    )
    db.table("recorder_events").create(
        {"id": int, "at_us": int, "kind": str, "detail": str}, pk="id"
    )


@migrations()
def m006_views(db: Database) -> None:
    """Views for people."""
    db.create_view(
        "errors",
        """
        select id, started_at, provider, model, outcome, status_code, error_type, error_code,
               error_message, agent_id, latency_ms
        from llm_calls
        where outcome in ('error', 'cancelled', 'interrupted')
        order by started_us desc
        """,
    )
    db.create_view(
        "unpriced",
        """
        select provider, coalesce(response_model, model) as model, unpriced_reason,
               count(*) as calls, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
               max(started_at) as last_seen
        from llm_calls
        where cost_nano_usd is null and kind in ('llm', 'auxiliary') and outcome <> 'error'
          and duplicate_of is null
        group by 1, 2, 3
        order by calls desc
        """,
    )
    db.create_view(
        "cost_by_day",
        """
        select date(day * 86400, 'unixepoch') as day_utc, provider,
               coalesce(response_model, model) as model, count(*) as calls,
               sum(cost_nano_usd) / 1e9 as cost_usd,
               sum(cost_nano_usd is null) as unpriced_calls,
               sum(tokens_in) as tokens_in, sum(cache_read_tokens) as cache_read_tokens,
               sum(tokens_out) as tokens_out
        from llm_calls
        where kind in ('llm', 'auxiliary')
        group by day, provider, coalesce(response_model, model)
        order by day desc, cost_usd desc
        """,
    )
    db.create_view(
        "slowest",
        """
        select id, started_at, provider, model, latency_ms, ttft_ms, tokens_out, agent_id
        from llm_calls
        where outcome = 'ok' and kind in ('llm', 'auxiliary')
        order by latency_ms desc
        """,
    )


@migrations()
def m020_rollups(db: Database) -> None:
    """Sums and latency histograms that the writer keeps; and what the list of calls looks up."""
    rollups.create(db.conn)
    rollups.rebuild(db.conn)
    # The model that people see is the one that answered.
    db.execute(
        "create index llm_calls_model_served"
        " on llm_calls (coalesce(response_model, model), started_us)"
    )
    # A handful of rows, so that pages can add running calls to rollups of ended ones.
    db.execute(
        "create index llm_calls_running on llm_calls (started_us) where outcome = 'in_flight'"
    )
    db.execute("create index call_messages_of_message on call_messages (message_id, call_id)")


@migrations()
def m021_session_rollups(db: Database) -> None:
    """Sums per day of each session and prompt."""
    rollups.create_of_sessions(db.conn)


@migrations()
def m007_numbers(db: Database) -> None:
    """Media, and views that tell what the figures leave out."""
    db.table("media").create(
        {
            "sha256": str,
            "mime_type": str,
            "size": int,
            "width": int,
            "height": int,
            "duration_ms": int,
            "token_estimate": int,
            "first_call_id": str,
            "first_seen_us": int,
            "last_seen_us": int,
            "data": bytes,
        },
        pk="sha256",
    )
    db.table("media").create_index(["last_seen_us"])
    db.table("llm_calls").create_index(["operation_id"])
    db.execute(
        "create index llm_calls_retried on llm_calls (started_us, operation_id) where attempt > 1"
    )
    db.execute("create index llm_calls_noted on llm_calls (started_us) where notes is not null")
    db.create_view(
        "retries",
        """
        select first.operation_id, min(c.started_at) as started_at, c.provider, c.model,
               count(*) as attempts,
               sum(c.id <> last.id) as failed_attempts,
               sum(case when c.id <> last.id then c.cost_nano_usd end) / 1e9 as retry_cost_usd,
               sum(c.cost_nano_usd) / 1e9 as cost_usd,
               sum(case when c.id <> last.id then c.latency_ms end) as lost_ms,
               last.outcome, last.id as last_call_id
        from (select distinct operation_id from llm_calls where attempt > 1) as first
        join llm_calls c on c.operation_id = first.operation_id
        join llm_calls last on last.id = (
            select id from llm_calls l where l.operation_id = first.operation_id
            order by attempt desc, started_us desc limit 1
        )
        group by first.operation_id
        order by started_at desc
        """,
    )
    db.create_view(
        "billed_but_cancelled",
        """
        select id, started_at, provider, coalesce(response_model, model) as model, outcome,
               usage_source, tokens_in, tokens_out,
               json_extract(usage_detail, '$.estimated_output_tokens') as estimated_tokens_out,
               cost_usd, agent_id
        from llm_calls
        where outcome in ('cancelled', 'interrupted')
          and usage_source in ('reported', 'partial') and duplicate_of is null
        order by started_us desc
        """,
    )
    db.create_view(
        "estimates",
        """
        select id, started_at, provider, coalesce(response_model, model) as model, outcome,
               json_extract(usage_detail, '$.estimated_input_tokens') as estimated_tokens_in,
               json_extract(usage_detail, '$.estimated_output_tokens') as estimated_tokens_out,
               json_extract(cost_detail, '$.estimated') / 1e9 as estimated_cost_usd, agent_id
        from llm_calls
        where usage_source = 'estimated'
        order by started_us desc
        """,
    )
    db.create_view(
        "drift",
        """
        select dialect, note.value as note, count(*) as calls, min(started_at) as first_seen,
               max(started_at) as last_seen, max(llm_calls.id) as last_call_id
        from llm_calls, json_each(llm_calls.notes) as note
        where llm_calls.notes is not null
          and (note.value like 'unknown %' or note.value like '%: not %'
               or note.value like '%is not %' or note.value = 'usage_mismatch')
        group by dialect, note.value
        order by calls desc
        """,
    )


@migrations()
def m030_traces(db: Database) -> None:
    """Where calls belong."""
    places.create(db)
    graph.create(db)


@migrations()
def m040_chains(db: Database) -> None:
    """Bodies as the difference to earlier ones.  Read them through `store.chains`."""
    # A row of its own number: `vacuum` may give other numbers to rows without one.
    columns = "call_id, request_headers, response_headers, request_body, response_body, arrivals"
    db.execute("alter table payloads rename to payloads_before")
    db.execute(
        """
        create table payloads (
            id integer primary key,
            call_id text not null unique references llm_calls (id),
            request_headers text,
            response_headers text,
            request_body blob,
            response_body blob,
            stored_after integer references payloads (id),
            arrivals text
        )
        """
    )
    db.execute(f"insert into payloads ({columns}) select {columns} from payloads_before")
    db.execute("drop table payloads_before")
    db.execute(
        "create index payloads_after on payloads (stored_after) where stored_after is not null"
    )


@migrations()
def m041_words(db: Database) -> None:
    """The text of a message is told from its content, not stored beside it."""
    words.create(db)
    search.create(db.conn)


@migrations()
def m042_indexes(db: Database) -> None:
    """Fewer and narrower indexes."""
    indexes.narrow(db)


@migrations()
def m050_waste(db: Database) -> None:
    """What was paid for nothing."""
    waste.create(db)


@migrations()
def m040_alerts(db: Database) -> None:
    """Rules, firings, the outbox, and events of programs."""
    alert_tables.create(db.conn)


@migrations()
def m041_api(db: Database) -> None:
    """Tokens, audit and feedback of the API."""
    api_tables.create(db.conn)


@migrations()
def m062_prints(db: Database) -> None:
    """Fingerprints of half the length."""
    prints.shorten(db.conn)


@migrations()
def m061_prompts(db: Database) -> None:
    """What agents are told before anything is said, in versions."""
    prompts.create(db.conn)


@migrations()
def m063_waste(db: Database) -> None:
    """Who broke a cache, by the versions of prompts; tools that nobody calls; loops."""
    waste.look_closer(db)


@migrations()
def m060_commits(db: Database) -> None:
    """What came of sessions in git."""
    commit_tables.create(db.conn)


@migrations()
def m070_page_indexes(db: Database) -> None:
    """Unpriced and failed calls are found without looking at the others."""
    indexes.for_pages(db)


@migrations()
def m071_operations(db: Database) -> None:
    """What is no retry does not say so in forty bytes."""
    indexes.spare_operations(db)


@migrations()
def m072_tools(db: Database) -> None:
    """The tools of a prompt's version, compressed."""
    prompts.pack_tools(db.conn)
    waste.know_sizes(db)


@migrations()
def m073_aging(db: Database) -> None:
    """Calls may go by age; sessions may be put on hold."""
    kept_tables.create(db.conn)


@migrations()
def m080_model_rollups(db: Database) -> None:
    """Sums per day of each model, without agents and projects."""
    rollups.create_of_models(db.conn)


@migrations()
def m085_waiting(db: Database) -> None:
    """Retention remembers how far it has come."""
    kept_tables.create_waiting(db.conn)


@migrations()
def m086_cold_pages(db: Database) -> None:
    """Agents and Savings read a third of the file's pages."""
    indexes.for_cold_pages(db)


@migrations()
def m087_wasted(db: Database) -> None:
    """What waste cost."""
    wasted.create(db)


@migrations()
def m090_events(db: Database) -> None:
    """What programs tell of is written in half the time."""
    kept_tables.insert_freely(db.conn)
    indexes.spare_unplaced(db)


@migrations()
def m091_merging(db: Database) -> None:
    """The search index's pieces are merged in transactions of their own."""
    merging.configure(db.conn)


@migrations()
def m092_spend(db: Database) -> None:
    """The dearest sessions are found without reading all that is known of the others."""
    spent.create(db.conn)


@migrations()
def m093_vocabulary(db: Database) -> None:
    """A search can ask which words the index has."""
    search.create_vocabulary(db.conn)


@migrations()
def m094_lines(db: Database) -> None:
    """A line of a batch that is downloaded again is found, though no id of its answer says so."""
    indexes.for_lines(db)


@migrations()
def m095_told_traces(db: Database) -> None:
    """A trace that is deleted takes the events of it along."""
    indexes.for_told_traces(db)


def _sql_type(annotation: Any) -> type:
    """The column type for a model's field: int, float or str (JSON and everything else)."""
    choices = (
        get_args(annotation) if get_origin(annotation) or isinstance(annotation, UnionType) else ()
    )
    plain = [choice for choice in choices if choice is not type(None)] or [annotation]
    first = plain[0]
    if first in (int, bool) or isinstance(first, int):
        return int
    return float if first is float else str
