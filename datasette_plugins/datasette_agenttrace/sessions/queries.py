"""The list of sessions, the newest or dearest first, a page at a time, with what each left behind.

Whether a call of a session failed within the time is known by the sums of days.
"""

import json
import sqlite3
from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydantic import Field

from .. import sums
from ..asking import Asked, Choices, Value, asked_of, choice_of, choices, rows_of, with_notes
from ..bills import SUMS_FOR_PEOPLE, Bill, as_sql, bills, holding, parameters, under_way
from ..traces.queries import CURSOR
from . import dearest
from .outcome import Outcome, known_outcome, stamp_of

PAGE_SIZE = 30
ASKED_CHARS = 160
STATUS_LABELS = {"failed": "a call failed", "ok": "no call failed"}


class SessionsAsked(Asked):
    """Which sessions to list; `before` is where the page before ended."""

    status: str = ""
    sort: str = ""
    before: str = ""

    @property
    def filters(self) -> dict[str, str]:
        """Those of every page, and those of this one."""
        own = {"status": self.status, "sort": self.sort}
        return super().filters | {name: said for name, said in own.items() if said}

    @property
    def calls(self) -> Asked:
        """The part that is about calls."""
        return Asked(**{name: getattr(self, name) for name in Asked.model_fields})


class ListedSession(Value):
    """A line of the list; `first_prompt` is None where it is not kept."""

    session_id: str
    started_us: int
    duration_ms: float
    agent: str
    agents: tuple[str, ...] = ()
    """Who made its calls, in the order in which they came in."""
    client: str | None
    cwd: str | None
    prompts: int
    first_prompt: str | None
    bill: Bill
    outcome: Outcome


class Sessions(Value):
    """The page; `older` continues it."""

    asked: SessionsAsked
    sessions: tuple[ListedSession, ...]
    older: str | None
    choices: Choices
    anything_recorded: bool
    any_sessions: bool
    as_sql: tuple[str, dict[str, int | str]] = Field(exclude=True)
    """The same as a query for people, and its parameters."""


def sessions_asked(arguments: Mapping[str, str], today: int) -> SessionsAsked:
    """What a query string asks for."""
    asked = asked_of(arguments, today, own=("status", "sort", "before"))
    common = asked.model_dump(exclude={"first_date", "last_date"})
    status, no_status = choice_of(arguments, "status", STATUS_LABELS)
    sort, no_order = choice_of(arguments, "sort", ("dearest",))
    before = arguments.get("before", "")
    return SessionsAsked(
        **with_notes(common, no_status, no_order),
        status=status,
        sort=sort,
        before=before if (dearest.PLACE if sort else CURSOR).fullmatch(before) else "",
    )


def load(db: sqlite3.Connection, asked: SessionsAsked) -> Sessions:
    """A page of the list."""
    conditions = _conditions(db, asked)
    further, ended = _further(asked)
    given = sums.parameters(asked.calls) | parameters(asked) | ended | {
        "first": asked.first_day, "last": asked.last_day, "limit": PAGE_SIZE + 1,
    }  # fmt: skip
    if asked.sort:
        rows = _dearest(db, asked, conditions, given)
    else:
        rows = rows_of(db.execute(_NEWEST.format(conditions=conditions + further), given))
    found, more = rows[:PAGE_SIZE], len(rows) > PAGE_SIZE
    places = [row.pop("place") for row in found]
    return Sessions(
        asked=asked,
        sessions=_lines(db, found),
        older=f"{places[-1]}.{found[-1]['session_id']}" if more else None,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
        any_sessions=bool(db.execute("select 1 from sessions limit 1").fetchone()),
        as_sql=as_sql(_sql_of(asked), conditions + further, asked, given),
    )


_UNDER_WAY = under_way("s", days=7)
_LIST = f"""
    select s.session_id, s.started_us, s.ended_us, s.client, s.cwd, {{place}} as place,
           coalesce(s.agent_id, s.client, s.process, '') as agent
    from {{sessions}}
    where {_UNDER_WAY} {{conditions}}
    order by {{order}} limit :limit
"""
_NEWEST = _LIST.format(
    sessions="sessions s", place="s.started_us", conditions="{conditions}",
    order="s.started_us desc, s.session_id desc",
)  # fmt: skip
_OF_RANKED = _LIST.format(
    sessions="json_each(:ranked) d cross join sessions s on s.session_id = d.value ->> 1",
    place="d.value ->> 0", conditions="{conditions}", order="d.key",
)  # fmt: skip
_AS_SQL = f"""\
with listed as (
    select s.session_id, s.started_us, coalesce(s.agent_id, s.client, s.process) as agent,
           (s.ended_us - s.started_us) * 0.001 as duration_ms{{shown}}
    from {{sessions}}
    where {_UNDER_WAY}{{conditions}}
    order by {{order}}, s.session_id desc
    limit {PAGE_SIZE}
)
select l.*, {SUMS_FOR_PEOPLE}
from listed l
left join llm_calls c on c.session_id = l.session_id and c.kind in ('llm', 'auxiliary')
group by l.session_id
order by {{last_order}}, l.session_id desc"""
_FAILED_IN = f"""\
select session_id from rollup_session
where {dearest.OF_TIME} and {dearest.OF_CALLS} and failed > 0"""


def _dearest(
    db: sqlite3.Connection, asked: SessionsAsked, conditions: str, given: dict[str, Any]
) -> list[dict[str, Any]]:
    # Most of thousands of sessions are on no page: they are looked up as they come, ever more.
    ranked = dearest.dearest(db, asked.calls, asked.before)
    sql, many = _OF_RANKED.format(conditions=conditions), 2 * given["limit"]
    found: list[dict[str, Any]] = []
    while len(found) < given["limit"] and (some := list(islice(ranked, many))):
        found += rows_of(db.execute(sql, given | {"ranked": json.dumps(some)}))
        many *= 4
    return found[: given["limit"]]


def _sql_of(asked: SessionsAsked) -> str:
    """The list as a query for people, without the conditions."""
    said = {"sessions": "sessions s", "shown": ""}
    order = "{of}started_us desc"
    if asked.sort:
        spent, order = dearest.for_people(asked.calls), dearest.ORDER
        said["sessions"] = f"({spent}) d join sessions s on s.session_id = d.session_id"
        said["shown"] = dearest.SHOWN
    orders = {"order": order.format(of="d." if asked.sort else "s."),
              "last_order": order.format(of="l.")}  # fmt: skip
    return _AS_SQL.format(conditions="{conditions}", **said, **orders)


def _conditions(db: sqlite3.Connection, asked: SessionsAsked) -> str:
    conditions = holding(db, asked.calls, "session_id", "s.session_id")
    if asked.status:
        whether = "in" if asked.status == "failed" else "not in"
        conditions += f" and s.session_id {whether} ({_FAILED_IN}{sums.of_rollups(asked.calls)})"
    return conditions


def _further(asked: SessionsAsked) -> tuple[str, dict[str, int | str]]:
    """The condition that comes with the end of the page before, and its parameters."""
    if asked.sort:
        return dearest.further(asked.before)
    if not asked.before:
        return "", {}
    place, _, id_ = asked.before.partition(".")
    after = " and (s.started_us, s.session_id) < (:before_place, :before_id)"
    return after, {"before_place": int(place), "before_id": id_}


# With min(), SQLite takes the other columns from its row.
_PROMPTS = f"""
    select t.session_id, count(*) as prompts, min(t.started_us),
           case when o.privacy_tier > 1 then substr(t.name, 1, {ASKED_CHARS}) end as first_prompt
    from traces t left join llm_calls o on o.id = t.call_id
    where t.session_id in (select value from json_each(?)) group by t.session_id
"""


_AGENTS = """
    select session_id, agent_id, min(started_us) as first from llm_calls
    where session_id in (select value from json_each(?)) and kind = 'llm' and agent_id is not null
    group by session_id, agent_id order by session_id, first
"""


def agents(db: sqlite3.Connection, ids: list[str]) -> dict[str, list[str]]:
    """Who made the calls of each of the sessions *ids*, in the order in which they came in."""
    found: dict[str, list[str]] = {}
    for session_id, agent, _ in db.execute(_AGENTS, (json.dumps(ids),)):
        found.setdefault(session_id, []).append(agent)
    return found


def prompts(db: sqlite3.Connection, ids: list[str]) -> dict[str, dict[str, Any]]:
    """How many `prompts` each of the sessions *ids* has, and the `first_prompt` where kept."""
    rows = rows_of(db.execute(_PROMPTS, (json.dumps(ids),)))
    return {row["session_id"]: row for row in rows}


def _lines(db: sqlite3.Connection, rows: list[dict[str, Any]]) -> tuple[ListedSession, ...]:
    ids = [row["session_id"] for row in rows]
    taken = bills(db, "session_id", ids)
    asked, took_part = prompts(db, ids), agents(db, ids)
    for row in rows:
        row["agents"] = took_part.get(row["session_id"], ())
    return tuple(_line(db, row, taken, asked.get(row["session_id"], {})) for row in rows)


def _line(
    db: sqlite3.Connection, row: dict[str, Any], taken: dict[str, Bill], asked: dict[str, Any]
) -> ListedSession:
    ended, bill = row.pop("ended_us"), taken.get(row["session_id"], Bill())
    return ListedSession(
        **row,
        duration_ms=(ended - row["started_us"]) / 1000,
        prompts=asked.get("prompts", 0),
        first_prompt=asked.get("first_prompt"),
        bill=bill,
        outcome=known_outcome(db, row["session_id"], stamp_of(ended, bill)),
    )
