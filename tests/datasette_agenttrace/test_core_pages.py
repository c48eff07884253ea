"""Datasette's own pages: in our frame, with our queries."""

import pytest

from datasette_agenttrace.site import find

pytestmark = pytest.mark.usefixtures("noon")


@pytest.mark.parametrize(
    "path",
    ["", "/llm_calls", "/messages", "/tool_calls", "/errors", "/unpriced", "/cost_by_day"],
)
async def test_core_pages_have_our_frame(recorded, headers, serve, path):
    answer = await serve(recorded).client.get("/data" + path, headers=headers)
    assert answer.status_code == 200
    assert '<html lang="en">' in answer.text
    assert answer.text.count("<main") == 1
    assert "agenttrace.css" in answer.text


async def test_every_canned_query_runs(recorded, headers, serve):
    served = serve(recorded)
    site = find(served)
    assert site.database == "data"
    listed = (await served.client.get("/data.json", headers=headers)).json()["queries"]
    assert len(listed) >= 7
    for query in listed:
        answer = await served.client.get(f"/data/{query['name']}.json", headers=headers)
        assert answer.status_code == 200, answer.text
        assert (
            await served.client.get(f"/data/{query['name']}", headers=headers)
        ).status_code == 200
    unpriced = await served.client.get("/data/unpriced_calls.json?_shape=array", headers=headers)
    assert [(row["model"], row["calls"]) for row in unpriced.json()] == [("m2-real", 1)]
