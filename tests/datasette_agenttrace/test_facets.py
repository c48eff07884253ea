"""Facets of calls from the rollups: what Datasette counts itself, and nothing else."""

import sqlite3

import pytest

from agenttrace_mitm.model import Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace import facets, limits
from tests.datasette_agenttrace.scene import NOON
from tests.store.test_rollups import RUNNING, call
from tests.support import sample_db

COUNT = "select coalesce(sum(count)"  # all rows of the table, beside the facets
ALL = "&".join(f"_facet={one}" for one in ("provider", "model", "agent_id", "kind", "outcome"))
ALIASES = (
    ("alias", "dated", "ok"), ("dated", "dated", "ok"), ("alias", None, "error"),
    ("alias", "dated", "interrupted"), ("dated", "dated", "cancelled"), ("one", "one-1", "ok"),
    ("alias", "", "ok"), (None, "dated", "ok"), ("one", None, "cancelled"), ("one", "one-1", "ok"),
)  # fmt: skip


@pytest.fixture
def calls(database):
    """A few days of calls of each outcome; some name no agent and no model, two are running."""
    sample_db.build(database, end_us=NOON, days=4, calls_a_day=40)
    db = open_database(database).conn
    db.execute("begin immediate")
    for number, outcome in enumerate(("error", "cancelled", "interrupted", "ok")):
        one = call(number, outcome=outcome, agent_id=None, model=None, kind="auxiliary")
        write_record(db, Record(call=one))
    # A model that answers to two names, one with a name of its own, one that does not say.
    for number, (model, served, outcome) in enumerate(ALIASES, 20):
        one = call(number, model=model, response_model=served, outcome=outcome, agent_id="aliases")
        write_record(db, Record(call=one))
    for number in (8, 9):
        write_record(db, Record(call=call(number, **RUNNING, agent_id="late", model="new")))
    db.execute("commit")
    db.close()
    return database


@pytest.fixture
def asked(calls, headers, serve, monkeypatch):
    """Asks for facets; gives them as shown, and the statements that grouped calls."""
    seen: list[str] = []
    prepare = limits.prepare

    def traced(connection: sqlite3.Connection) -> None:
        prepare(connection)
        connection.set_trace_callback(seen.append)

    monkeypatch.setattr(limits, "prepare", traced)
    served = serve(calls)

    async def ask(query: str) -> tuple[dict, list[str]]:
        seen.clear()
        answer = await served.client.get(f"/data/llm_calls.json?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        grouped = [one for one in seen if "as value" in one and not one.startswith(COUNT)]
        return answer.json()["facet_results"], grouped

    return ask


@pytest.mark.parametrize(
    "query",
    [
        "_facet=provider&_facet=model",
        ALL,
        f"{ALL}&_facet_size=2",
        f"{ALL}&provider=openai",
        f"{ALL}&kind=auxiliary&provider__exact=openai",
        f"{ALL}&model=gpt-5.1",
        f"{ALL}&agent_id=claude-code",
        f"{ALL}&agent_id=late",
        f"{ALL}&model=alias",
        f"{ALL}&model=alias&outcome=error",
        f"{ALL}&model=one&agent_id=aliases",
        f"{ALL}&agent_id=aliases",
        f"{ALL}&agent_id=aliases&outcome=ok",
        f"{ALL}&outcome=error",
        f"{ALL}&outcome=ok&kind=llm",
        f"{ALL}&outcome=interrupted&provider=openai",
        f"{ALL}&outcome=in_flight",
        f"{ALL}&outcome=cancelled&agent_id=claude-code",
        f"{ALL}&agent_id=",
        f"{ALL}&provider=openai&provider=anthropic",
        f"{ALL}&started_us__gt={NOON - 86_400_000_000}",
        f"{ALL}&provider__not=openai",
        f"{ALL}&_where=provider='openai'",
        f"{ALL}&_where=1 or provider='openai'",
        f"{ALL}&_size=5&_sort_desc=started_us",
        "_facet=status_code&_facet=dialect&_facet_array=tool_names",
    ],
)
async def test_they_are_what_datasette_counts(asked, monkeypatch, query):
    """Values, counts, order, links and labels, with each filter."""
    shown, _ = await asked(query)
    monkeypatch.setattr(facets, "conditions", lambda *_: None)
    own, statements = await asked(query)
    assert shown == own
    assert len(shown) >= 2
    assert not any("rollup" in one for one in statements)


@pytest.mark.parametrize(
    ("query", "from_calls"),
    [
        ("", 0),  # provider and agent_id, as metadata says
        (ALL, 0),
        (f"{ALL}&provider=openai", 0),
        (f"{ALL}&outcome=error", 0),
        (f"{ALL}&outcome=ok&kind=llm", 0),
        (f"{ALL}&agent_id=claude-code", 0),
        (f"{ALL}&model=gpt-5.1", 0),
        (f"{ALL}&model=gpt-5.1&agent_id=claude-code&outcome=ok", 0),
        (f"{ALL}&session_id=s", 5),
    ],
)
async def test_the_calls_are_not_read(asked, query, from_calls):
    """The statements that group all calls are those that no rollup can answer."""
    statements = set((await asked(query))[1])  # Datasette asks twice for what metadata has too
    assert len(statements) == (5 if query else 2)
    assert len([one for one in statements if "rollup" not in one]) == from_calls


async def test_other_tables_have_datasettes_own(database, headers, serve):
    """A table of ours without rollups."""
    answer = await serve(database).client.get("/data/tool_calls.json?_facet=name", headers=headers)
    assert answer.json()["facet_results"]["name"]["results"] == []


async def test_calls_that_have_gone_by_age_are_in_none(calls, asked):
    """Their sums stay in the rollups; the table has what is left."""
    every, _ = await asked("_facet=kind")
    db = sqlite3.connect(calls)
    since = NOON // 86_400_000_000 * 86_400_000_000 - 86_400_000_000
    db.execute("insert into horizon (since_us) values (?)", (since,))
    db.execute("delete from llm_calls where started_us < ?", (since,))
    left = db.execute("select kind, count(*) from llm_calls group by 1 order by 2 desc").fetchall()
    db.commit()
    shown, _ = await asked("_facet=kind")
    assert [(one["value"], one["count"]) for one in shown["kind"]["results"]] == left
    assert shown["kind"]["results"] != every["kind"]["results"]


@pytest.mark.parametrize(
    "where", [{"model": ":p0"}, {"agent_id": ":p0"}, {"model": ":p0", "agent_id": ":p1"}]
)
@pytest.mark.parametrize("column", ["agent_id", "model", "outcome", "provider"])
def test_no_facet_reads_the_calls_of_one_agent_or_provider(calls, column, where):
    """Those that run or failed, and those of models with several names: all else is told."""
    db = sqlite3.connect(calls)
    sql = facets.counting(column, where, 10)
    plan = [row[-1] for row in db.execute("explain query plan " + sql, {"p0": "a", "p1": "b"})]
    found = {step.split("INDEX ")[1].split(" ")[0] for step in plan if "llm_calls" in step}
    assert found
    assert found <= {"llm_calls_running", "llm_calls_refused", "llm_calls_model_served"}
