"""Who called whom, how often, at what cost."""

from agenttrace_mitm.store.graph import communication
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
