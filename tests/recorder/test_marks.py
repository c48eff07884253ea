"""Whoever asks whether all that came before is safe is told when it is."""

import asyncio
from pathlib import Path

from agenttrace_mitm.capture.handover import Handover
from agenttrace_mitm.frames import Note
from agenttrace_mitm.store import open_database

from .test_removal import Recorder


async def test_a_mark_is_acknowledged_when_what_came_before_it_is_written(tmp_path: Path) -> None:
    async with Recorder(tmp_path) as recorder:
        handover = Handover(tmp_path / "recorder.sock")
        handover.start()
        for number in range(1, 4):
            handover.report(Note(1, "kind", f"note {number}"))
            assert await handover.settle(10)
            found = recorder.rows("select detail from recorder_events")
            assert found[-1] == (f"note {number}",)
        await handover.close(1)


async def test_while_the_database_takes_nothing_a_mark_waits(tmp_path: Path) -> None:
    """A note has no spool: it waits, and whoever asked for it learns that."""
    open_database(tmp_path / "data.db").close()
    async with Recorder(tmp_path) as recorder:
        handover = Handover(tmp_path / "recorder.sock")
        handover.start()
        other = open_database(recorder.path).conn
        other.execute("begin exclusive")
        handover.report(Note(1, "kind", "late"))
        assert not await handover.settle(0.3)
        other.execute("rollback")
        other.close()
        assert await handover.settle(10)
        async with asyncio.timeout(10):
            while not recorder.rows("select 1 from recorder_events where detail = 'late'"):
                await asyncio.sleep(0.05)
        await handover.close(1)
