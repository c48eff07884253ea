"""Datasette's own pages: in our frame, with our queries."""

import re
from urllib.parse import urlencode

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


async def test_the_page_of_the_database_begins_with_calls(recorded, headers, serve):
    """What its SQL starts from; what only the recorder makes sense of is hidden."""
    client = serve(recorded).client
    page = (await client.get("/data", headers=headers)).text
    assert ">select * from llm_calls</textarea>" in page
    listed = re.findall(r'<h3><a href="/data/(\w+)">', page)
    assert listed[0] == "llm_calls"
    assert {"messages", "traces", "alert_rules"} < set(listed)
    assert not {"content_mark", "content_waiting", "holds", "horizon"} & set(listed)
    everything = (await client.get("/data?_show_hidden=1", headers=headers)).text
    assert "horizon</a><em> (hidden)</em>" in everything


async def test_figures_of_a_query_are_told_by_their_values(recorded, headers, serve):
    sql = "select 'a' name, 12 whatever, 0.5 as share, null as none_of_it, 7 started_us"
    address = f"/data?{urlencode({'sql': sql})}"
    page = (await serve(recorded).client.get(address, headers=headers)).text
    cells = dict(re.findall(r'<td class="col-(\w+)">(.*?)</td>', page))
    assert cells["whatever"] == '<span class="at-num">12</span>'
    assert cells["share"] == '<span class="at-num">0.5</span>'
    assert "<time" in cells["started_us"]
    assert (cells["name"], cells["none_of_it"]) == ("a", "&nbsp;")
