"""A trace is deleted while its conversation goes on, and while others say the same."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenttrace_mitm.ingest.handover import Handover, NotTaken
from agenttrace_mitm.model import Exchange
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.recorder.service import Service
from agenttrace_mitm.store import KnownContent, Reading, Spool, Writer, open_database
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rollups import DAY_US
from agenttrace_mitm.traces import Fingerprinter

from ..traces.talks import Recording, says, tool_result, tool_use, user

SYSTEM = "You are the keeper of the one and only cellar."
QUESTION = "What is in the cellar?"


class Recorder:
    """A recorder on a socket, in this process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "data.db"
        self._socket = folder / "recorder.sock"
        self._reading = Reading(self.path)
        known = KnownContent(self._reading)
        loop = asyncio.get_running_loop()
        self._writer = Writer(
            self.path,
            Spool(folder / "spool"),
            lambda ids: None,
            forgotten=lambda: loop.call_soon_threadsafe(known.forget) and None,
        )
        pipeline = Pipeline(3, Fingerprinter(b"k" * 32), known)
        self.service = Service(pipeline, known, self._writer)

    async def __aenter__(self) -> "Recorder":
        self._server = await self.service.listen(self._socket)
        self._writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.service.finish()
        await asyncio.to_thread(self._writer.stop)
        self._reading.close()

    def take(self, exchange: Exchange) -> str:
        """Record *exchange*, as once the frames of it are there."""
        self.service._record(exchange)
        return exchange.id

    async def remove(self, trace_id: str, database: Path | None = None) -> dict[str, int]:
        """As the pages have it."""
        way = Handover(self._socket)
        try:
            return await way.remove(database or self.path, trace_id)
        finally:
            way.close()

    async def settle(self) -> None:
        """Until what is queued is written, and what the writer has to say about it is heard."""
        assert await asyncio.to_thread(self._writer.settle, 10)
        await asyncio.sleep(0)

    async def trace_of(self, call_id: str) -> str:
        """The trace of a call, once that is stored."""
        async with asyncio.timeout(10):
            while not (found := self.rows("select trace_id from llm_calls where id = ?", call_id)):
                await asyncio.sleep(0.01)
        return str(found[0][0])

    def rows(self, sql: str, *given: object) -> list[tuple[object, ...]]:
        """What *sql* finds."""
        with sqlite3.connect(self.path) as db:
            return db.execute(sql, given).fetchall()


def _incomplete(recorder: Recorder) -> list[tuple[object, ...]]:
    """Calls that do not have, with those that they go on from, as many messages as they say."""
    return recorder.rows(
        """
        with recursive history (call_id, id) as (
            select id, id from llm_calls
            union all
            select history.call_id, c.continues_call_id
            from history join llm_calls c on c.id = history.id
            where c.continues_call_id is not null
        )
        select c.id, c.n_messages, count(m.message_id) from llm_calls c
        join history on history.call_id = c.id
        left join call_messages m on m.call_id = history.id and m.position < c.n_messages
            and m.choice = 0 and (m.direction = 'in' or m.call_id <> c.id)
        group by c.id having count(distinct m.position) <> c.n_messages
        """
    )


async def test_what_was_deleted_is_stored_when_it_is_said_again(tmp_path: Path) -> None:
    """The recorder once believed that it had these words, and they were lost from then on."""
    talk = Recording()
    async with Recorder(tmp_path) as recorder:
        first = recorder.take(talk.exchange([user(QUESTION)], says("Wine."), system=SYSTEM))
        gone = await recorder.remove(await recorder.trace_of(first))
        assert gone["llm_calls"] == 1
        assert gone["messages"] == 3
        assert not recorder.rows("select 1 from messages")
        recorder.take(talk.exchange([user(QUESTION)], says("Wine."), system=SYSTEM, pid=8))
    texts = {text for (text,) in recorder.rows("select text from messages")}
    assert texts == {SYSTEM, QUESTION, "Wine."}
    assert _incomplete(recorder) == []
    assert problems(recorder.path) == []


async def test_a_deleted_conversation_goes_on_as_one_that_begins(tmp_path: Path) -> None:
    """Its history was sent again, so it is stored again; nothing continues what is not there."""
    talk = Recording()
    async with Recorder(tmp_path) as recorder:
        asked = [user(QUESTION), tool_use("t1", "look", where="cellar")]
        first = recorder.take(talk.exchange(asked[:1], asked[1]))
        asked += [tool_result("t1", "bottles"), says("Wine.")]
        second = recorder.take(talk.exchange(asked[:3], asked[3]))
        trace = await recorder.trace_of(second)
        assert await recorder.trace_of(first) == trace
        await recorder.remove(trace)
        asked += [user("Bring some."), says("Here it is."), user("Thanks."), says("Welcome.")]
        third = recorder.take(talk.exchange(asked[:5], asked[5]))
        fourth = recorder.take(talk.exchange(asked[:7], asked[7]))
    rows = recorder.rows("select id, continues_call_id from llm_calls order by id")
    assert rows == [(third, None), (fourth, third)]
    assert _incomplete(recorder) == []
    assert problems(recorder.path) == []


async def test_what_was_recorded_but_not_written_goes_too(tmp_path: Path) -> None:
    """The deletion comes after what was placed before it, and before all that comes after."""
    talk = Recording()
    async with Recorder(tmp_path) as recorder:
        asked = [user(QUESTION), says("Wine."), user("Which?"), says("Red.")]
        first = recorder.take(talk.exchange(asked[:1], asked[1], traceparent=PARENT))
        trace = await recorder.trace_of(first)
        recorder.take(talk.exchange(asked[:3], asked[3], traceparent=PARENT))
        gone = await recorder.remove(trace)
        assert gone["llm_calls"] == 2
    assert recorder.rows("select 1 from llm_calls") == []


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_call_of_another_trace_that_goes_on_from_it_keeps_its_history(
    tmp_path: Path,
) -> None:
    talk = Recording()
    async with Recorder(tmp_path) as recorder:
        asked = [user(QUESTION), says("Wine."), user("Which?"), says("Red."), user("Good.")]
        first = recorder.take(talk.exchange(asked[:1], asked[1]))
        second = recorder.take(talk.exchange(asked[:3], asked[3]))
        trace = await recorder.trace_of(first)
        assert await recorder.trace_of(second) != trace
        await recorder.remove(trace)
        third = recorder.take(talk.exchange(asked, says("Indeed.")))
    rows = recorder.rows("select id, continues_call_id from llm_calls order by id")
    assert rows == [(second, None), (third, second)]
    assert _incomplete(recorder) == []
    assert problems(recorder.path) == []


async def test_the_recorder_of_another_database_deletes_nothing(tmp_path: Path) -> None:
    talk = Recording()
    async with Recorder(tmp_path) as recorder:
        first = recorder.take(talk.exchange([user(QUESTION)], says("Wine.")))
        trace = await recorder.trace_of(first)
        with pytest.raises(NotTaken):
            await recorder.remove(trace, tmp_path / "other.db")
        assert recorder.rows("select count(*) from llm_calls") == [(1,)]


async def test_in_an_outage_nothing_is_deleted_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    talk = Recording()
    async with Recorder(tmp_path) as recorder:
        first = recorder.take(talk.exchange([user(QUESTION)], says("Wine.")))
        trace = await recorder.trace_of(first)
        monkeypatch.setattr(recorder._writer, "_commit_here", locked)
        with pytest.raises(NotTaken):
            await recorder.remove(trace)
        monkeypatch.undo()
    assert recorder.rows("select count(*) from llm_calls") == [(1,)]


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody with a SQL prompt."""
    db = open_database(tmp_path / "data.db").conn
    yield db
    db.close()


async def test_a_message_that_somebody_deleted_by_hand_has_its_row_and_heals(
    tmp_path: Path, by_hand: sqlite3.Connection
) -> None:
    """Nobody told the recorder: the call has its messages, their words come with the next one."""
    talk = Recording()
    counted = "select count(*) from messages where text = ?"
    async with Recorder(tmp_path) as recorder:
        first = recorder.take(talk.exchange([user(QUESTION)], says("Wine."), system=SYSTEM))
        await recorder.trace_of(first)
        for table in ("call_messages", "messages", "payloads", "llm_calls", "spans", "traces"):
            by_hand.execute(f"delete from {table}")
        second = recorder.take(talk.exchange([user(QUESTION)], says("Wine."), system=SYSTEM, pid=8))
        await recorder.trace_of(second)
        await recorder.settle()
        assert _incomplete(recorder) == []
        assert recorder.rows(counted, SYSTEM) == [(0,)]
        recorder.take(talk.exchange([user(QUESTION)], says("Wine."), system=SYSTEM, pid=9))
    assert recorder.rows(counted, SYSTEM) == recorder.rows(counted, QUESTION) == [(1,)]
    sizes = recorder.rows("select distinct size = length(text) from messages")
    assert sizes == [(1,)]


def test_calls_that_retention_may_have_removed_are_looked_up(tmp_path: Path) -> None:
    """A conversation of last week goes on: what went by age is continued by nobody."""
    talk = Recording()
    asked = [user(QUESTION), says("Wine."), user("Which?"), says("Red."), user("Good.")]
    first = talk.call(asked[:1], asked[1])
    started_us = talk.of(first, "started_us")
    talk.db.execute("delete from llm_calls")
    talk._known.let_go(started_us + DAY_US // 2)
    assert talk._known.call(first), "no younger one goes: it may not be written yet"
    talk._known.let_go(started_us + DAY_US)
    assert talk._known.call(first) is None
    second = talk.call(asked[:3], asked[3])
    assert talk.of(second, "continues_call_id") is None
