"""Savings: what caches saved, what failed attempts and cancelled calls cost, and what if."""

import re
import sqlite3

import pytest

from agenttrace_mitm.store.rollups import rebuild
from benchmarks import bulk
from datasette_agenttrace import figures
from datasette_agenttrace.canned import RETRIES
from tests.datasette_agenttrace.scene import HOSTILE, NOON, Page, call, fill

pytestmark = pytest.mark.usefixtures("noon")

SAVINGS = "/-/agenttrace/costs/savings"
MINI = {"model": "gpt-5-mini", "tokens_in": 1000, "cache_read_tokens": 400, "tokens_out": 100}


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
    assert (unknown["instead_nano_usd"], unknown["left_out"]) == (None, "no list price")
    assert found["compared_nano_usd"] == 720_000, "what has no list price is not compared"
    assert found["instead_nano_usd"] == 5 * 720_000
    by_name = (await ask(".json?range=today&instead=gpt-5-mini")).json()
    assert by_name["instead_nano_usd"] == by_name["compared_nano_usd"]


async def test_failed_attempts_and_cancelled_calls_are_added_up(database, ask):
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


async def test_caches_that_cost_more_say_so(database, ask):
    """What was written to a cache and never read is no saving of less than nothing."""
    wrote = {"provider": "anthropic", "model": "claude-haiku-4-5", "cache_write_tokens": 1_000_000}
    fill(database, call(1, cost_nano_usd=9, tokens_in=1_000_000, tokens_out=1, **wrote))
    assert (await ask(".json?range=today")).json()["saved_nano_usd"] < 0
    page = (await ask("?range=today")).text
    assert "<dt>Caches cost more</dt>" in page
    assert "Saved by caches" not in page
    assert "-$" not in page
    assert "that failed and had another attempt" in page


async def test_one_call_is_no_calls(database, ask):
    fill(database, call(1, outcome="cancelled", cost_nano_usd=40), call(2, cost_nano_usd=4, **MINI))
    page = (await ask("?range=today")).text
    assert ">1 call</a>" in page
    assert "1 calls" not in page
    assert "0 calls" in page
    assert page.count("/data/retried_operations") == page.count("/data/tool_loops") == 1


EMBEDDING = {"model": "text-embedding-3-small", "operation": "embeddings", "tokens_in": 9_000}
RERANK = {"provider": "cohere", "model": "rerank-v3.5", "operation": "rerank"}


async def test_columns_add_up_to_what_the_tiles_say(database, ask):
    """What is no chat, has no list price, or took no tokens is left out, and named."""
    fill(
        database,
        # Spent at another price than the list has now.
        call(1, cost_nano_usd=700_000_000, **(MINI | {"tokens_in": 1_000_000})),
        call(2, model="gpt-5.1", tokens_in=2_000_000, tokens_out=1000, cost_nano_usd=9),
        call(3, cost_nano_usd=180_000, **EMBEDDING), call(4, cost_nano_usd=2_000_000, **RERANK),
        call(5, model="nobody-knows", tokens_in=5, tokens_out=5),
        call(6, model="gpt-retired", outcome="error", status_code=404, unpriced_reason="error"),
    )  # fmt: skip
    found = (await ask(".json?range=today&instead=gpt-5-nano")).json()
    models = {one["model"]: one for one in found["models"]}
    left_out = {name: one["left_out"] for name, one in models.items() if one["left_out"]}
    assert left_out == {
        "text-embedding-3-small": "embeddings", "rerank-v3.5": "rerank",
        "nobody-knows": "no list price", "gpt-retired": "no tokens",
    }  # fmt: skip
    compared = [models["gpt-5-mini"], models["gpt-5.1"]]
    for name, total in (("listed", "compared"), ("instead", "instead")):
        assert sum(one[f"{name}_nano_usd"] for one in compared) == found[f"{total}_nano_usd"]
    assert found["totals"]["cost_nano_usd"] == 700_000_009 + 2_180_000
    page = (await ask("?range=today&instead=gpt-5-nano")).text
    for words in ("List price</th>", "rerank-v3.5</bdi> (rerank)", "Change is against"):
        assert words in page
    [tile] = re.findall(r"instead of (\S+) by price list: (\S+)</dd>", page)
    *_, listed, instead, change = CELLS.findall(page[page.index(">All</th>") :])[:9]
    assert tile == (listed, change)
    assert instead == figures.usd(found["instead_nano_usd"])
    plain = (await ask("?range=today")).text
    assert "Change" not in plain
    assert "List price" not in plain


CELLS = re.compile(r'<td class="at-num" data-label="[^"]+"[^>]*>(?:<[^/][^>]*>)?([^<]+)<')


async def test_what_nobody_billed_is_said_as_on_costs(database, ask, headers, serve):
    """Nothing was billed where the provider had no such model; that is not unpriced."""
    fill(
        database,
        call(1, model="gpt-retired", outcome="error", status_code=404, unpriced_reason="error"),
        call(2, cost_nano_usd=2_000_000, **RERANK),
    )
    address = "/-/agenttrace/costs?range=today"
    costs = (await serve(database).client.get(address, headers=headers)).text
    assert "every billed call has a price" in costs
    for page in (costs, (await ask("?range=today")).text):
        table = page[page.index("By model</h2>") :]
        assert "unpriced" not in table.partition("</table>")[0]
        rerank, retired = (
            CELLS.findall(table[table.index(name) :])[:3] for name in ("rerank-v3.5", "gpt-retired")
        )
        assert rerank == ["$0.0020", "1", figures.UNKNOWN]
        assert retired == [figures.UNKNOWN, "1", figures.UNKNOWN]


@pytest.mark.parametrize(
    "said, provider, model",
    [
        ("gpt-5-mini", "openai", "gpt-5-mini"), ("gpt-4o", "openai", "gpt-4o"),
        ("claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),  # Google lists it, too
        ("gemini-2.5-pro", "google", "gemini-2.5-pro"), ("grok-4", "x-ai", "grok-4"),
        ("google/claude-haiku-4-5", "google", "claude-haiku-4-5"), ("m-local", "", ""),
        ("text-embedding-3-small", "", ""), ("openai/no-such", "", ""), ("%00", "", ""),
    ],
)  # fmt: skip
async def test_a_model_is_found_by_its_name(database, ask, said, provider, model):
    fill(database, call(1, cost_nano_usd=360_000, **MINI), call(2, model="m-local", tokens_in=5))
    found = (await ask(f".json?range=today&instead={said}")).json()
    assert (found["instead_provider"], found["instead_model"]) == (provider, model)
    page = (await ask(f"?range=today&instead={said}")).text
    assert ("The price list has no chat model" in page) == (not model)


async def test_models_are_suggested(database, ask):
    """Those that were called, and the makers' own that are current; each of them is known."""
    fill(database, call(1, cost_nano_usd=360_000, **MINI))
    page = (await ask("?range=today")).text
    options = re.findall(r'<option value="([^"]+)">([^<]+)</option>', page)
    assert 60 < len(options) < 150
    assert len(dict(options)) == len(options)
    assert {("gpt-5-mini", "openai"), ("claude-haiku-4-5", "anthropic")} < set(options)
    assert ("command-a", "cohere") in options
    names = " ".join(dict(options))
    for kind in ("embedding", "image", "tts", "realtime", "transcribe"):
        assert kind not in names
    for model, provider in options[:: len(options) // 12]:
        found = (await ask(f".json?range=today&instead={model}")).json()
        assert (found["instead_provider"], found["instead_model"]) == (provider, model)


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
