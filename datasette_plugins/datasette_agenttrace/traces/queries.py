"""The list of traces: newest first, filtered, a page at a time.

A page ends where the next begins, as on Calls.  The list walks an index of `traces`; figures are
added up for the traces of the page alone.
"""

import json
import re
import sqlite3
from collections.abc import Mapping

from pydantic import Field

from ..asking import Asked, Choices, Value, asked_of, choice_of, choices, rows_of, with_notes
from ..bills import SUMS_FOR_PEOPLE, Bill, as_sql, bills, holding, parameters, under_way

PAGE_SIZE = 50
ASKED_CHARS = 160
CURSOR = re.compile(r"[0-9]{1,18}\..{1,300}", re.DOTALL)
STATUS = {"failed": "<> 'ok'", "ok": "= 'ok'"}
STATUS_LABELS = {"ok": "ended well", "failed": "failed or cancelled"}


class TracesAsked(Asked):
    """Which traces to list; `before` is where the page before ended."""

    status: str = ""
    session: str = ""
    before: str = ""

    @property
    def filters(self) -> dict[str, str]:
        """Those of every page, and those of this one."""
        own = {"status": self.status, "session": self.session}
        return super().filters | {name: said for name, said in own.items() if said}

    @property
    def calls(self) -> Asked:
        """The part that is about calls."""
        return Asked(**{name: getattr(self, name) for name in Asked.model_fields})


class Tool(Value):
    """A tool that was called, and how often."""

    name: str
    times: int
    failed: int = 0


class ListedTrace(Value):
    """A line of the list; `asked_for` is None where it is not kept, or nobody asked in words."""

    trace_id: str
    started_us: int
    duration_ms: float
    asked_for: str | None
    operation: str | None
    agent_id: str | None
    session_id: str | None
    how: str
    status: str
    bill: Bill
    agents: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()


class Traces(Value):
    """The page; `older` continues it."""

    asked: TracesAsked
    traces: tuple[ListedTrace, ...]
    older: str | None
    choices: Choices
    anything_recorded: bool
    anything_traced: bool
    as_sql: tuple[str, dict[str, int | str]] = Field(exclude=True)
    """The same as a query for people, and its parameters."""


def traces_asked(arguments: Mapping[str, str], today: int) -> TracesAsked:
    """What a query string asks for."""
    asked = asked_of(arguments, today, own=("status", "session", "before"))
    common = asked.model_dump(exclude={"first_date", "last_date"})
    status, no_status = choice_of(arguments, "status", STATUS)
    before = arguments.get("before", "")
    return TracesAsked(
        **with_notes(common, no_status),
        status=status,
        session=arguments.get("session", "").strip(),
        before=before if CURSOR.fullmatch(before) else "",
    )


def load(db: sqlite3.Connection, asked: TracesAsked) -> Traces:
    """A page of the list."""
    conditions, given = _conditions(db, asked), _given(asked)
    rows = rows_of(db.execute(_LIST.format(conditions=conditions), given))
    found, more = rows[:PAGE_SIZE], len(rows) > PAGE_SIZE
    ids = [row["trace_id"] for row in found]
    taken, calls, tools = bills(db, "trace_id", ids), _calls(db, ids), _tools(db, ids)
    lines = []
    for row in found:
        id_ = row["trace_id"]
        status, agents = calls.get(id_, (None, ()))
        root = "ok" if row.pop("root") == "ok" else "error"
        lines.append(
            ListedTrace(
                **row, status=status or root, agents=agents,
                bill=taken.get(id_, Bill()), tools=tools.get(id_, ()),
            )
        )  # fmt: skip
    last = found[-1] if found else None
    return Traces(
        asked=asked,
        traces=tuple(lines),
        older=f"{last['started_us']}.{last['trace_id']}" if last and more else None,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
        anything_traced=bool(db.execute("select 1 from traces limit 1").fetchone()),
        as_sql=as_sql(_AS_SQL, conditions, asked, given),
    )


_UNDER_WAY = under_way("t", days=1)
# A name is shown by the tier of the call that gave it.
_LIST = f"""
    select t.trace_id, t.started_us, (t.ended_us - t.started_us) * 0.001 as duration_ms,
           case when o.privacy_tier > 1 then substr(t.name, 1, {ASKED_CHARS}) end as asked_for,
           o.operation, t.agent_id, t.session_id, t.how, r.outcome as root
    from traces t
    left join llm_calls o on o.id = t.call_id
    left join spans r on r.span_id = t.root_span_id
    where {_UNDER_WAY} {{conditions}}
    order by t.started_us desc, t.trace_id desc limit :limit
"""
_AS_SQL = f"""\
with listed as (
    select t.trace_id, t.started_us, substr(t.name, 1, {ASKED_CHARS}) as asked_for,
           t.agent_id, t.session_id, r.outcome, (t.ended_us - t.started_us) * 0.001 as duration_ms
    from traces t
    left join spans r on r.span_id = t.root_span_id
    where {_UNDER_WAY}{{conditions}}
    order by t.started_us desc, t.trace_id desc
    limit {PAGE_SIZE}
)
select l.*, {SUMS_FOR_PEOPLE}
from listed l
left join llm_calls c on c.trace_id = l.trace_id and c.kind in ('llm', 'auxiliary')
group by l.trace_id
order by l.started_us desc, l.trace_id desc"""
_OF_PAGE = "where c.trace_id in (select value from json_each(?)) and c.kind in ('llm', 'auxiliary')"


def _conditions(db: sqlite3.Connection, asked: TracesAsked) -> str:
    conditions = holding(db, asked.calls, "trace_id", "t.trace_id")
    if asked.status:
        conditions += f" and r.outcome {STATUS[asked.status]}"
    if asked.session:
        conditions += " and t.session_id = :session"
    if asked.before:
        conditions += " and (t.started_us, t.trace_id) < (:before_us, :before_id)"
    return conditions


def _given(asked: TracesAsked) -> dict[str, int | str]:
    time, _, id_ = asked.before.partition(".")
    return parameters(asked) | {
        "session": asked.session,
        "before_us": int(time or 0),
        "before_id": id_,
        "limit": PAGE_SIZE + 1,
    }


def _calls(db: sqlite3.Connection, ids: list[str]) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """How the last call of each trace ended, and the agents in it; one that runs is the last."""
    rows = db.execute(
        f"""
        select c.trace_id, c.outcome, max(coalesce(c.ended_us, 9e18)),
               json_group_array(distinct c.agent_id)
        from llm_calls c {_OF_PAGE} group by c.trace_id
        """,  # with max(), SQLite takes the other columns from its row
        (json.dumps(ids),),
    )
    return {
        trace: (outcome, tuple(sorted(name for name in json.loads(agents) if name)))
        for trace, outcome, _, agents in rows
    }


def _tools(db: sqlite3.Connection, ids: list[str]) -> dict[str, tuple[Tool, ...]]:
    rows = db.execute(
        f"""
        select c.trace_id, coalesce(t.name, ''), count(*) as times,
               coalesce(sum(t.is_error), 0)
        from llm_calls c join tool_calls t on t.call_id = c.id {_OF_PAGE}
        group by c.trace_id, t.name order by times desc, t.name
        """,
        (json.dumps(ids),),
    )
    found: dict[str, list[Tool]] = {}
    for trace, name, times, failed in rows:
        found.setdefault(trace, []).append(Tool(name=name, times=times, failed=failed))
    return {trace: tuple(tools) for trace, tools in found.items()}
