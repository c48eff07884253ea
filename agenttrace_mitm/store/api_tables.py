"""The tables of the API: its tokens, who wrote what, and what people think of a trace."""

import sqlite3

TABLES = {
    "api_tokens": "named tokens of the API; the tokens themselves are not in here",
    "audit": "writes through the API: who, when, what",
    "feedback": "what people think of a trace",
}
COLUMNS = {
    "api_tokens": {
        "id": "UUIDv7",
        "name": "unique among those in force, for people",
        "scopes": "JSON list: read, ingest, admin",
        "sha256": "hash of the token",
        "created_us": "when it was made, microseconds, UTC",
        "used_us": "when it was last used, to the minute",
        "revoked_us": "when it was revoked; NULL while it is in force",
    },
    "audit": {
        "id": "row number",
        "at_us": "when, microseconds, UTC",
        "who": "name of the token; owner for the access token and the pages",
        "method": "HTTP method",
        "path": "path",
        "status_code": "what was answered",
        "detail": "how much or which",
    },
    "feedback": {
        "id": "UUIDv7",
        "trace_id": "the trace, traces.trace_id",
        "score": "as given",
        "label": "as given, such as good",
        "comment": "words, redacted",
        "who": "name of the token",
        "at_us": "when, microseconds, UTC",
    },
}


def create(db: sqlite3.Connection) -> None:
    """The tables, empty."""
    db.execute(
        "create table api_tokens (id text primary key, name text not null, scopes text not null,"
        " sha256 text not null, created_us integer, used_us integer, revoked_us integer)"
    )
    db.execute("create unique index api_tokens_sha256 on api_tokens (sha256)")
    db.execute("create unique index api_tokens_name on api_tokens (name) where revoked_us is null")
    db.execute(
        "create table audit (id integer primary key, at_us integer, who text, method text,"
        " path text, status_code integer, detail text)"
    )
    db.execute(
        "create table feedback (id text primary key, trace_id text not null, score real,"
        " label text, comment text, who text, at_us integer)"
    )
    db.execute("create index feedback_trace on feedback (trace_id, at_us)")
