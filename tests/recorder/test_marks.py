"""Whoever asks whether all that came before is written is told when it is, or what keeps it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agenttrace_mitm.capture.handover import Handover
from agenttrace_mitm.frames import Note

from ..traces.talks import Recording, says, user
from .test_removal import Recorder

WITHIN_S = 30.0


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with Recorder(tmp_path) as recorder:
        yield recorder


@pytest.fixture
async def handover(recorder: Recorder, tmp_path: Path) -> AsyncIterator[Handover]:
    handover = Handover(tmp_path / "recorder.sock")
    handover.start()
    yield handover
    await handover.close(1)


async def test_a_mark_is_answered_when_what_came_before_it_is_written(
    recorder: Recorder, handover: Handover
) -> None:
    for number in range(1, 4):
        handover.report(Note(1, "kind", f"note {number}"))
        assert await handover.settle(WITHIN_S) == ""
        found = recorder.rows("select detail from recorder_events")
        assert found[-1] == (f"note {number}",)


async def test_where_calls_wait_a_mark_says_why(
    recorder: Recorder, handover: Handover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first of them, when nobody had a reason to look at the database before."""

    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    assert await handover.settle(WITHIN_S) == ""
    monkeypatch.setattr(recorder._writer, "_commit_here", locked)
    recorder.take(Recording().exchange([user("Hello?")], says("Hello.")))
    assert "locked" in await handover.settle(WITHIN_S)
    monkeypatch.undo()
    async with asyncio.timeout(WITHIN_S):
        while await handover.settle(WITHIN_S):
            await asyncio.sleep(0.1)
    assert recorder.rows("select count(*) from llm_calls") == [(1,)]
