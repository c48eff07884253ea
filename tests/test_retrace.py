"""Stored calls placed again: the same tables as when they came, and twice is once."""

from pathlib import Path

import pytest

from agenttrace_mitm.model import Exchange
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.retention import let_go
from agenttrace_mitm.traces import Fingerprinter
from tests.traces import disturbed
from tests.traces.inferred import differences, rows
from tests.traces.runs import Run, drive, runs
from tests.traces.talks import NOON_US, SECOND, Recording, says, user

ALL = runs()
needs_corpus = pytest.mark.skipif(not ALL, reason="the recorded runs are not here")
PRINTS = Fingerprinter(b"k" * 32)
DROPS = "fde443db8365895e"


@needs_corpus
@pytest.mark.parametrize("tier", [3, 2, 1])
@pytest.mark.parametrize("one_process", [False, True], ids=["many processes", "one process"])
def test_placing_again_changes_nothing(tmp_path: Path, one_process: bool, tier: int) -> None:
    """Live inference and rebuild give the same tables, at every tier."""
    chosen: list[Run] = ALL[::9]
    path = tmp_path / "data.db"
    db = drive(path, chosen, one_process=one_process, tier=tier)
    before = rows(db)
    told = retrace(path, PRINTS)
    assert told.calls == len(before["llm_calls"])
    assert differences(before, rows(db)) == []
    assert told.changed == 0


@needs_corpus
@pytest.mark.parametrize("order", [disturbed.shuffled, disturbed.twice, disturbed.retried])
def test_placing_again_changes_nothing_of_disturbed_calls(
    tmp_path: Path, order: disturbed.Disturbance
) -> None:
    """The first is a run with equal tool calls, some of them left out by its client."""
    chosen = [*(run for run in ALL if run["run_id"] == DROPS), *ALL[::27]]
    path = tmp_path / "data.db"
    db = drive(path, chosen, one_process=True, order=order)
    before = rows(db)
    retrace(path, PRINTS)
    assert differences(before, rows(db)) == []


@needs_corpus
def test_what_came_in_another_order_finds_its_place(tmp_path: Path) -> None:
    """A parent that was stored after its child is its parent all the same, once rebuilt."""

    def late(calls: list[Exchange]) -> list[Exchange]:
        return [call for pair in zip(calls[1::2], calls[::2], strict=False) for call in pair]

    chosen = ALL[::9]
    steady = drive(tmp_path / "a.db", chosen, one_process=False)
    path = tmp_path / "b.db"
    other = drive(path, chosen, one_process=False, order=late, width=1)
    retrace(path, PRINTS)
    links = "select id, continues_call_id, thread_id from llm_calls order by id"
    one, two = ({r[0]: r[1:] for r in db.execute(links)} for db in (steady, other))
    assert {id_: place for id_, place in one.items() if id_ in two} == two
    again = rows(other)
    told = retrace(path, PRINTS)
    assert differences(again, rows(other)) == []
    assert told.changed == 0


def _asked(talk: Recording, agent: str = "") -> str:
    tools = [{"name": "Read", "description": "Reads.", "input_schema": {"type": "object"}}]
    return talk.call([user("Hello there.")], says("Hello."), tools=tools, agent=agent)


def test_calls_from_before_there_were_versions_get_theirs(tmp_path: Path) -> None:
    """As far as their bytes are kept: the same rows as when they come today."""
    path = tmp_path / "data.db"
    talk = Recording(open_database(path).conn)
    call = _asked(talk)
    query = "select * from prompts"
    before = talk.row(query)
    talk.db.execute("delete from prompts")
    talk.db.execute("update llm_calls set prompt_id = null")
    assert retrace(path, PRINTS).changed == 1
    assert talk.row(query) == before
    assert talk.of(call, "prompt_id") == before[0]
    assert retrace(path, PRINTS).changed == 0


def test_a_prompt_goes_with_the_agent(tmp_path: Path) -> None:
    """A call that turns out to be another agent's was made with that agent's version."""
    path = tmp_path / "data.db"
    talk = Recording(open_database(path).conn)
    call = _asked(talk, agent="helper")
    before = talk.row("select * from prompts")
    wrong = "update llm_calls set agent_id = 'x', prompt_id = 'p'"
    talk.db.execute(wrong)
    talk.db.execute("update prompts set agent_id = 'x', prompt_id = 'p'")
    talk.db.execute("update llm_calls set agent_id = 'helper'")
    retrace(path, PRINTS)
    assert talk.of(call, "prompt_id") == before[0]
    assert talk.row("select * from prompts") == before


def test_a_name_that_was_let_go_stays_away(tmp_path: Path) -> None:
    """Though a call that is kept says the same words: when they go, nobody looks at it again."""
    path = tmp_path / "data.db"
    db = open_database(path).conn
    old, new = (Recording(db, at_us=NOON_US + day * 86_400 * SECOND) for day in (0, 40))
    for talk, pid in ((old, 7), (new, 8)):
        talk.call([user("Mend the gate.")], says("Done."), pid=pid)
    names = "select name from traces order by started_us"
    assert db.execute(names).fetchall() == [("Mend the gate.",)] * 2
    while let_go(db, NOON_US + 10 * 86_400 * SECOND):
        pass
    for _ in range(2):
        assert db.execute(names).fetchall() == [(None,), ("Mend the gate.",)]
        retrace(path, PRINTS)


def test_nor_does_a_call_that_comes_late_bring_it_back(tmp_path: Path) -> None:
    db = open_database(tmp_path / "data.db").conn
    old, new = (Recording(db, at_us=NOON_US + day * 86_400 * SECOND) for day in (0, 40))
    begun = [user("Go on."), says("Done.")]
    late = old.exchange(begun[:1], begun[1])
    went_on = old.call([*begun, user("Go on.")], says("Done."))
    new.call(begun[:1], begun[1], pid=8)
    while let_go(db, NOON_US + 10 * 86_400 * SECOND):
        pass
    old.add(late)
    assert old.of(went_on, "continues_call_id") == late.id
    names = "select name from traces order by started_us"
    assert db.execute(names).fetchall() == [("Go on.",), (None,), ("Go on.",)]
