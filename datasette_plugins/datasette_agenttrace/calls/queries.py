"""The list of calls: newest first, filtered, searched, a page at a time.

A page ends where the next begins: at the time and id of its last call, so nothing is shown twice
or skipped while new calls arrive.  Every filter has an index with the time.  No index has what
took longest, cost most or called a tool that failed: that is looked for among the newest calls.
"""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from agenttrace_mitm.model.call import Outcome

from ..asking import FILTERS, NAMED, Choices, Value, choices, clauses, rows_of
from ..dated import CALLS, dated, dates
from ..prompt_names import PromptName, are_kept, named
from .asked import NEWEST_FIRST, NONE, OUTCOMES, TOOL_FAILED, CallsAsked
from .beginnings import are_many, newest
from .ids import MOST, calls_of_session, calls_with_id
from .of_prompt import OF_PROMPT, in_use
from .snippets import Snippet, snippets
from .spelling import spelled
from .terms import Term, query_of, terms_of

PAGE_SIZE = 50
MOST_MATCHES = 2_000  # of messages, for one page of a search
LOOKED_AT = 10_000  # calls, for what no index has
SNIPPET = 160
LONG = 500_000  # characters beyond which a message is not opened for a snippet
HOUR_US = 3_600_000_000
_NOT_WELL = " and outcome in ('error', 'cancelled', 'interrupted', 'in_flight')"  # as an index says
_REFUSED = " and outcome in ('error', 'interrupted')"  # as an index says


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
    """The beginning of the last message that it brought; of a search, words around the match."""
    marks: tuple[tuple[int, int], ...] = ()
    """Where in `said` the match is: from one character up to another."""

    @property
    def pieces(self) -> tuple[tuple[str, bool], ...]:
        """`said` in pieces, and whether each is the match."""
        said, ends = self.said or "", [0, *(end for mark in self.marks for end in mark)]
        cut = [said[start:end] for start, end in zip(ends, [*ends[1:], None], strict=True)]
        return tuple((piece, bool(number % 2)) for number, piece in enumerate(cut))


class Calls(Value):
    """The page; `older` continues it, `searched_all` says whether a search saw every match.

    `looked_since_us` is where the newest calls begin, if only these were looked at.
    """

    asked: CallsAsked
    calls: tuple[ListedCall, ...]
    older: str | None
    searched_all: bool
    looked_since_us: int | None
    has_id: bool = False
    """Whether what was searched for is an id of these calls, whatever their time."""
    prompt: PromptName | None = None
    """Which version was asked for, if that is known."""
    choices: Choices
    anything_recorded: bool


def load(db: sqlite3.Connection, asked: CallsAsked) -> Calls:
    """A page of the list."""
    rows: list[dict[str, Any]] = []
    searched_all, looked_since = True, None
    terms = terms_of(asked.q)
    with_id = calls_with_id(db, asked.q, asked.since_us, asked.until_us)
    if terms and not with_id:
        rows, searched_all = _search(db, asked, terms)
        with_id = None if rows else calls_of_session(db, asked.q)
    if with_id:
        terms, searched_all = [], len(with_id) < MOST
        given = _parameters(asked) | {"ids": json.dumps(with_id)}
        rows = rows_of(db.execute(_of_ids(asked), given))
    elif not asked.q and (not asked.prompt or are_kept(db)):
        given = _given(db, asked)
        if asked.is_bounded:
            looked_since = _looked_since(db, asked, given)
            given["since"] = max(int(given["since"]), looked_since or 0)
        rows = rows_of(db.execute(_list(asked), given))
    older = _end(rows[PAGE_SIZE - 1]) if len(rows) > PAGE_SIZE else None
    return Calls(
        asked=asked,
        calls=_told(db, rows[:PAGE_SIZE], terms),
        older=older,
        searched_all=searched_all,
        looked_since_us=looked_since,
        has_id=with_id is not None,
        prompt=named(db, [asked.prompt]).get(asked.prompt) if asked.prompt else None,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


def _end(row: Mapping[str, Any]) -> str:
    """Where a page that ends with *row* ends."""
    return f"{row['place']}.{row['id']}"


_COLUMNS = """
    c.id, c.started_us, c.provider, coalesce(c.response_model, c.model) as model, c.agent_id,
    c.session_id, c.kind, c.operation, c.outcome, c.status_code, c.error_type, c.tokens_in,
    c.tokens_out, c.cost_nano_usd, c.billing, c.unpriced_reason, c.latency_ms, c.ttft_ms,
    c.n_tool_calls, c.attempt
"""
_LIST = f"""
    select {_COLUMNS}, {{place}} as place from llm_calls c {{index}}
    where started_us >= :since and started_us < :until {{calls}}
    order by {{place}} desc, id desc limit :limit
"""
_OF_IDS = f"""
    select {_COLUMNS}, {{place}} as place from llm_calls c
    where id in (select value from json_each(:ids)){{further}}
    order by place desc, id desc limit :limit
"""
_LOOKED_SINCE = """
select started_us from llm_calls where started_us >= :since and started_us < :until{narrowest}
order by started_us desc limit 1 offset {last}"""
# Tiers: a call shows no words that its own tier would not have kept, whoever stored them.
_FOUND = f"""
    with found (message_id) as materialized (select value from json_each(:found)),
    saying (number, message_id) as materialized (
        select c.rowid, max(f.message_id)
        from found f  -- in this order: an agent has more calls than messages were found
        cross join call_messages u on u.message_id = f.message_id
        cross join llm_calls c on c.id = u.call_id
        where started_us >= :since and started_us < :until {{calls}}
          and (c.privacy_tier = 3 or (c.privacy_tier = 2 and (
              select role from messages where id = f.message_id) <> 'assistant'))
        group by c.rowid order by {{place}} desc, c.id desc limit :limit
    )
    select {_COLUMNS}, {{place}} as place, saying.message_id,
           (select role from messages where id = saying.message_id) as said_by
    from saying cross join llm_calls c on c.rowid = saying.number
    order by place desc, id desc
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
        end = asked.end if asked.order == NEWEST_FIRST else None
        given["seen_by"] = (end[0] if end else asked.until_us) + HOUR_US
        (last,) = db.execute(_LAST, given).fetchone() or (0,)
        if last < matches[0]:
            matches = _matches(db, terms, last)
    given["found"] = json.dumps(matches)
    sql = _FOUND.format(calls=_conditions(asked), place=_place(asked))
    return rows_of(db.execute(sql, given)), whole


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


def _list(asked: CallsAsked) -> str:
    index = f"indexed by {_narrowest(asked)[0]}" if asked.is_bounded or _is_of_some(asked) else ""
    return _LIST.format(calls=_conditions(asked), place=_place(asked), index=index)


def _of_ids(asked: CallsAsked) -> str:
    """Calls by their ids, whatever their time: who has an id need not know it."""
    return _OF_IDS.format(place=_place(asked), further=_further(asked))


def _place(asked: CallsAsked) -> str:
    """What a page is sorted by; where that is not known, a call comes last."""
    return f"coalesce({asked.order} + 1, 0)" if asked.sort else asked.order


def _looked_since(
    db: sqlite3.Connection, asked: CallsAsked, given: Mapping[str, int | str]
) -> int | None:
    """When the oldest of the newest calls began that are looked at; None: all of them are."""
    found = db.execute(_looked_since_sql(asked), given).fetchone()
    return found[0] if found else None


def _looked_since_sql(asked: CallsAsked) -> str:
    return _LOOKED_SINCE.format(narrowest=_narrowest(asked)[1], last=LOOKED_AT - 1)


def looked_at(asked: CallsAsked) -> str:
    """Which calls are looked at for what no index has, for people."""
    return f"{LOOKED_AT:,} calls{_narrowest(asked)[2]}"


def _narrowest(asked: CallsAsked) -> tuple[str, str, str]:
    """The index that leads to the fewest calls, its condition, and what it is about."""
    indexes = (
        (asked.session, "idx_llm_calls_session_id_started_us", " and session_id = :session",
         " of this session"),
        (_failed_so(asked), "llm_calls_refused", _REFUSED + _failed_so(asked),
         " that failed in this way"),
        (asked.prompt, "idx_llm_calls_agent_id_started_us", OF_PROMPT, " of this version"),
        (asked.agent, "idx_llm_calls_agent_id_started_us", " and agent_id = :agent",
         " of this agent"),
        (_is_not_well(asked), "llm_calls_failed", _NOT_WELL, " that did not go well"),
        (asked.model, "llm_calls_model_served", f" and {NAMED['model']} = :model",
         " of this model"),
        (asked.provider, "idx_llm_calls_provider_started_us", " and provider = :provider",
         " of this provider"),
        (True, "idx_llm_calls_started_us", "", ""),
    )  # fmt: skip
    return next((index, where, whose) for is_set, index, where, whose in indexes if is_set)


def _is_of_some(asked: CallsAsked) -> bool:
    """Whether one index finds what is asked for, and the planner may choose another."""
    return bool(asked.prompt or _failed_so(asked))


def _failed_so(asked: CallsAsked) -> str:
    """Conditions on the way in which calls failed: the index of failed calls has both columns."""
    columns = (("error", "error_type"), ("status", "status_code"))
    return "".join(
        f" and coalesce(cast({column} as text), '{NONE}') = :{name}"
        for name, column in columns
        if asked[name]
    )


def _is_not_well(asked: CallsAsked) -> bool:
    return asked.outcome in OUTCOMES and asked.outcome != "ok"


def _conditions(asked: CallsAsked) -> str:
    conditions = clauses(asked)
    if asked.kind != "all":
        conditions += " and kind in ('llm', 'auxiliary')"
    if asked.session:
        conditions += " and session_id = :session"
    if asked.prompt:
        conditions += OF_PROMPT
    if _failed_so(asked):
        conditions += _REFUSED + _failed_so(asked)
    if asked.outcome in OUTCOMES:
        conditions += f" and outcome in {OUTCOMES[asked.outcome]}"
        if _is_not_well(asked):
            conditions += _NOT_WELL
    if asked.tool or asked.outcome == TOOL_FAILED:
        conditions += f" and n_tool_calls > 0 and {_CALLED.format(said=_said_of_tool(asked))}"
    return conditions + _further(asked)


def _further(asked: CallsAsked) -> str:
    """Where the page before ended."""
    return f" and ({_place(asked)}, id) < (:before_place, :before_id)" if asked.end else ""


_CALLED = "exists (select 1 from tool_calls t where t.call_id = c.id{said})"


def _said_of_tool(asked: CallsAsked) -> str:
    named = " and +t.name = :tool" if asked.tool else ""  # many have a name, few are of a call
    return named + (" and t.is_error" if asked.outcome == TOOL_FAILED else "")


_AS_SQL = """\
select id as call_id, started_at, outcome, provider, coalesce(response_model, model) as model,
       tokens_in, cache_read_tokens, tokens_out, cost_usd, latency_ms, agent_id, session_id
from llm_calls c
where started_us >= :since and started_us < :until{conditions}
order by {order} desc, id desc
limit 1000"""


def as_sql(asked: CallsAsked) -> tuple[str, dict[str, int | str]]:
    """What was asked for, words aside, as a query for people, and its parameters."""
    asked = asked.model_copy(update={"before": "", "q": ""})
    conditions = _conditions(asked).replace(" and ", "\n  and ")
    if asked.is_bounded:
        newest = _looked_since_sql(asked).replace("\n", "\n    ")
        conditions += f"\n  and started_us >= coalesce(({newest}), 0)"
    sql = dated(_AS_SQL.format(conditions=conditions, order=asked.order))
    given = _parameters(asked) | dates(asked)
    return sql, {name: value for name, value in given.items() if f":{name}" in sql}


def as_table(asked: CallsAsked) -> list[tuple[str, str]]:
    """What was asked for, words aside, as arguments of Datasette's page of the table.

    Empty for what only the newest calls are looked at: a table would look at all of them, as
    would its facets and the number of its rows.
    """
    if asked.model_copy(update={"q": ""}).is_bounded:
        return []
    said = [
        ("_where", _at_dates(asked)),
        ("provider", asked.provider), ("agent_id", asked.agent), ("session_id", asked.session),
        ("_where", asked.prompt and _in_words(OF_PROMPT, prompt=asked.prompt)),
        ("_where", _failed_so(asked) and _in_words(
            _REFUSED + _failed_so(asked), error=asked.error, status=asked.status)),
        ("kind__in", "" if asked.kind == "all" else "llm,auxiliary"),
        ("_where", asked.model and f"{NAMED['model']} = {_quoted(asked.model)}"),
        ("_where", f"outcome in {OUTCOMES[asked.outcome]}" if asked.outcome else ""),
        ("_where", _NOT_WELL.removeprefix(" and ") if _is_not_well(asked) else ""),
        ("_sort_desc", "started_us"), ("_nofacet", "1"), ("_nocount", "1"),
    ]  # fmt: skip
    return [(name, value) for name, value in said if value]


def _in_words(condition: str, **given: str) -> str:
    """*condition* with its parameters filled in."""
    parts = re.split(r":(\w+)", condition.removeprefix(" and "))
    return "".join(_quoted(given[one]) if n % 2 else one for n, one in enumerate(parts))


def _at_dates(asked: CallsAsked) -> str:
    """The time as a condition that says its dates: a page of a table takes no parameters."""
    said = CALLS
    for name, date in dates(asked).items():
        said = said.replace(f":{name}", _quoted(date))
    return said


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _parameters(asked: CallsAsked) -> dict[str, int | str]:
    before_place, before_id = asked.end or (0, "")
    return {
        "since": asked.since_us,
        "until": asked.until_us,
        "session": asked.session,
        "prompt": asked.prompt,
        "error": asked.error,
        "status": asked.status,
        "tool": asked.tool,
        "before_place": before_place,
        "before_id": before_id,
        "limit": PAGE_SIZE + 1,
        **{name: getattr(asked, name) for name in FILTERS},
    }


def _given(db: sqlite3.Connection, asked: CallsAsked) -> dict[str, int | str]:
    """The parameters, with a time no longer than calls can be of what was asked for."""
    given = _parameters(asked)
    if asked.prompt:
        since, until = in_use(db, asked.prompt, asked.since_us, asked.until_us)
        given |= {"since": since, "until": until}
    return given


def _told(
    db: sqlite3.Connection, rows: Sequence[dict[str, Any]], terms: Sequence[Term]
) -> tuple[ListedCall, ...]:
    """The calls of *rows*, with what they said last; of a search, where they match *terms*."""
    matched = [row.pop("message_id", None) for row in rows]
    calls = [ListedCall(**{name: row[name] for name in row if name != "place"}) for row in rows]
    if not terms:
        return tuple(_with_last(db, call) for call in calls)
    found = snippets(db, matched, terms)
    return tuple(
        _with_match(call, found.get(message)) for call, message in zip(calls, matched, strict=True)
    )


def _with_match(call: ListedCall, found: Snippet | None) -> ListedCall:
    return call.model_copy(update={"said": found.text, "marks": found.marks}) if found else call


def _with_last(db: sqlite3.Connection, call: ListedCall) -> ListedCall:
    given = {"id": call.id, "most": SNIPPET, "long": LONG}
    said = db.execute(_SAID, given).fetchone()
    if not said:
        return call
    return call.model_copy(update={"said_by": said[0], "said": said[1]})
