"""Savings: what caches saved, what tries in vain and cancelled calls cost, and what if."""

import sqlite3

import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.store.rollups import rebuild
from benchmarks import bulk
from datasette_agenttrace.canned import RETRIES
from tests.datasette_agenttrace.test_costs import HOSTILE, NOON, Page, call, fill

SAVINGS = "/-/agenttrace/costs/savings"
MINI = {"model": "gpt-5-mini", "tokens_in": 1000, "cache_read_tokens": 400, "tokens_out": 100}


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    monkeypatch.setattr(clock, "now_us", lambda: NOON)


@pytest.fixture
def ask(database, headers, serve):
    async def asked(query=""):
        return await serve(database).client.get(SAVINGS + query, headers=headers)

    return asked


async def test_numbers_are_those_of_a_hand_computation(database, ask):
    """gpt-5-mini lists $0.25, $0.025 from cache and $2 out a million; gpt-5.1 five times that."""
    fill(
        database,
        call(1, cost_nano_usd=360_000, **MINI), call(2, cost_nano_usd=360_000, **MINI),
        call(3, cost_nano_usd=9, **(MINI | {"billing": "subscription"})),
        call(4, model="nobody-knows", tokens_in=5, tokens_out=5),
    )  # fmt: skip
    found = (await ask(".json?range=today&instead=openai/gpt-5.1")).json()
    [mini, unknown] = found["models"]
    assert (mini["calls"], mini["cost_nano_usd"], mini["listed_nano_usd"]) == (2, 720_000, 720_000)
    assert mini["uncached_nano_usd"] == 2 * (1000 * 250 + 100 * 2000)
    assert mini["saved_nano_usd"] == found["saved_nano_usd"] == 2 * 400 * 225
    assert mini["instead_nano_usd"] == 5 * 720_000
    assert unknown["saved_nano_usd"] is None
    assert unknown["instead_nano_usd"] == 5 * 1250 + 5 * 10_000
    assert found["compared_nano_usd"] == 720_000, "what has no list price is not compared"
    assert found["instead_nano_usd"] == 5 * 720_000
    by_name = (await ask(".json?range=today&instead=gpt-5-mini")).json()
    assert by_name["instead_nano_usd"] == by_name["compared_nano_usd"]


async def test_tries_in_vain_and_cancelled_calls_are_added_up(database, ask):
    fill(
        database,
        *(
            call(n, id=f"op-{n}", operation_id="op-1", attempt=n, cost_nano_usd=cost,
                 outcome="ok" if n == 3 else "error", latency_ms=10.0 * n)
            for n, cost in ((1, 5), (2, 7), (3, 90))
        ),
        call(8, outcome="cancelled", cost_nano_usd=40), call(9, outcome="interrupted"),
        call(10, outcome="cancelled", cost_nano_usd=40, billing="subscription"),
    )  # fmt: skip
    found = (await ask(".json?range=today")).json()
    retried, cancelled = found["retried"], found["cancelled"]
    assert (retried["calls"], retried["cost_nano_usd"], retried["lost_ms"]) == (2, 12, 30.0)
    assert (cancelled["calls"], cancelled["priced"], cancelled["cost_nano_usd"]) == (2, 1, 40)
    assert (await ask(".json?range=today&agent=nobody")).json()["retried"]["calls"] == 0


async def test_they_agree_with_the_views(database, ask):
    bulk.build(database, 1_500, days=80, end_us=NOON)
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("update llm_calls set cost_nano_usd = 77 where outcome = 'error'")
    rebuild(db)
    found = (await ask(".json?range=90d")).json()
    failed, cost, lost = db.execute(
        "select sum(failed_attempts), sum(retry_cost_usd), sum(lost_ms) from retries"
    ).fetchone()
    assert found["retried"]["calls"] == failed > 10
    assert found["retried"]["cost_nano_usd"] == pytest.approx(cost * 1e9)
    assert found["retried"]["lost_ms"] == pytest.approx(lost)
    names = "operation_id, provider, model, attempts, failed_attempts, outcome, last_call_id"
    costs = "round(retry_cost_usd * 1e9), round(cost_usd * 1e9), round(lost_ms, 3)"
    view = db.execute(f"select {names}, {costs} from retries order by 1").fetchall()
    assert view == db.execute(f"select {names}, {costs} from ({RETRIES.sql}) order by 1").fetchall()
    assert len(view) < 200
    cancelled = "select count(*), sum(cost_nano_usd) from llm_calls where outcome = 'cancelled'"
    assert (found["cancelled"]["calls"], found["cancelled"]["cost_nano_usd"]) == db.execute(
        cancelled
    ).fetchone()


@pytest.mark.parametrize("query", ["", "?instead=%3Cscript%3Ealert(1)%3C/script%3E", "?range=90d"])
async def test_the_page_runs_no_foreign_script(database, ask, query):
    assert "agenttrace-mitm demo" in (await ask(query)).text
    fill(database, call(1, model=HOSTILE, cost_nano_usd=3, tokens_in=1))
    answer = await ask(query)
    assert answer.status_code == 200
    page = Page(answer.text)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "<script>alert" not in answer.text
