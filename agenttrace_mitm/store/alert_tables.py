"""The tables of alerts: rules, their firings, and the outbox; and `events`, which they ask too."""

import sqlite3

from ..model import AlertRow, AlertRule, Delivery, Firing

TABLES = {
    "alert_rules": "rules that somebody set up",
    "alert_firings": "episodes in which a rule held, with what that rests on",
    "alert_deliveries": "the outbox: messages about firings, and whether they arrived",
    "events": "heartbeats and events of programs, sent to the API",
}
COLUMNS = {
    "alert_rules": {
        "id": "UUIDv7",
        "name": "unique, for people",
        "type": "error_rate, budget, ...: docs/rules.md",
        "params": "JSON: settings of its type",
        "deliver": "JSON list of targets: webhooks, mailto:, command:; NULL in the pages' SQL",
        "enabled": "1 when it is checked",
        "repeat_minutes": "a firing is told again so often; NULL tells it once",
        "tell_resolved": "1 when recoveries are told",
        "silenced_until_us": "nothing is told until then, microseconds, UTC",
        "created_us": "when it was made, microseconds, UTC",
        "updated_us": "when it was changed",
        "checked_us": "when it was last judged",
        "problem": "why it could not be judged the last time; NULL when it could",
    },
    "alert_firings": {
        "id": "UUIDv7; sorts by time",
        "rule_id": "the rule, alert_rules.id; the rule may be gone",
        "rule_name": "its name then",
        "rule_type": "its type then",
        "subject": "what fires: all, an agent, a model, a session, a host ...",
        "episode": "sets apart what must not run together, such as two days' budgets",
        "severity": "warning or critical",
        "message": "what is the matter, as last seen",
        "value": "the figure that was judged",
        "started_us": "when it began to hold, microseconds, UTC",
        "seen_us": "when it last held",
        "resolved_us": "when it was over; NULL while it fires",
        "resolution": "what was seen then",
        "acknowledged_us": "when somebody said that they know",
        "told_us": "when a message about it was last put in the outbox",
        "evidence": "JSON: the query, its parameters and rows, ids of calls",
    },
    "alert_deliveries": {
        "id": "the message's id: the same however often it is sent",
        "firing_id": "what it is about, alert_firings.id",
        "topic": "rule and subject: messages of one topic arrive in their order",
        "transition": "fired, escalated, repeated, resolved, test",
        "target": "where it goes; NULL in the pages' SQL",
        "body": "JSON: what it says",
        "created_us": "when it was put here, microseconds, UTC",
        "due_us": "when it is to be tried next",
        "attempts": "how often it was tried",
        "leased_until_us": "somebody is sending it until then",
        "delivered_us": "when it arrived; NULL until it has",
        "failed_us": "when it was given up",
        "problem": "what went wrong the last time",
    },
    "events": {
        "id": "UUIDv7, derived from the client's own id where it sent one",
        "at_us": "when it happened, microseconds, UTC",
        "agent_id": "whose it is",
        "type": "heartbeat, error, custom, registered",
        "name": "what it is called",
        "severity": "as given",
        "message": "words, redacted",
        "tags": "JSON: labels, redacted",
        "trace_id": "32 hex digits",
        "span_id": "16 hex digits",
        "session_id": "the session it belongs to",
        "received_us": "when it came, microseconds, UTC",
    },
}
_INTEGERS = ("enabled", "tell_resolved", "repeat_minutes", "attempts")
_MODELS: dict[str, type[AlertRow]] = {
    "alert_rules": AlertRule,
    "alert_firings": Firing,
    "alert_deliveries": Delivery,
}


def create(db: sqlite3.Connection) -> None:
    """The tables, empty, with their indexes."""
    for table, model in _MODELS.items():
        _create(db, table, tuple(model.model_fields))
    _create(db, "events", tuple(COLUMNS["events"]))
    for statement in _INDEXES:
        db.execute(statement)


def _create(db: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> None:
    typed = ", ".join(f"{name} {_type(name)}" for name in columns)
    db.execute(f"create table {table} ({typed})")


def _type(name: str) -> str:
    if name == "id":
        return "text primary key"
    if name == "value":
        return "real"
    return "integer" if name.endswith("_us") or name in _INTEGERS else "text"


# The second: two checks at once cannot begin the same episode twice.
_INDEXES = (
    "create unique index alert_rules_name on alert_rules (name)",
    "create unique index alert_firings_open on alert_firings (rule_id, subject)"
    " where resolved_us is null",
    "create index alert_firings_started on alert_firings (started_us)",
    "create index alert_deliveries_open on alert_deliveries (due_us)"
    " where delivered_us is null and failed_us is null",
    "create index alert_deliveries_firing on alert_deliveries (firing_id)",
    "create index events_at on events (at_us)",
    "create index events_agent on events (agent_id, at_us)",
)
