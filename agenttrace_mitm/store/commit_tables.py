"""The tables of what came of sessions in git; they are filled and read by `commits`."""

import sqlite3

TABLES = {
    "commits": "git commits made while a session ran, and the tool call that made each",
    "git_refs": "branches and pull requests that outputs of a session's commands name",
}
COLUMNS = {
    "commits": {
        "sha": "the commit's id; short where the repository could not be read",
        "session_id": "the session it was made in, sessions.session_id",
        "repository": "name of the repository's folder",
        "branch": "branch it was made on; NULL where HEAD was detached",
        "message": "message; only its subject where the repository could not be read",
        "author_us": "author time, microseconds, UTC; git keeps whole seconds",
        "committed_us": "committer time, microseconds, UTC; when it was really made",
        "files": "files changed; NULL unknown",
        "lines_added": "lines added, as git counts them; binary files and merges count none",
        "lines_removed": "lines removed",
        "numstat": "JSON list of [path, added, removed]; null for binary files",
        "replaced": "1 when an amend, a rebase or a reset took it from its branch since",
        "trace_id": "the trace (prompt) in whose time it was made",
        "call_id": "the call whose reply asked for the command that made it; NULL for none",
        "position": "which of that reply's tool calls; with call_id the key of tool_calls",
        "how": "output: git's answer names it; time: made while the command ran; meanwhile: made"
        " during the session by no git command of the agent's, so by a person or another program",
        "confidence": "how sure the link to the tool call is, 0 to 1",
        "found_us": "when it was found, microseconds, UTC",
    },
    "git_refs": {
        "session_id": "the session, sessions.session_id",
        "kind": "branch or pull_request",
        "name": "the branch's name, the pull request's address",
        "made": "1 when the command made it, 0 when its output only named it",
        "trace_id": "the trace (prompt) it was first named in",
        "call_id": "the call that asked for the command, llm_calls.id",
        "position": "which of that reply's tool calls",
        "at_us": "when the command was asked for, microseconds, UTC",
    },
}

_CREATE = (
    """
    create table commits (
        sha text not null, session_id text not null, repository text, branch text, message text,
        author_us integer, committed_us integer, files integer, lines_added integer,
        lines_removed integer, numstat text, replaced integer not null default 0, trace_id text,
        call_id text, position integer, how text, confidence real, found_us integer,
        primary key (session_id, sha)
    ) without rowid
    """,
    "create index commits_sha on commits (sha)",
    """
    create table git_refs (
        session_id text not null, kind text not null, name text not null, made integer,
        trace_id text, call_id text, position integer, at_us integer,
        primary key (session_id, kind, name)
    ) without rowid
    """,
)


def create(db: sqlite3.Connection) -> None:
    """The tables, empty."""
    for sql in _CREATE:
        db.execute(sql)
