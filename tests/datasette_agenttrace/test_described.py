"""Metadata and canned queries, in the file and by the hook."""

from pathlib import Path

import pytest
import yaml

from datasette_agenttrace import described
from datasette_agenttrace.canned import CANNED_QUERIES

CHECKOUT = Path(__file__).parents[2]


def test_metadata_yml_agrees_with_the_code():
    """If not: scripts/metadata > metadata.yml."""
    assert yaml.safe_load((CHECKOUT / "metadata.yml").read_text()) == described.metadata()
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
