"""Broken caches: which calls, who changed what, and what it cost."""

import pytest

from tests.datasette_agenttrace.scene import HOSTILE, NOON, call, fill

pytestmark = pytest.mark.usefixtures("noon")

CACHES = "/-/agenttrace/costs/caches"
WARM = {"model": "gpt-5-mini", "tokens_in": 9_010, "cache_read_tokens": 9_000, "tokens_out": 10}
COLD = {"model": "gpt-5-mini", "tokens_in": 9_100, "cache_read_tokens": 0, "tokens_out": 10}


@pytest.fixture
def ask(database, headers, serve):
    async def asked(query=""):
        return await serve(database).client.get(CACHES + query, headers=headers)

    return asked


def _broken(database):
    """Two calls without the cache of the one before, one of them on a subscription."""
    fill(
        database,
        call(1, ended_us=NOON + 2, **WARM),
        call(3, continues_call_id="call-1", agent_id=HOSTILE, history="edited", **COLD),
        call(4, continues_call_id="call-1", agent_id="b", **(COLD | {"billing": "subscription"})),
        call(5, continues_call_id="call-1", **WARM),
    )


async def test_numbers_are_those_of_a_hand_computation(database, ask):
    """gpt-5-mini lists $0.25 a million tokens, $0.025 from the cache."""
    _broken(database)
    found = (await ask(".json?range=today")).json()
    told = [(one["call_id"], one["changed"], one["lost_nano_usd"]) for one in found["broken"]]
    assert told == [("call-4", "system or tools", None), ("call-3", "history", 9_000 * 225)]
    assert {one["tokens_lost"] for one in found["broken"]} == {9_000}
    assert found["lost_nano_usd"] == 9_000 * 225
    assert [(one["changed"], one["calls"]) for one in found["causes"]] == [
        ("history", 1),
        ("system or tools", 1),
    ]
    assert found["all"]


async def test_filters_and_times_are_heard(database, ask):
    _broken(database)
    for query in ("&agent=b", "&agent=b&model=gpt-5-mini&provider=openai"):
        found = (await ask(f".json?range=today{query}")).json()
        assert [one["call_id"] for one in found["broken"]] == ["call-4"]
    for query in ("?range=today&model=other", "?from=2026-01-01&to=2026-01-02"):
        assert (await ask(f".json{query}")).json()["broken"] == []


async def test_the_page_says_it_in_words(database, ask):
    _broken(database)
    page = (await ask("?range=today")).text
    assert "an edited history" in page
    assert "$0.0020" in page
    assert '/-/agenttrace/calls/call-3"' in page
    assert HOSTILE not in page
    assert "No broken cache in this time" in (await ask("?from=2026-01-01&to=2026-01-02")).text


async def test_only_the_newest_calls_are_looked_at(database, ask, monkeypatch):
    monkeypatch.setattr("agenttrace_mitm.store.caches.NEWEST", 2)
    _broken(database)
    found = (await ask(".json?range=today")).json()
    assert [one["call_id"] for one in found["broken"]] == ["call-4"]
