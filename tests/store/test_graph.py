"""Who called whom, how often, at what cost."""

import pytest

from agenttrace_mitm.store import graph as graphs
from agenttrace_mitm.store.graph import communication, recent
from tests.traces.talks import Recording, says, tool_use, user


def _delegate(talk: Recording, number: int, **values: int) -> None:
    task = f"Please look into matter number {number}."
    talk.call([user(f"Begin {number}.")], tool_use(f"t{number}", "ask", task=task), agent="lead")
    talk.call([user(task)], says("Done."), **values)


def test_each_delegation_counts_with_what_it_took() -> None:
    """Two delegations are one edge; whoever calls nobody is told apart."""
    talk = Recording()
    _delegate(talk, 1)
    _delegate(talk, 2)
    talk.call([user("Something else altogether.")], says("Yes."), pid=9, agent="hermit")
    graph = communication(talk.db)
    [edge] = graph.edges
    assert (edge.caller, edge.callee, edge.times, edge.calls) == ("lead", "lead/ask", 2, 2)
    assert (edge.tokens_in, edge.tokens_out, edge.failed) == (20, 10, 0)
    assert edge.mean_latency_ms == 1000
    assert graph.isolated == ("hermit",)
    assert not graph.in_cycles


def test_a_failed_delegation_is_counted_as_one() -> None:
    """The callee's last call failed."""
    talk = Recording()
    _delegate(talk, 1, status=529)
    [edge] = communication(talk.db).edges
    assert edge.failed == 1


def test_a_page_looks_at_the_newest_delegations(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: some of them, and says so; each is what it is among all."""
    talk = Recording()
    for number in range(3):
        _delegate(talk, number)
    every, whole = recent(talk.db, 0, 10**18)
    assert whole
    assert every.edges == communication(talk.db).edges
    [until_us] = talk.db.execute("select max(started_us) + 1 from agent_calls").fetchone()
    monkeypatch.setattr(graphs, "_RECENT_CALLS", 2)
    some, whole = recent(talk.db, 0, until_us)
    assert [(edge.times, whole) for edge in some.edges] == [(2, False)]
    monkeypatch.setattr(graphs, "_RECENT_SPANS", 1)
    some, whole = recent(talk.db, 0, until_us)
    assert [(edge.times, whole) for edge in some.edges] == [(1, False)]
    assert recent(talk.db, until_us, 10**18)[0].edges == ()


def test_what_an_agent_has_to_do_with_is_told_of_it() -> None:
    """Its edges as they are among all; the others are counted, and their calls not looked at."""
    talk = Recording()
    _delegate(talk, 1)
    _delegate(talk, 2)
    [edge] = recent(talk.db, 0, 10**18)[0].edges
    for agent in ("lead", "lead/ask"):
        assert recent(talk.db, 0, 10**18, agent=agent)[0].edges == (edge,)
    [other] = recent(talk.db, 0, 10**18, agent="somebody")[0].edges
    assert (other.times, other.mean_latency_ms) == (edge.times, edge.mean_latency_ms)
    assert (other.calls, other.tokens_in, other.cost_nano_usd) == (0, 0, None)


def test_the_newest_are_read_without_the_others() -> None:
    """In the order of their index: to sort them, all would have to be read."""
    talk = Recording()
    seen: list[str] = []
    talk.db.set_trace_callback(seen.append)
    recent(talk.db, 0, 10**18)
    talk.db.set_trace_callback(None)
    assert len(seen) == 2
    for sql in seen:
        steps = [row[-1] for row in talk.db.execute("explain query plan " + sql)]
        assert any("INDEX spans_agents (started_us>? AND started_us<?)" in step for step in steps)
        of_spans = steps[: steps.index("SCAN s")] if "SCAN s" in steps else steps
        assert not [step for step in of_spans if "TEMP" in step], steps
