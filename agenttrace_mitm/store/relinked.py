"""A few stored calls taken out of their place, to be placed again around one that came late.

Whole trees are taken up: every call of the threads and traces concerned.  All of it happens in
the transaction of the caller, on whose connection nobody else writes.
"""

import sqlite3
from collections.abc import Sequence

from . import rollups
from .commits import link_again
from .places import write_placements
from .prompts import write_prompt
from .retention import NAMES_GO_AGAIN
from .retraced import PLACED
from .rows import ANSWER_TOOL_CALL, result_text
from .talks import Placing, StoredTalk, Talks, json_list, with_earlier

MOST = 2_000
"""Calls that are placed again at once; where it would be more, `traces rebuild` has to."""

_TREES = """
select distinct thread_id, trace_id from llm_calls where id in (select value from json_each(?))
"""
_OF_TREES = """
select id from llm_calls
where thread_id in (select value from json_each(:threads)) and kind = 'llm'
  and outcome <> 'in_flight'
union
select id from llm_calls
where trace_id in (select value from json_each(:traces)) and kind = 'llm'
  and outcome <> 'in_flight'
"""
_RESPONSES = """
select response_id from llm_calls where session_id = ? and response_id is not null
order by started_us desc limit 64
"""
_HERE = "(select value from json_each(:calls))"
_NEAR = "(select value from json_each(:near))"
_TAKE_UP = (
    "delete from spans where trace_id in (select value from json_each(:traces))",
    "delete from traces where trace_id in (select value from json_each(:traces))",
    "delete from threads where thread_id in (select value from json_each(:threads))",
    # A tool of another tree waits again for the result that one of these brought.
    f"""
    update spans set ended_us = null, outcome = null, how = '', confidence = 1.0
    where span_id in (
        select span_id from tool_calls where call_id in {_NEAR} and answered_by_call_id in {_HERE})
    """,
    f"""
    update tool_calls set result = null, is_error = null, ended_us = null, how = null,
        confidence = null, answered_by_call_id = null
    where call_id in {_NEAR} and answered_by_call_id in {_HERE}
    """,
    f"""
    update llm_calls set thread_id = null, trace_id = null, continues_call_id = null
    where id in {_HERE}
    """,
)
_DROP_PROMPTS = """
delete from prompts where prompt_id in (select value from json_each(?))
  and not exists (
    select 1 from llm_calls c
    where c.agent_id is nullif(prompts.agent_id, '') and c.started_us >= prompts.first_seen_us
      and c.prompt_id = prompts.prompt_id)
"""
_UNNAMED = f"{NAMES_GO_AGAIN} and trace_id in (select value from json_each(?))"
_DROP_ADDED = "delete from call_messages where call_id = ? and direction = 'in'"
_PUT = f"update llm_calls set {', '.join(f'{name} = ?' for name in PLACED)} where id = ?"


class Relinking:
    """The trees that the calls *ids* stand in, taken out of *db*; `put` places one call.

    `talks` are the calls in the order in which they began; none where there are too many.
    """

    def __init__(self, db: sqlite3.Connection, ids: Sequence[str]) -> None:
        self._db = db
        self._hours: set[int] = set()
        rows, db.row_factory = db.row_factory, sqlite3.Row
        try:
            given = self._trees(ids)
            calls = [row[0] for row in db.execute(_OF_TREES, given)] if given else []
            self._talks = Talks(db, calls)
            self.talks: list[StoredTalk] = list(self._talks.of(calls))
            self._whole = {one.call.id: self._talks.request(one.call.id) for one in self.talks}
        finally:
            db.row_factory = rows
        self.responses = self._responses()
        self._left: set[str] = set()
        self._traces: set[str] = set()
        self._before = {talk.call.id: talk.call for talk in self.talks}
        here = json_list(calls)
        taken = (given or {}) | {"calls": here, "near": with_earlier(db, here)}
        for sql in _TAKE_UP if calls else ():
            db.execute(sql, taken)

    def _trees(self, ids: Sequence[str]) -> dict[str, str] | None:
        """The threads and traces that hang together with *ids*; None when they are too large."""
        calls, known = set(ids), 0
        given: dict[str, str] = {}
        while len(calls) != known:
            known = len(calls)
            found = self._db.execute(_TREES, (json_list(sorted(calls)),)).fetchall()
            threads = sorted({row[0] for row in found if row[0]})
            traces = sorted({row[1] for row in found if row[1]})
            given = {"threads": json_list(threads), "traces": json_list(traces)}
            calls |= {row[0] for row in self._db.execute(_OF_TREES, given)}
            if len(calls) > MOST:
                return None
        return given

    def _responses(self) -> dict[str, list[str]]:
        """Ids of responses by session, the latest first: requests may name one."""
        sessions = {talk.call.session_id for talk in self.talks if talk.call.session_id}
        return {id_: [row[0] for row in self._db.execute(_RESPONSES, (id_,))] for id_ in sessions}

    def put(self, placing: Placing) -> None:
        """Write where a call belongs now."""
        db, call = self._db, placing.call
        db.execute(_PUT, (*(getattr(call, name) for name in PLACED), call.id))
        if placing.told != self._talks.first(call):
            whole = self._whole[call.id]
            db.execute(_DROP_ADDED, (call.id,))
            db.executemany(
                "insert into call_messages values (?, 'in', ?, 0, ?)",
                [(call.id, n, whole[n]) for n in range(placing.told, len(whole))],
            )
        write_placements(db, (placing.placement,))
        if call.trace_id:
            self._traces.add(call.trace_id)
        if placing.prompt:
            write_prompt(db, placing.prompt, call.started_us, call.privacy_tier)
        for made_by, position, result, is_error, at_us, how, sure in placing.answers:
            values = {"result": result_text(result), "is_error": is_error, "at_us": at_us}
            of = {"call_id": call.id, "of": made_by, "position": position}
            db.execute(ANSWER_TOOL_CALL, values | of | {"how": how, "confidence": sure})
        before = self._before[call.id]
        if before.prompt_id and before.prompt_id != call.prompt_id:
            self._left.add(before.prompt_id)
        if call.agent_id != before.agent_id:
            self._hours.add(call.started_us // 3_600_000_000)

    def finish(self) -> None:
        """What hangs on the calls' places: commits, prompts, and what is counted by agent."""
        if self._left:
            self._db.execute(_DROP_PROMPTS, (json_list(sorted(self._left)),))
        self._db.execute(_UNNAMED, (json_list(sorted(self._traces)),))
        link_again(self._db, {talk.call.session_id or "" for talk in self.talks})
        if self._hours:
            rollups.recount(self._db, self._hours)
