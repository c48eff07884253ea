"""Recorded runs, several side by side: what belongs together is linked, and nothing else is.

`scripts/conformance traces` drives all of them through the proxy and prints every miss by id.
"""

import sqlite3
from pathlib import Path

import pytest

from agenttrace_mitm.model import Exchange

from .runs import Run, drive, runs, scores

ALL = runs()
needs_corpus = pytest.mark.skipif(not ALL, reason="the recorded runs are not here")
SMOOTH = [run for run in ALL if all(status == 200 for status in run["statuses"])]
FEW = ALL[::9]

_PLACES = """
    select id, thread_id, trace_id, parent_span_id, session_id, agent_id, continues_call_id
    from llm_calls order by id
"""
_TOOLS = "select call_id, position, answered_by_call_id from tool_calls order by call_id, position"
_SPANS = "select span_id, parent_span_id, trace_id, kind, ended_us from spans order by span_id"


def _tables(db: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    return [db.execute(sql).fetchall() for sql in (_PLACES, _TOOLS, _SPANS)]


@needs_corpus
@pytest.mark.parametrize("one_process", [False, True], ids=["many processes", "one process"])
def test_recorded_runs_are_told_apart(tmp_path: Path, one_process: bool) -> None:
    """Tool results find their calls, calls their parents, and no conversation another's."""
    chosen: list[Run] = ALL[::3]
    links, parents, joined = scores(
        drive(tmp_path / "data.db", chosen, one_process=one_process), chosen
    )
    assert links.recall >= 0.99, links.misses  # a third of the runs: one miss is a third of 1 %
    assert links.precision >= 0.99, links.surplus
    assert parents.recall >= 0.99, parents.misses
    assert joined.surplus_share <= 0.003, joined.surplus


@needs_corpus
def test_a_restart_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    """What memory no longer has, the database tells."""
    few = SMOOTH[::9]  # a failed attempt is forgotten with the process
    steady = drive(tmp_path / "a.db", few, one_process=False)
    restarted = drive(tmp_path / "b.db", few, one_process=False, restart_every=1)
    for one, other in zip(_tables(steady), _tables(restarted), strict=True):
        assert one == other


@needs_corpus
def test_calls_that_come_twice_change_nothing(tmp_path: Path) -> None:
    """Capture sends again what was not acknowledged."""

    def twice(calls: list[Exchange]) -> list[Exchange]:
        return [again for call in calls for again in (call, call)]

    once = drive(tmp_path / "a.db", FEW, one_process=False)
    again = drive(tmp_path / "b.db", FEW, one_process=False, order=twice)
    for one, other in zip(_tables(once), _tables(again), strict=True):
        assert one == other


@needs_corpus
def test_metadata_alone_links_the_same(tmp_path: Path) -> None:
    """Tier 1 keeps no words, and knows as well what belongs together."""
    full = drive(tmp_path / "a.db", FEW, one_process=False)
    bare = drive(tmp_path / "b.db", FEW, one_process=False, tier=1)
    for one, other in zip(_tables(full), _tables(bare), strict=True):
        assert one == other
