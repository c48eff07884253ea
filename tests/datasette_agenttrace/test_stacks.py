"""What spend is stacked by: every part of it is there, under any name."""

import json
import sqlite3

import pytest

from benchmarks import bulk
from datasette_agenttrace.asking import DAY_US
from datasette_agenttrace.costs.queries import costs_asked, load
from tests.datasette_agenttrace.scene import COSTS, NOON, TODAY, call, fill

pytestmark = pytest.mark.usefixtures("noon")


@pytest.mark.parametrize("by", ["provider", "agent", "project", "session", "prompt"])
@pytest.mark.parametrize("range_", ["today", "90d"])
async def test_stacks_add_up_to_all_spend(database, headers, serve, by, range_):
    bulk.build(database, 900, days=3, end_us=NOON)
    column = {"agent": "agent_id", "session": "session_id", "prompt": "prompt_id"}.get(by, by)
    address = f"{COSTS}.json?range={range_}&by={by}"
    costs = (await serve(database).client.get(address, headers=headers)).json()
    since = NOON // DAY_US * DAY_US if range_ == "today" else 0
    rows = (
        sqlite3.connect(database)
        .execute(
            f"select {column}, sum(cost_nano_usd), count(*), sum(tokens_in) from llm_calls"
            f" where started_us >= ? group by 1 order by 2 desc, 3 desc, 1",
            (since,),
        )
        .fetchall()
    )
    groups = costs["stack"]["groups"]
    assert [
        (one["name"], one["cost_nano_usd"], one["calls"], one["tokens_in"]) for one in groups
    ] == rows[:50]
    assert costs["stack"]["more"] == max(len(rows) - 50, 0)
    assert len(costs["stack"]["names"]) <= 8
    spent = sum(one["cost_usd"] for one in costs["stack"]["pieces"])
    assert spent == pytest.approx(costs["totals"]["cost_usd"])
    assert spent == pytest.approx(sum(row[1] or 0 for row in rows) / 1e9)
    page = (await serve(database).client.get(address.replace(".json", ""), headers=headers)).text
    assert f"Spend by {by}" in page
    assert f"by={by}" in page, "kept by the ranges"


async def test_an_unknown_stack_is_that_of_models(ask):
    costs = (await ask(f"{COSTS}.json?by=nonsense")).json()
    assert costs["stack"]["by"] == "model"
    assert [one["cost_usd"] for one in costs["stack"]["pieces"]] == [
        one["cost_usd"] for one in costs["spent"]
    ]


async def test_prompts_are_named_by_agent_and_version(database, headers, serve):
    """Their ids are prints; both the version and its calls are led to."""
    bulk.build(database, 900, days=3, end_us=NOON)
    fill(database, call(1, agent_id="a", prompt_id="not-kept", cost_nano_usd=10**12))
    client = serve(database).client
    costs = (await client.get(f"{COSTS}.json?by=prompt", headers=headers)).json()
    ordered = sqlite3.connect(database).execute(
        "select agent_id, prompt_id from prompts order by agent_id, first_seen_us, prompt_id"
    )
    numbers: dict[str, str] = {}
    counted: dict[str, int] = {}
    for agent, prompt in ordered:
        counted[agent] = counted.get(agent, 0) + 1
        numbers[prompt] = f"{agent}, version {counted[agent]}"
    groups = costs["stack"]["groups"]
    assert len(groups) > 10 and groups[0]["label"] == "not-kept"
    assert [one["label"] for one in groups[1:]] == [numbers[one["name"]] for one in groups[1:]]
    page = (await client.get(f"{COSTS}?by=prompt", headers=headers)).text
    for one in groups[1:]:
        version = one["name"].replace("@", "~40")
        assert f'href="/-/agenttrace/agents/prompts/{version}"' in page
        agent, number = one["label"].split(", ")
        assert f"<bdi>{agent}</bdi><span>, {number}</span></a>" in page  # of which no name is cut
        assert f'title="{one["label"]}: its text' in page
    assert "range=30d&amp;prompt=not-kept" in page
    drawn = json.loads(page.split('id="costs-data">')[1].split("</script>")[0])
    assert drawn["models"][:2] == ["not-kept", groups[1]["label"]]
    assert {one["model"] for one in drawn["spent"]} <= set(drawn["models"])


@pytest.mark.parametrize("name", ["a\0b", "\ufffe'\"<b>", "ü" * 300])
@pytest.mark.parametrize("by", ["agent", "session"])
async def test_any_name_is_one_to_stack_by(database, headers, serve, by, name):
    """Also one that JSON or SQL would cut short."""
    fill(database, call(1, **{f"{by}_id": name}), call(2, **{f"{by}_id": name[:1]}))
    answer = await serve(database).client.get(f"{COSTS}.json?by={by}&range=90d", headers=headers)
    groups = {one["name"]: one["calls"] for one in answer.json()["stack"]["groups"]}
    assert groups == {name: 1, name[:1]: 1}


def test_the_sessions_that_are_listed_are_looked_up(database):
    """Sums are not made of those that are not shown."""
    fill(database, call(1, session_id="s"))
    db = sqlite3.connect(database)
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    load(db, costs_asked({"by": "session"}, TODAY))
    db.set_trace_callback(None)
    [statement] = [one for one in seen if "session_id in ('s')" in one]
    plan = [row[-1] for row in db.execute("explain query plan " + statement)]
    assert "SEARCH rollup_session USING PRIMARY KEY (day=? AND session_id=?)" in plan
    assert [one for one in seen if "with named" in one and "from rollup_spend" in one]
