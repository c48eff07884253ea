"""The SQL that pages lead to says what they say: of the same time, provider, model and agent."""

import html
import re
import shutil
import sqlite3
from typing import Any

import pytest

from agenttrace_mitm import clock
from benchmarks import bulk
from tests.datasette_agenttrace.scene import COSTS, NOON, call, fill
from tests.datasette_agenttrace.test_plans import full_scan

HOME = "/-/agenttrace"
QUERIES = (
    "range=90d", "range=today", "range=today&agent=coder-search", "range=7d&agent=coder-search",
    "range=7d&provider=openai", "range=30d&provider=anthropic&model=claude-haiku-4-5",
    "range=30d&model=claude-haiku-4-5&agent=reviewer-search", "from=2026-11-12&to=2026-11-13",
)  # fmt: skip
SUMS = ("cost_usd", "calls", "failed", "unpriced", "tokens_in", "cache_read_tokens", "tokens_out")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Calls of twenty days: some failed, some unpriced, two of them running."""
    file = tmp_path_factory.mktemp("history") / "data.db"
    bulk.build(file, 2_500, days=20, end_us=NOON)
    here = {"provider": "openai", "model": "gpt-5.1", "agent_id": "coder-search"}
    fill(
        file,
        call(1, outcome="in_flight", latency_ms=None, **here),
        call(2, outcome="in_flight", latency_ms=None),
        call(3, tokens_in=4, unpriced_reason="no_usage", **here),
        call(4, outcome="cancelled", cost_nano_usd=8, **here),
    )
    return file


@pytest.fixture
def ask(history, database, headers, serve, monkeypatch):
    """Asks a server on a copy of that history."""
    monkeypatch.setattr(clock, "now_us", lambda: NOON)
    shutil.copy(history, database)
    client = serve(database).client

    async def asked(path: str) -> Any:
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        return answer

    return asked


async def rows_at(ask: Any, page: str, words: str, database: str = "") -> list[dict[str, Any]]:
    """What the SQL gives to which *words* lead on *page*; nothing is left out."""
    address = html.unescape(re.search(f'href="([^"]+sql=[^"]+)">{words}</a>', page)[1])
    await ask(address)
    said = (await ask(address.replace("?", ".json?", 1) + "&_shape=objects")).json()
    assert said["truncated"] is False
    if database:
        given = {name: repr(value) for name, value in said["query"]["params"].items()}
        statement = re.sub(r":(\w+)", lambda found: given[found[1]], said["query"]["sql"])
        assert full_scan(sqlite3.connect(database), statement) is None
    return said["rows"]


def agree(rows: list[dict[str, Any]], totals: dict[str, Any]) -> None:
    for name in SUMS:
        assert sum(row[name] or 0 for row in rows) == pytest.approx(totals[name] or 0), name


@pytest.mark.parametrize("query", QUERIES)
async def test_costs_and_overview(database, ask, query):
    costs = (await ask(f"{COSTS}.json?{query}")).json()
    assert costs["totals"]["calls"] > 2
    page = (await ask(f"{COSTS}?{query}")).text
    home = (await ask(f"{HOME}?{query}")).text
    for shown in (page, home):
        rows = await rows_at(ask, shown, "model", database)
        assert [(row["provider"], row["model"], row["calls"]) for row in rows] == [
            (one["provider"], one["model"], one["calls"]) for one in costs["models"]
        ]
        agree(rows, costs["totals"])
        steps = await rows_at(ask, shown, costs["step"], database)
        agree(steps, costs["totals"])
        assert len(steps) == len([one for one in costs["steps"] if one["calls"]])


@pytest.mark.parametrize("by", ["provider", "agent", "project", "session", "prompt"])
@pytest.mark.parametrize("query", ["range=today", "range=7d&model=gpt-5-mini"])
async def test_costs_by_whatever_it_is_stacked_by(database, ask, by, query):
    groups = (await ask(f"{COSTS}.json?by={by}&{query}")).json()["stack"]["groups"]
    page = (await ask(f"{COSTS}?by={by}&{query}")).text
    rows = await rows_at(ask, page, by, database)
    shown = [(one["name"], one["calls"], one["tokens_in"]) for one in groups]
    assert shown
    found = [(next(iter(row.values())) or "(none)", row["calls"], row["tokens_in"]) for row in rows]
    assert sorted(found[: len(shown)]) == sorted(shown)


@pytest.mark.parametrize("query", QUERIES)
async def test_unpriced_and_slowest(database, ask, query):
    totals = (await ask(f"{COSTS}.json?{query}")).json()["totals"]
    page = (await ask(f"{COSTS}?{query}")).text
    if totals["unpriced"]:
        rows = await rows_at(ask, page, "which, and why", database)
        assert sum(row["calls"] for row in rows) == totals["unpriced"]
    else:
        assert "every billed call has a price" in page
    words = "95th percentile (?:<small[^<]+</small> )?[^<]+"  # "about" where it is approximate
    slowest = await rows_at(ask, page, words, database)
    times = [row["latency_ms"] for row in slowest]
    assert len(times) == min(totals["calls"] - totals["running"], 100)
    assert times == sorted(times, reverse=True)
    assert times[0] >= totals["p95_ms"]


@pytest.mark.parametrize("query", QUERIES)
async def test_savings(database, ask, query):
    found = (await ask(f"{COSTS}/savings.json?{query}")).json()
    page = (await ask(f"{COSTS}/savings?{query}")).text
    rows = await rows_at(ask, page, "SQL", database)
    assert [(row["model"], row["calls"]) for row in rows] == [
        (one["model"], one["calls"]) for one in found["models"]
    ]
    cost = sum(one["cost_nano_usd"] or 0 for one in found["models"]) / 1e9
    assert sum(row["cost_usd"] or 0 for row in rows) == pytest.approx(cost)
    for part, tile in (("retried", "Failed attempts"), ("cancelled", "Cancelled or")):
        said = found[part]
        words = f"{said['calls']:,} call{'' if said['calls'] == 1 else 's'}"
        if said["calls"]:
            calls = await rows_at(ask, page[page.index(tile) :], words, database)
            assert len(calls) == said["calls"]
            cost = sum(row["cost_usd"] or 0 for row in calls)
            assert cost * 1e9 == pytest.approx(said["cost_nano_usd"])


@pytest.mark.parametrize("query", QUERIES)
async def test_broken_caches(ask, query):
    broken = (await ask(f"{COSTS}/caches.json?{query}")).json()["broken"]
    page = (await ask(f"{COSTS}/caches?{query}")).text
    rows = await rows_at(ask, page, "SQL")
    assert [(row["call_id"], row["tokens_lost"]) for row in rows] == [
        (one["call_id"], one["tokens_lost"]) for one in broken
    ]
