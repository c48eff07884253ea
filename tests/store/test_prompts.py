"""Versions of prompts, with the figures of their calls, and what changed between two."""

import pytest

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.store.prompts import MOST_OF_AN_AGENT, difference, versions, wording
from agenttrace_mitm.store.retention import let_go

from ..traces.talks import Recording, says, user

READ = {"name": "Read", "description": "Reads a file.", "input_schema": {"type": "object"}}


def _asks(talk: Recording, system: str, latency_ms: float = 0.0, **given: object) -> str:
    id_ = talk.call([user("Hello there.")], says("Hello."), system=system, **given)  # type: ignore[arg-type]
    if latency_ms:
        talk.db.execute("update llm_calls set latency_ms = ? where id = ?", (latency_ms, id_))
    return id_


def test_versions_count_by_first_sight_and_know_their_calls() -> None:
    talk = Recording()
    for ms in range(1, 21):
        _asks(talk, "You help.", float(ms), agent="helper")
    _asks(talk, "You help.", agent="helper", status=529)
    last = _asks(talk, "You help well.", 70.0, agent="helper", tools=[READ])
    _asks(talk, "You count.", agent="counter")
    talk.db.execute("update llm_calls set cost_nano_usd = 2000 where cost_nano_usd is not null")
    two, one = versions(talk.db, "helper")
    assert (one.version, one.calls, one.failed, one.error_rate) == (1, 21, 1, 1 / 21)
    assert (one.p50_ms, one.p95_ms, one.changed) == (10.0, 19.0, "")
    assert one.cost_nano_usd == 20 * 2000
    assert (two.version, two.calls, two.changed, two.n_tools) == (2, 1, "system, tools", 1)
    assert two.p95_ms == 70.0
    assert two.last_seen_us == talk.of(last, "started_us")
    assert one.last_seen_us
    assert one.first_seen_us < one.last_seen_us < two.first_seen_us
    assert [v.agent_id for v in versions(talk.db)] == ["counter", "helper", "helper"]
    [none] = [v for v in versions(talk.db, "helper", two.first_seen_us) if v.version == 1]
    assert (none.calls, none.last_seen_us, none.error_rate, none.cost_nano_usd) == (
        0, None, None, None,
    )  # fmt: skip


def test_the_versions_of_an_agent_are_found_by_index() -> None:
    talk = Recording()
    statements: list[str] = []
    talk.db.set_trace_callback(statements.append)
    versions(talk.db, "helper")
    talk.db.set_trace_callback(None)
    plan = " ".join(str(row) for row in talk.db.execute(f"explain query plan {statements[0]}"))
    assert "llm_calls_agent_id_started_us" in plan
    assert "SCAN llm_calls" not in plan


def test_a_difference_is_a_unified_diff() -> None:
    talk = Recording()
    _asks(talk, "You help.\nBe kind.", agent="helper")
    _asks(talk, "You help.\nBe brief.", agent="helper", tools=[READ])
    two, one = (wording(talk.db, v.prompt_id[:10]) for v in versions(talk.db, "helper"))
    told = difference(one, two).splitlines()
    assert told[:2] == ["--- helper version 1", "+++ helper version 2"]
    assert "-Be kind." in told
    assert "+Be brief." in told
    assert '+  "name": "Read"' in told
    assert difference(one, one) == ""


def test_words_that_are_not_kept_are_said_to_be_so() -> None:
    talk = Recording(tier=1)
    _asks(talk, "You help.")
    [only] = versions(talk.db)
    told = wording(talk.db, only.prompt_id)
    assert not told.is_kept
    with pytest.raises(StoreError, match="not kept"):
        difference(told, told)
    with pytest.raises(StoreError, match="no prompt 'zz'"):
        wording(talk.db, "zz")


def test_retention_lets_words_go_that_no_call_uses_any_more() -> None:
    talk = Recording()
    _asks(talk, "You help.", agent="a")
    _asks(talk, "You count.", agent="a")
    newest = _asks(talk, "You help.", agent="a")
    before = talk.of(newest, "started_us")
    talk.db.isolation_level = None
    while let_go(talk.db, before):
        pass
    kept = dict(talk.db.execute("select coalesce(system, '-'), privacy_tier from prompts"))
    assert kept == {"You help.": 3, "-": 0}


def test_a_program_that_never_repeats_its_prompt_has_an_end() -> None:
    talk = Recording()
    row = "insert into prompts select 'p' || value, 'a', 1, '', '', null, null, 0, 0, 0, 3, null"
    numbers = [(str(n),) for n in range(MOST_OF_AN_AGENT)]
    talk.db.executemany(row.replace("value", "?"), numbers)
    _asks(talk, "Once more.", agent="a")
    assert talk.row("select count(*) from prompts") == (MOST_OF_AN_AGENT,)
