"""How many calls a filtered table has, from the rollups: as many as Datasette counts itself."""

import pytest

from datasette_agenttrace import counts
from tests.datasette_agenttrace.scene import NOON
from tests.datasette_agenttrace.test_facets import calls  # noqa: F401  # a fixture

TOLD = (
    "provider=openai", "kind=auxiliary&provider__exact=openai", "model=gpt-5.1", "model=new",
    "agent_id=claude-code", "agent_id=late", "agent_id=nobody", "outcome=error",
    "outcome=ok&provider=openai", "outcome=in_flight", "outcome=cancelled&kind=auxiliary",
    "outcome=interrupted", "outcome=strange", "provider=openai&model=gpt-5.1", "",
    "model=gpt-5.1&agent_id=claude-code", "model=dated&agent_id=aliases&outcome=ok",
)  # fmt: skip
LEFT = (
    "agent_id=", "provider=openai&provider=anthropic", "provider__not=openai", "status_code=200",
    f"started_us__gt={NOON - 86_400_000_000}", "_where=provider='openai'",
    "_where=1 or provider='openai'",
)  # fmt: skip

NOBODY = ("agent_id=nobody", "outcome=strange", "provider=openai&provider=anthropic", "agent_id=")


@pytest.fixture
def counted(calls, headers, serve, monkeypatch):  # noqa: F811
    """The number of rows that a table shows, and whether it was told by the rollups."""
    told: list[str] = []
    count = counts.count

    def seen(sql, given):
        found = count(sql, given)
        told.extend([found] if found else [])
        return found

    monkeypatch.setattr(counts, "count", seen)
    served = serve(calls)

    async def ask(query: str) -> tuple[int, bool]:
        told.clear()
        answer = await served.client.get(f"/data/llm_calls.json?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["filtered_table_rows_count"], bool(told)

    return ask


@pytest.mark.parametrize("queries", [TOLD, LEFT], ids=["told", "left"])
async def test_they_are_what_datasette_counts(counted, monkeypatch, queries):
    found = {query: await counted(query) for query in queries}
    monkeypatch.setattr(counts, "count", lambda sql, given: None)
    for query, (many, told) in found.items():
        assert told == (query in TOLD), query
        assert await counted(query) == (many, False), query
        assert (many == 0) == (query in NOBODY), query


async def test_no_calls_are_read_for_it(counted, calls, monkeypatch):  # noqa: F811
    """The plan passes over no more than the calls that run or failed."""
    monkeypatch.setattr(counts, "conditions", lambda sql, given: {"model": ":p0"})
    sql = counts.count("", {"p0": "gpt-5.1"})
    assert sql
    assert "from llm_calls indexed by llm_calls_running" in sql
    assert sql.count("from llm_calls") == 1
