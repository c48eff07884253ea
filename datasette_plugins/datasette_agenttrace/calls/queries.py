"""The list of calls: newest first, filtered, searched, a page at a time.

A page ends where the next begins: at the time and id of its last call, so nothing is shown twice
or skipped while new calls arrive.  Every filter has an index with the time.
"""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from agenttrace_mitm.model.call import Outcome

from ..asking import FILTERS, Asked, Choices, Value, asked_of, choices, clauses, rows_of
from .beginnings import are_many, newest
from .spelling import spelled
from .terms import Term, query_of, terms_of

PAGE_SIZE = 50
MOST_MATCHES = 2_000  # of messages, for one page of a search
SNIPPET = 160
LONG = 500_000  # characters beyond which a message is not opened for a snippet
HOUR_US = 3_600_000_000
OUTCOMES = {
    "failed": "('error', 'interrupted')",
    "ok": "('ok')",
    "error": "('error')",
    "interrupted": "('interrupted')",
    "cancelled": "('cancelled')",
    "in_flight": "('in_flight')",
}
OUTCOME_LABELS = {
    "failed": "failed", "ok": "ok", "error": "error", "interrupted": "cut short",
    "cancelled": "cancelled by the client", "in_flight": "running",
}  # fmt: skip


class CallsAsked(Asked):
    """Which calls to list; `before` is where the page before ended."""

    outcome: str = ""
    session: str = ""
    kind: str = ""
    q: str = ""
    before: str = ""

    @property
    def filters(self) -> dict[str, str]:
        """Those of every page, and those of this one."""
        own = {name: said for name in ("outcome", "session", "kind", "q") if (said := self[name])}
        return super().filters | own

    @property
    def end(self) -> tuple[int, str] | None:
        """The time and id of the last call of the page before."""
        time, dot, id_ = self.before.partition(".")
        return (int(time), id_) if dot else None

    def __getitem__(self, name: str) -> str:
        said: str = getattr(self, name)
        return said


class ListedCall(Value):
    """A line of the list."""

    id: str
    started_us: int
    provider: str
    model: str | None
    agent_id: str | None
    session_id: str | None
    kind: str
    operation: str
    outcome: Outcome
    status_code: int | None
    error_type: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost_nano_usd: int | None
    billing: str | None
    unpriced_reason: str | None
    latency_ms: float | None
    ttft_ms: float | None
    n_tool_calls: int
    attempt: int
    said_by: str | None = None
    said: str | None = None


class Calls(Value):
    """The page; `older` continues it, `searched_all` says whether a search saw every message."""

    asked: CallsAsked
    calls: tuple[ListedCall, ...]
    older: str | None
    searched_all: bool
    choices: Choices
    anything_recorded: bool


def calls_asked(arguments: Mapping[str, str], today: int) -> CallsAsked:
    """What a query string asks for."""
    common = asked_of(arguments, today).model_dump(exclude={"first_date", "last_date"})
    outcome = arguments.get("outcome", "").strip()
    before = arguments.get("before", "")
    return CallsAsked(
        **common,
        outcome=outcome if outcome in OUTCOMES else "",
        session=arguments.get("session", "").strip(),
        kind="all" if arguments.get("kind") == "all" else "",
        q=arguments.get("q", "").replace("\0", "").strip(),
        before=before if re.fullmatch(r"\d{1,18}\.[^.]{1,80}", before, re.ASCII) else "",
    )


def load(db: sqlite3.Connection, asked: CallsAsked) -> Calls:
    """A page of the list."""
    searched_all = True
    if terms := terms_of(asked.q):
        rows, searched_all = _search(db, asked, terms)
    elif asked.q:
        rows = []
    else:
        rows = rows_of(db.execute(_LIST.format(calls=_conditions(asked)), _parameters(asked)))
    found = [ListedCall(**row) for row in rows[:PAGE_SIZE]]
    more = len(rows) > PAGE_SIZE
    return Calls(
        asked=asked,
        calls=tuple(_with_snippet(db, call) for call in found),
        older=f"{found[-1].started_us}.{found[-1].id}" if more else None,
        searched_all=searched_all,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


_COLUMNS = """
    c.id, c.started_us, c.provider, coalesce(c.response_model, c.model) as model, c.agent_id,
    c.session_id, c.kind, c.operation, c.outcome, c.status_code, c.error_type, c.tokens_in,
    c.tokens_out, c.cost_nano_usd, c.billing, c.unpriced_reason, c.latency_ms, c.ttft_ms,
    c.n_tool_calls, c.attempt
"""
_LIST = f"""
    select {_COLUMNS} from llm_calls c
    where started_us >= :since and started_us < :until {{calls}}
    order by started_us desc, id desc limit :limit
"""
# Tiers: a call shows no words that its own tier would not have kept, whoever stored them.
_FOUND = f"""
    with found (message_id) as materialized (select value from json_each(:found)),
    saying (number) as materialized (
        select c.rowid
        from found f
        join call_messages u on u.message_id = f.message_id
        join llm_calls c on c.id = u.call_id
        where started_us >= :since and started_us < :until {{calls}}
          and (c.privacy_tier = 3 or (c.privacy_tier = 2 and (
              select role from messages where id = f.message_id) <> 'assistant'))
        group by c.rowid order by c.started_us desc, c.id desc limit :limit
    )
    select {_COLUMNS}
    from saying cross join llm_calls c on c.rowid = saying.number
    order by started_us desc, id desc
"""
_MATCHES = """
    select rowid from messages_fts where messages_fts match :words {by_then}
    order by rowid desc limit :most
"""
# Only messages that were there by then; with an hour for what was written late.
_LAST = """
    select id from messages where first_seen_us < :seen_by and content is not null
    order by first_seen_us desc limit 1
"""
_SAID = """
    select m.role, substr(m.text, 1, :most)
    from call_messages u join messages m on m.id = u.message_id
    join llm_calls c on c.id = u.call_id
    where u.call_id = :id and u.direction = 'in' and m.size < :long
      and (c.privacy_tier = 3 or (c.privacy_tier = 2 and m.role <> 'assistant'))
    order by u.position desc limit 1
"""


def _search(
    db: sqlite3.Connection, asked: CallsAsked, terms: Sequence[Term]
) -> tuple[list[dict[str, Any]], bool]:
    """Calls that brought a matching message; and whether all matches were looked at."""
    given = _parameters(asked)
    matches = _matches(db, terms)
    whole = len(matches) < MOST_MATCHES
    if not whole:
        end = asked.end
        given["seen_by"] = (end[0] if end else asked.until_us) + HOUR_US
        (last,) = db.execute(_LAST, given).fetchone() or (0,)
        if last < matches[0]:
            matches = _matches(db, terms, last)
    given["found"] = json.dumps(matches)
    return rows_of(db.execute(_FOUND.format(calls=_conditions(asked)), given)), whole


def _matches(db: sqlite3.Connection, terms: Sequence[Term], last: int | None = None) -> list[int]:
    """The newest messages that match, `MOST_MATCHES` of them; with *last* up to that one."""
    if are_many(db):
        terms = spelled(db, terms)
    found = newest(db, terms, MOST_MATCHES, last)
    if found is not None:
        return found
    sql = _MATCHES.format(by_then="" if last is None else "and rowid <= :last")
    given = {"words": query_of(terms), "most": MOST_MATCHES, "last": last}
    return [number for (number,) in db.execute(sql, given)]


def _conditions(asked: CallsAsked) -> str:
    conditions = clauses(asked)
    if asked.kind != "all":
        conditions += " and kind in ('llm', 'auxiliary')"
    if asked.session:
        conditions += " and session_id = :session"
    if asked.outcome:
        conditions += f" and outcome in {OUTCOMES[asked.outcome]}"
        if asked.outcome != "ok":  # in the words of the index of those that did not go well
            conditions += " and outcome in ('error', 'cancelled', 'interrupted', 'in_flight')"
    if asked.end:
        conditions += " and (started_us, id) < (:before_us, :before_id)"
    return conditions


_AS_SQL = """\
select id as call_id, started_at, outcome, provider, coalesce(response_model, model) as model,
       tokens_in, cache_read_tokens, tokens_out, cost_usd, latency_ms, agent_id, session_id
from llm_calls
where started_us >= :since and started_us < :until{conditions}
order by started_us desc
limit 1000"""


def as_sql(asked: CallsAsked) -> tuple[str, dict[str, int | str]]:
    """What was asked for, words aside, as a query for people, and its parameters."""
    sql = _AS_SQL.format(conditions=_conditions(asked.model_copy(update={"before": ""})))
    sql = sql.replace(" and ", "\n  and ")
    used = {name: value for name, value in _parameters(asked).items() if f":{name}" in sql}
    return sql, used


def _parameters(asked: CallsAsked) -> dict[str, int | str]:
    before_us, before_id = asked.end or (0, "")
    return {
        "since": asked.since_us,
        "until": asked.until_us,
        "session": asked.session,
        "before_us": before_us,
        "before_id": before_id,
        "limit": PAGE_SIZE + 1,
        **{name: getattr(asked, name) for name in FILTERS},
    }


def _with_snippet(db: sqlite3.Connection, call: ListedCall) -> ListedCall:
    given = {"id": call.id, "most": SNIPPET, "long": LONG}
    said = db.execute(_SAID, given).fetchone()
    if not said:
        return call
    return call.model_copy(update={"said_by": said[0], "said": said[1]})
