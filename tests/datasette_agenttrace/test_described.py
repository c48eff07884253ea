"""Metadata and canned queries, in the file and by the hook."""

from pathlib import Path

import pytest
import yaml

from agenttrace_mitm.store import open_database
from datasette_agenttrace import described
from datasette_agenttrace.canned import (
    BROKEN_CACHES,
    CANCELLED,
    CANNED_QUERIES,
    CUT_BY_LENGTH,
    DRIFT,
    LARGE_RESULTS,
    REPEATED_TOOLS,
    TOOL_LOOPS,
    UNUSED_TOOLS,
)
from datasette_agenttrace.described import tables
from tests.support import metadata_file, sample_db

CHECKOUT = Path(__file__).parents[2]


def test_metadata_yml_agrees_with_the_code():
    """If not: scripts/metadata."""
    written = (CHECKOUT / "metadata.yml").read_text()
    assert yaml.safe_load(written) == described.metadata()
    assert written == metadata_file.text()
    assert described.metadata_file() is not None


@pytest.mark.parametrize("query", CANNED_QUERIES, ids=lambda query: query.name)
def test_canned_queries_are_described_and_portable(query):
    assert query.title
    assert query.description.endswith(".")
    assert "/" not in query.sql
    assert "strftime" not in query.sql


async def test_hook_gives_the_same_to_any_name(database, headers, serve):
    named = database.rename(database.with_name("mine.db"))
    served = serve(named)
    page = (await served.client.get("/mine.json", headers=headers)).json()
    assert {query["name"] for query in page["queries"]} >= {query.name for query in CANNED_QUERIES}
    table = (await served.client.get("/mine/llm_calls", headers=headers)).text
    assert "One row per exchange" in table


async def test_words_of_tables_are_told_where_they_may_be_shown(
    database, headers, serve, monkeypatch
):
    """Datasette asks with each right that it checks of each table, and copies what it is told."""
    asked = []

    def spy(key=None):
        asked.append(told := tables(key))
        return told

    served = serve(database)
    monkeypatch.setattr(described, "tables", spy)
    assert (await served.client.get("/data", headers=headers)).status_code == 200
    with_words = [told for told in asked if "columns" in told["tables"]["llm_calls"]]
    assert len(asked) > 100
    assert 0 < len(with_words) < len(asked) / 4
    page = (await served.client.get("/data/llm_calls", headers=headers)).text
    assert "microseconds since the epoch" in page
    assert all(told["tables"]["llm_calls"]["facets"] for told in asked)
    asked[0]["tables"]["llm_calls"]["allow"] = False
    assert "allow" not in tables("allow")["tables"]["llm_calls"], "each is somebody's own"


async def test_a_page_leads_to_its_saved_queries(database, headers, serve):
    client = serve(database).client
    page = (await client.get("/-/agenttrace/costs/savings", headers=headers)).text
    assert f'href="/data/{CANCELLED.name}"' in page
    assert f'href="/data/{BROKEN_CACHES.name}"' not in page, "it is of another page"
    told = [one for one in CANNED_QUERIES if one.page]
    assert told
    for one in told:
        page = (await client.get(f"/-/agenttrace/{one.page}", headers=headers)).text
        assert f'href="/data/{one.name}"' in page


@pytest.mark.parametrize(
    ("query", "view", "keys"),
    [
        (BROKEN_CACHES, "broken_caches", "id, changed, tokens_lost"),
        (CANCELLED, "billed_but_cancelled", "id, tokens_in, tokens_out, estimated_tokens_out"),
        (DRIFT, "drift", "dialect, note, calls, first_seen, last_seen, last_call_id"),
        (
            REPEATED_TOOLS,
            "repeated_tool_calls",
            "name, times, results, arguments, last_call_id, cost_usd",
        ),
        (TOOL_LOOPS, "tool_loops", "name, times, results, arguments, last_call_id, cost_usd"),
        (LARGE_RESULTS, "large_tool_results", "name, characters, call_id, estimated_cost_usd"),
        (UNUSED_TOOLS, "unused_tools", "name, calls, characters, estimated_tokens"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_bounded_query_tells_what_its_view_tells(database, query, view, keys):
    """There is a view over all calls, and the query over the newest of them."""
    sample_db.build(database, days=3, calls_a_day=60)
    db = open_database(database)
    _make_waste(db)
    told = db.execute(f"select {keys} from ({query.sql})").fetchall()
    assert told
    assert sorted(told) == sorted(db.execute(f"select {keys} from {view}").fetchall())
    db.close()


def test_replies_that_were_cut_off_are_found(database):
    sample_db.build(database, days=3, calls_a_day=20)
    db = open_database(database)
    db.execute("update llm_calls set finish_reason = 'stop'")
    cut = db.execute("select id from llm_calls order by started_us limit 3").fetchall()
    db.conn.executemany("update llm_calls set finish_reason = 'length' where id = ?", cut)
    found = db.execute(f"select id from ({CUT_BY_LENGTH.sql})").fetchall()
    assert found == cut[::-1]
    db.close()


def _make_waste(db):
    """One call that goes on without the cache of the one before, was cut off and met news."""
    before, after = db.execute("select id from llm_calls order by started_us limit 2").fetchall()
    shared = "kind = 'llm', outcome = 'ok', thread_id = 't', session_id = 's'"
    db.execute(f"update llm_calls set {shared}, cache_read_tokens = 900 where id = ?", before)
    db.execute(
        f"update llm_calls set {shared}, cache_read_tokens = 0, tokens_in = 1000,"
        " continues_call_id = ?, notes = '[\"unknown event x\"]' where id = ?",
        (*before, *after),
    )
    [last] = db.execute("select max(id) from llm_calls").fetchall()
    db.execute(
        "update llm_calls set outcome = 'cancelled', usage_source = 'partial' where id = ?", last
    )
    for position, call in enumerate((*before, *after, *after, *after)):
        db["tool_calls"].insert(
            {
                "call_id": call,
                "position": 90 + position,
                "name": "ls",
                "server": 0,
                "fingerprint": "f",
                "arguments": "{}",
                "result": "x" * 30_000 if position == 0 else "x",
                "answered_by_call_id": after[0],
                "started_us": position,
            }
        )
    db["prompts"].insert(
        {
            "prompt_id": "p",
            "agent_id": "a",
            "first_seen_us": 1,
            "system_print": "s",
            "tools_print": "t",
            "system_chars": 0,
            "n_tools": 1,
            "tools_chars": 400,
            "privacy_tier": 3,
            "tool_sizes": '[["ls", 400]]',
        }
    )
    db.execute("update llm_calls set prompt_id = 'p' where id > ?", after)
