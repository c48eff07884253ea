"""Sessions read as stories: what pages and the command line show of a coding agent's work."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import msgspec

from ..errors import StoreError
from ..traces.actions import actions
from ..traces.content import parsed, plain_text
from ..traces.edits import Files
from ..traces.spoken import user_text
from ..traces.stories import Bill, Prompt, Step, Story, pauses_of, split
from .commits import commits_of, refs_of
from .counting import FAILED, METERED

_LIST = f"""
with billed as (
    select session_id, count(*) as calls, sum(cost_nano_usd) as cost_nano_usd,
           sum(case when {METERED} then cost_nano_usd end) as spend_nano_usd,
           sum({FAILED}) as failed
    from llm_calls where session_id is not null and kind in ('llm', 'auxiliary')
    group by session_id
)
select s.session_id, coalesce(s.agent_id, s.client, s.process, '') as agent, s.started_us,
       s.ended_us, b.calls, b.failed, b.cost_nano_usd,
       (select count(*) from traces t where t.session_id = s.session_id) as prompts,
       (select name from traces t where t.session_id = s.session_id
        order by started_us limit 1) as first_prompt,
       (select count(*) from commits k where k.session_id = s.session_id
        and k.call_id is not null and not k.replaced) as commits,
       b.spend_nano_usd
from sessions s join billed b using (session_id)
where s.started_us >= :since_us and (:until_us is null or s.started_us < :until_us)
  and (:agent is null or coalesce(s.agent_id, s.client, s.process, '') = :agent)
order by s.started_us desc limit :most
"""
_SESSION = "select * from sessions where session_id = ?"
_BEGINS = """
select session_id from sessions
where session_id >= :begins and session_id < :begins || char(0x10ffff)
"""
_TRACES = "select * from traces where session_id = ? order by started_us, trace_id"
_CALLS = """
select c.id, c.trace_id, c.thread_id, c.kind, c.outcome, c.agent_id, c.started_us, c.ended_us,
       c.tokens_in, c.tokens_out, c.cache_read_tokens, c.cost_nano_usd, c.billing, c.history,
       c.duplicate_of, c.operation_id, h.parent_span_id
from llm_calls c left join threads h on h.thread_id = c.thread_id
where c.session_id = ? and c.kind in ('llm', 'auxiliary') order by c.started_us, c.id
"""
_TOOLS = """
select t.call_id, t.name, t.arguments, t.result, t.calls_inside, t.is_error, t.started_us,
       t.ended_us
from tool_calls t join llm_calls c on c.id = t.call_id
where c.session_id = ? order by t.started_us, t.id
"""
_WORDS = """
select m.role, m.content from call_messages cm join messages m on m.id = cm.message_id
where cm.call_id = ? and cm.direction = ? and cm.choice = 0 order by cm.position
"""

type Row = sqlite3.Row


@dataclass(frozen=True, slots=True)
class Listed:
    """A session in a list; cost, and what of it was metered, is None where nothing has a price."""

    session_id: str
    agent: str
    started_us: int
    ended_us: int
    calls: int
    failed: int
    cost_nano_usd: int | None
    prompts: int
    first_prompt: str | None
    commits: int = 0
    spend_nano_usd: int | None = None


def sessions(
    db: sqlite3.Connection,
    since_us: int = 0,
    most: int = 50,
    *,
    until_us: int | None = None,
    agent: str | None = None,
) -> list[Listed]:
    """The latest sessions that made calls: begun before *until_us*, by *agent*, where given."""
    given = {"since_us": since_us, "until_us": until_us, "agent": agent, "most": most}
    rows = db.execute(_LIST, given)
    return [Listed(*row) for row in rows]


def session_of(db: sqlite3.Connection, begins: str) -> str:
    """The id that is *begins*, or begins so.  Raises `StoreError` when it is not just one."""
    # A range of the key, which is found by its index; a prefix by `like` would be no range.
    found = [id_ for (id_,) in db.execute(_BEGINS, {"begins": begins})] if begins else []
    if begins in found:
        return begins
    if len(found) != 1:
        problem = (
            f"{len(found):,} sessions begin with {begins}"
            if found
            else f"There is no session {begins!r}"
        )
        raise StoreError(problem, "See: agenttrace-mitm sessions list")
    return str(found[0])


def story(db: sqlite3.Connection, session_id: str) -> Story | None:
    """The session of this id, told; None when there is none."""
    found = _rows(db, _SESSION, session_id)
    if not found:
        return None
    [session] = found
    calls = _rows(db, _CALLS, session_id)
    files = Files(session["cwd"] or "")
    made: dict[str, list[Row]] = {}
    for tool in _rows(db, _TOOLS, session_id):
        made.setdefault(tool["call_id"], []).append(tool)
    by_trace: dict[str, list[Row]] = {}
    for call in calls:
        if call["kind"] == "llm" and call["trace_id"]:
            by_trace.setdefault(call["trace_id"], []).append(call)
    commits, refs = commits_of(db, session_id), refs_of(db, session_id)
    prompts = tuple(
        replace(
            _prompt(db, trace, by_trace[trace["trace_id"]], made, files),
            commits=tuple(commit for of, commit in commits if of == trace["trace_id"]),
            refs=tuple(ref for of, ref in refs if of == trace["trace_id"]),
        )
        for trace in _rows(db, _TRACES, session_id)
        if trace["trace_id"] in by_trace
    )
    return Story(
        session_id=session_id,
        agent_id=session["agent_id"] or "",
        client=session["client"] or "",
        cwd=session["cwd"] or "",
        started_us=session["started_us"],
        ended_us=session["ended_us"],
        prompts=prompts,
        bill=_bill(calls),
        aside=_bill(call for call in calls if call["kind"] == "auxiliary"),
        commits=tuple(commit for _, commit in commits),
        refs=tuple(ref for _, ref in refs),
    )


def _rows(db: sqlite3.Connection, sql: str, *given: Any) -> list[Row]:
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(sql, given).fetchall()


def _prompt(
    db: sqlite3.Connection,
    trace: Row,
    calls: Sequence[Row],
    made: dict[str, list[Row]],
    files: Files,
) -> Prompt:
    main = [call for call in calls if call["parent_span_id"] is None] or list(calls)
    steps = [step for call in calls for step in _steps(call, made.get(call["id"], ()), files)]
    tools = [tool for call in calls for tool in made.get(call["id"], ())]
    started = min(call["started_us"] for call in calls)
    ended = max(call["ended_us"] or call["started_us"] for call in calls)
    below = [call["agent_id"] or "" for call in calls if call["parent_span_id"]]
    return Prompt(
        trace_id=trace["trace_id"],
        text=_asked(db, trace["call_id"]) or trace["name"] or "",
        reply=_replied(db, main),
        steps=tuple(steps),
        sub_agents=tuple(dict.fromkeys(below)),
        bill=_bill(calls),
        times=split(
            (started, ended),
            ((c["started_us"], c["ended_us"] or c["started_us"]) for c in calls),
            ((t["started_us"], t["ended_us"] or t["started_us"]) for t in tools),
            pauses_of((c["operation_id"], c["started_us"], c["ended_us"]) for c in calls),
        ),
        started_us=started,
        ended_us=ended,
        context_tokens=max(call["tokens_in"] or 0 for call in main),
        compactions=sum(call["history"] == "compacted" for call in main),
    )


def _steps(call: Row, tools: Iterable[Row], files: Files) -> list[Step]:
    return [
        Step(
            action,
            call["id"],
            call["agent_id"] or "",
            tool["ended_us"] - tool["started_us"] if tool["ended_us"] else None,
            bool(call["parent_span_id"]),
        )
        for tool in tools
        for action in actions(
            tool["name"] or "",
            tool["arguments"],
            tool["result"],
            msgspec.json.decode(tool["calls_inside"]) if tool["calls_inside"] else None,
            files,
            is_error=bool(tool["is_error"]),
        )
    ]


def _bill(calls: Iterable[Row]) -> Bill:
    counted = list(calls)
    priced = [c for c in counted if c["cost_nano_usd"] is not None]
    metered = [c for c in priced if c["billing"] in ("metered", "", None)]
    return Bill(
        calls=len(counted),
        failed=sum(c["outcome"] in ("error", "interrupted") for c in counted),
        tokens_in=_known(c["tokens_in"] for c in counted),
        tokens_out=_known(c["tokens_out"] for c in counted),
        cache_read_tokens=sum(c["cache_read_tokens"] or 0 for c in counted),
        cost_nano_usd=sum(c["cost_nano_usd"] for c in priced) if priced else None,
        spend_nano_usd=sum(c["cost_nano_usd"] for c in metered) if metered else None,
        unpriced=sum(c["cost_nano_usd"] is None and not c["duplicate_of"] for c in counted),
    )


def _known(numbers: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None where none is, 0 where there are none."""
    given = list(numbers)
    known = [one for one in given if one is not None]
    return None if given and not known else sum(known)


def _asked(db: sqlite3.Connection, call_id: str) -> str:
    """The user's words that opened a trace, injected notes aside."""
    messages = [
        parsed(row["role"], msgspec.json.decode(row["content"]))
        for row in _rows(db, _WORDS, call_id, "in")
        if row["content"]
    ]
    runs = [list(run) for _, run in groupby(messages, lambda message: message.role == "assistant")]
    return user_text(runs[-1]) if runs else ""


def _replied(db: sqlite3.Connection, calls: Sequence[Row]) -> str:
    """What the last answered call said."""
    for call in reversed(calls):
        rows = _rows(db, _WORDS, call["id"], "out")
        texts = [
            plain_text(
                [part for part in msgspec.json.decode(row["content"]) if part["type"] == "text"]
            )
            for row in rows
            if row["content"]
        ]
        if words := "\n".join(filter(None, texts)):
            return words
    return ""
