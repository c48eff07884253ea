"""Commits of sessions, and the branches and pull requests that their commands named.

What the repository said is kept as it was said.  Which tool call made a commit, and so which
prompt it belongs to, follows from stored tool calls: `link_again` tells it again, and changes
nothing where nothing new is known.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..model import StoredCommit, StoredRef
from ..traces.committing import Work, claim, work_of
from ..traces.stories import Commit, Ref

_TRACE = """
coalesce(
    (select trace_id from llm_calls where id = {call_id}),
    (select trace_id from traces t where {call_id} is null and t.session_id = {session_id}
     and {at} between t.started_us - 999999 and t.ended_us order by t.started_us desc limit 1))
"""
# A tool call of another session's that made it knows better than one that saw it being made.
_INSERT = f"""
insert into commits ({", ".join(StoredCommit.model_fields)}, trace_id)
select {", ".join(f":{name}" for name in StoredCommit.model_fields)},
       {_TRACE.format(call_id=":call_id", session_id=":session_id", at=":committed_us")}
where :call_id is not null or not exists (
    select 1 from commits where sha = :sha and session_id <> :session_id and call_id is not null)
on conflict (session_id, sha) do update set
    branch = coalesce(excluded.branch, commits.branch),
    call_id = coalesce(excluded.call_id, commits.call_id),
    position = coalesce(excluded.position, commits.position),
    trace_id = case when excluded.call_id is null then commits.trace_id else excluded.trace_id end,
    how = case when excluded.call_id is null then commits.how else excluded.how end,
    confidence = case when excluded.call_id is null then commits.confidence
        else excluded.confidence end
"""
_MADE_HERE = (
    "delete from commits where sha = :sha and session_id <> :session_id and call_id is null"
)
_KNOWN_WHOLE = """
delete from commits
where session_id = :session_id and length(sha) < length(:sha) and :sha glob sha || '*'
"""
_REPLACED = """
update commits set replaced = sha not in (select value from json_each(?))
where session_id = ? and repository = ? and committed_us >= ? and length(sha) >= 40
"""
_INSERT_REF = f"""
insert into git_refs ({", ".join(StoredRef.model_fields)}, trace_id)
select {", ".join(f":{name}" for name in StoredRef.model_fields)},
       (select trace_id from llm_calls where id = :call_id)
on conflict (session_id, kind, name) do update set
    made = max(git_refs.made, excluded.made),
    (trace_id, call_id, position, at_us) = (select iif(b, excluded.trace_id, git_refs.trace_id),
        iif(b, excluded.call_id, git_refs.call_id), iif(b, excluded.position, git_refs.position),
        min(excluded.at_us, git_refs.at_us) from (select excluded.at_us < git_refs.at_us as b))
"""
_WORK = """
select t.call_id, t.position, t.started_us, t.ended_us, t.name, t.arguments, t.result,
       t.calls_inside, t.is_error
from llm_calls c join tool_calls t on t.call_id = c.id
where {of} and t.ended_us is not null and t.arguments is not null and not t.server
  and (t.arguments like '%git%' or t.arguments like '%gh %' or t.arguments like '%glab %'
       or t.arguments like '%hub %' or t.name like '%git%')
order by t.started_us, t.call_id, t.position
"""
# Only those that may speak of git: results are large, and sessions have thousands.
WORKS = _WORK.format(of="c.session_id = ?")
ONE_WORK = _WORK.format(of="t.call_id = ? and t.position = ?")
_LINKED = "select sha, committed_us, call_id, position from commits where session_id = ?"
_LINK = """
update commits set call_id = ?, position = ?, how = ?, confidence = ?
where session_id = ? and sha = ?
"""


_OF_COMMIT = _TRACE.format(
    call_id="commits.call_id", session_id="commits.session_id", at="commits.committed_us"
)
_TRACES = (
    f"update commits set trace_id = {_OF_COMMIT} where session_id = ?",
    "update git_refs set trace_id = (select trace_id from llm_calls where id = call_id)"
    " where session_id = ?",
)
_COMMITS = """
select trace_id, sha, repository, coalesce(branch, ''), coalesce(message, ''), author_us,
       committed_us, files, lines_added, lines_removed, replaced, call_id, how, confidence
from commits where session_id = ? order by coalesce(committed_us, found_us), sha
"""
_REFS = "select trace_id, kind, name, made from git_refs where session_id = ? order by at_us, name"


@dataclass(frozen=True, slots=True)
class OnBranches:
    """Which commits since a moment a repository's branches lead to; others were replaced."""

    session_id: str
    repository: str
    since_us: int
    shas: tuple[str, ...]


def write_commit(db: sqlite3.Connection, commit: StoredCommit) -> None:
    """The row of *commit*, inside the caller's transaction; what is linked already stays so."""
    values = commit.__dict__ | {"numstat": _json(commit.numstat)}
    if commit.call_id:
        db.execute(_MADE_HERE, values)
    db.execute(_KNOWN_WHOLE, values)
    db.execute(_INSERT, values)


def write_on_branches(db: sqlite3.Connection, told: OnBranches) -> None:
    """Mark the commits of a session that no branch leads to any more."""
    db.execute(_REPLACED, (_json(told.shas), told.session_id, told.repository, told.since_us))


def write_ref(db: sqlite3.Connection, ref: StoredRef) -> None:
    """The row of *ref*, inside the caller's transaction; the first to name it is kept."""
    db.execute(_INSERT_REF, ref.__dict__)


def commits_of(db: sqlite3.Connection, session_id: str) -> list[tuple[str | None, Commit]]:
    """The commits of a session, the oldest first, with the trace each belongs to."""
    rows = db.execute(_COMMITS, (session_id,))
    return [(row[0], Commit(*(*row[1:10], bool(row[10]), *row[11:]))) for row in rows]


def refs_of(db: sqlite3.Connection, session_id: str) -> list[tuple[str | None, Ref]]:
    """The branches and pull requests of a session, with the trace each was first named in."""
    rows = db.execute(_REFS, (session_id,))
    return [(trace_id, Ref(kind, name, bool(made))) for trace_id, kind, name, made in rows]


def works(rows: Iterable[Sequence[Any]]) -> list[Work]:
    """The commands of a session, from the rows of `WORKS` or `ONE_WORK`."""
    found = map(_work, rows)
    return [work for work in found if work]


def _work(row: Sequence[Any]) -> Work | None:
    call_id, position, started_us, ended_us, tool, arguments, result, inside, is_error = row
    return work_of(
        call_id,
        position,
        (started_us or ended_us, ended_us),
        tool=tool or "",
        arguments=arguments,
        result=result,
        inside=msgspec.json.decode(inside) if inside else None,
        is_error=bool(is_error),
    )


def link_again(db: sqlite3.Connection, sessions: Iterable[str] | None = None) -> None:
    """Tell again which tool call made each commit of *sessions* (None: of all).

    Inside the caller's transaction.  A link stays where the words it rests on are not kept any
    more.
    """
    if sessions is None:
        sessions = [row[0] for row in db.execute("select distinct session_id from commits")]
        sessions += [row[0] for row in db.execute("select distinct session_id from git_refs")]
    for session_id in sorted(set(sessions)):
        _claim_again(db, session_id)
        for sql in _TRACES:
            db.execute(sql, (session_id,))


def _claim_again(db: sqlite3.Connection, session_id: str) -> None:
    commits = db.execute(_LINKED, (session_id,)).fetchall()
    if not commits:
        return
    done = works(db.execute(WORKS, (session_id,)).fetchall())
    told = {(work.call_id, work.position) for work in done}
    for sha, committed_us, call_id, position in commits:
        if call_id and (call_id, position) not in told:
            continue
        if found := claim(sha, committed_us, done):
            work, how, sure = found.work, found.how, found.confidence
            db.execute(_LINK, (work.call_id, work.position, how, sure, session_id, sha))
        else:
            db.execute(_LINK, (None, None, "meanwhile", 1.0, session_id, sha))


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
