"""The Agents page: its sums, health, tools, and who calls whom."""

import html
import re
import sqlite3

import pytest

from agenttrace_mitm.store import graph, open_database
from benchmarks import bulk
from datasette_agenttrace import figures
from datasette_agenttrace.agents import queries
from datasette_agenttrace.agents.drawing import drawing
from datasette_agenttrace.agents.queries import Edge, Network
from tests.datasette_agenttrace.scene import HOSTILE, NOON, Page, call, fill

pytestmark = pytest.mark.usefixtures("noon")

AGENTS = "/-/agenttrace/agents"


@pytest.fixture
def busy(database):
    """A team's three months, in small."""
    bulk.build(database, 1_500, days=80, end_us=NOON)
    return database


@pytest.fixture
def ask(headers, serve):
    async def asked(database, query=""):
        return await serve(database).client.get(AGENTS + query, headers=headers)

    return asked


async def test_figures_are_those_of_plain_sql(busy, ask):
    found = (await ask(busy, ".json?range=90d")).json()
    rows = sqlite3.connect(busy).execute(
        """
        select agent_id, count(*), sum(outcome in ('error', 'interrupted')), sum(cost_nano_usd),
               sum(tokens_in), sum(tokens_out), max(started_us)
        from llm_calls where kind in ('llm', 'auxiliary') group by agent_id
        """
    )
    names = ("agent", "calls", "failed", "cost_nano_usd", "tokens_in", "tokens_out", "last_seen_us")
    expected = sorted(rows)
    assert len(expected) == 24
    said = sorted(tuple(one[name] for name in names) for one in found["agents"])
    assert said == expected
    for one in found["agents"]:
        assert sum(one["trend"]) == one["calls"]
    assert found["totals"]["calls"] == sum(row[1] for row in expected)
    assert found["totals"]["cost_nano_usd"] == sum(row[3] for row in expected)


async def test_edges_are_those_of_the_view(busy, ask):
    found = (await ask(busy, ".json?range=90d")).json()["network"]
    db = sqlite3.connect(busy)
    plain = graph.communication(db)
    assert found["whole"]
    assert {(e["caller"], e["callee"]): e["times"] for e in found["edges"]} == {
        (e.caller, e.callee): e.times for e in plain.edges
    }
    assert sum(e["tokens_in"] for e in found["edges"]) == sum(e.tokens_in for e in plain.edges)
    assert sorted(found["isolated"]) == sorted(plain.isolated)


async def test_one_agent_adds_up(busy, ask):
    found = (await ask(busy, ".json?range=90d&agent=coder-search")).json()
    db = sqlite3.connect(busy)
    of_it = "from llm_calls c where agent_id = 'coder-search'"
    calls, cost = db.execute(f"select count(*), sum(cost_nano_usd) {of_it}").fetchone()
    assert (found["costs"]["totals"]["calls"], found["costs"]["totals"]["cost_nano_usd"]) == (
        calls, cost,
    )  # fmt: skip
    tools = db.execute(
        f"select t.name, count(*), sum(coalesce(t.is_error, 0)) from tool_calls t"
        f" where call_id in (select id {of_it}) group by 1"
    ).fetchall()
    assert sorted((t["name"], t["calls"], t["failed"]) for t in found["tools"]) == sorted(tools)
    assert found["tools_are_all"]
    failed = db.execute(f"select count(*) {of_it} and outcome = 'error'").fetchone()[0]
    assert sum(one["calls"] for one in found["failures"]) == failed > 0
    assert {e["callee"] for e in found["network"]["edges"]} >= {"reviewer-search"}
    page = (await ask(busy, "?range=90d&agent=coder-search")).text
    assert "<h1>coder-search</h1>" in page
    assert page.count("<svg viewBox") >= 4


async def test_a_tool_that_fails_leads_to_its_latest_failure(busy, ask, get):
    found = (await ask(busy, ".json?range=90d&agent=coder-search")).json()
    page = (await ask(busy, "?range=90d&agent=coder-search")).text
    calls = "/-/agenttrace/calls?range=90d&amp;agent=coder-search"
    assert all(f'href="{calls}&amp;tool={tool["name"]}"' in page for tool in found["tools"])
    for one in found["costs"]["models"]:
        assert f'href="{calls}&amp;model={one["model"]}&amp;provider={one["provider"]}"' in page
    latest = """
        select t.call_id, c.trace_id, t.span_id
        from tool_calls t join llm_calls c on c.id = t.call_id
        where c.agent_id = 'coder-search' and t.name = ? and t.is_error
        order by t.started_us desc limit 1
    """
    db = sqlite3.connect(busy)
    failing = [tool for tool in found["tools"] if tool["failed"]]
    assert failing
    for tool in failing:
        told = tool["last_failed"]
        row = db.execute(latest, (tool["name"],)).fetchone()
        assert (told["call_id"], told["trace_id"], told["span_id"]) == row
        step = f"/-/agenttrace/traces/{told['trace_id']}?step={told['span_id']}"
        assert f'href="{step}#s-{told["span_id"]}"' in page
        assert f'id="s-{told["span_id"]}" open>' in (await get(step)).text
    assert not [t for t in found["tools"] if t["last_failed"] and not t["failed"]]


async def test_latest_sessions_say_what_was_asked(busy, ask, get):
    found = (await ask(busy, ".json?range=90d&agent=coder-search")).json()["sessions"]
    listed = (await get("/-/agenttrace/sessions.json?range=90d&agent=coder-search")).json()
    asked = {one["session_id"]: one["first_prompt"] for one in listed["sessions"]}
    page = (await ask(busy, "?range=90d&agent=coder-search")).text
    known = [one for one in found if one["session_id"] in asked]
    assert known
    for one in known:
        assert one["first_prompt"] == asked[one["session_id"]]
        assert one["first_prompt"] in page
        assert f'href="/-/agenttrace/sessions/{one["session_id"]}"' in page


async def test_failures_have_the_status_of_errors_alone(database, ask):
    """200 beside an error, or a call that was cut short, reads as if all had been well."""
    failed = {"agent_id": "a", "outcome": "error", "error_type": "overloaded_error"}
    cut = failed | {"outcome": "interrupted", "error_type": None}
    fill(
        database, call(1, status_code=200, **failed), call(2, status_code=529, **failed),
        call(3, status_code=200, **cut), call(4, **failed),
    )  # fmt: skip
    page = " ".join((await ask(database, "?agent=a")).text.split())
    for said in ("overloaded_error in the stream", "overloaded_error 529", "interrupted"):
        assert f'<th scope="row">{said}</th>' in page


async def test_failures_say_what_the_last_said_and_lead_to_their_calls(database, ask, get):
    """As many calls as the count says; words only where the tier of the call keeps them."""
    failed = {"agent_id": "a", "outcome": "error", "status_code": 429}
    fill(
        database,
        *(call(n, **failed, error_type="rate_limit_error", error_message=f"Slow {HOSTILE} {n}")
          for n in (1, 2, 3)),
        call(4, **failed, error_type="secret", error_message="Not to be told", privacy_tier=1),
        call(5, agent_id="a", outcome="interrupted"), call(6, agent_id="a"),
        call(7, **failed | {"agent_id": "b"}, error_type="rate_limit_error"),
    )  # fmt: skip
    found = (await ask(database, ".json?agent=a")).json()["failures"]
    assert [(one["calls"], one["last_message"]) for one in found] == [
        (3, f"Slow {HOSTILE} 3"), (1, None), (1, None),
    ]  # fmt: skip
    page = (await ask(database, "?agent=a")).text
    assert "<bdi>Slow &lt;/script&gt;" in page and "<img" not in page
    assert "Not to be told" not in page
    part = page[page.index('id="failures"') : page.index('id="sessions"')]
    links = re.findall(r'<a href="(/-/agenttrace/calls\?[^"]+)">(\d+)</a>', html.unescape(part))
    assert [number for _, number in links[:3]] == ["3", "1", "1"]
    for link, number in links[:3]:
        listed = (await get(link.replace("/calls?", "/calls.json?"))).json()["calls"]
        assert len(listed) == int(number)
        assert {one["agent_id"] for one in listed} == {"a"}


async def test_the_head_of_an_agents_page_names_it_once(busy, ask):
    page = (await ask(busy, "?agent=coder-search&provider=openai")).text
    head = page[page.index('<div class="at-title">') : page.index('<div class="at-filters">')]
    assert head.count("coder-search") == 1
    assert "days in UTC · openai" in head


async def test_failures_say_that_the_newest_are_meant(busy, ask, monkeypatch):
    page = (await ask(busy, "?range=90d&agent=coder-search")).text
    assert "newest 2,000 failed calls" not in page
    monkeypatch.setattr("datasette_agenttrace.agents.one.MOST_CALLS", 2)
    found = (await ask(busy, ".json?range=90d&agent=coder-search")).json()
    assert not found["failures_are_all"]
    assert sum(failure["calls"] for failure in found["failures"]) == 2
    page = (await ask(busy, "?range=90d&agent=coder-search")).text
    assert "newest 2,000 failed calls" in page


async def test_health_goes_by_the_last_calls(database, ask):
    fill(
        database,
        *(call(n, agent_id="bad", outcome="error" if n % 2 else "ok") for n in range(10)),
        call(20, agent_id="good"), call(21, agent_id="old", days_ago=2),
    )  # fmt: skip
    found = (await ask(database, ".json")).json()["agents"]
    assert {one["agent"]: one["health"] for one in found} == {
        "bad": "failing", "good": "active", "old": "quiet",
    }  # fmt: skip


async def test_calls_of_nobody_are_listed(database, ask):
    fill(database, call(1))
    [one] = (await ask(database, ".json")).json()["agents"]
    assert (one["agent"], one["calls"], one["health"]) == ("(unknown)", 1, "active")
    assert (await ask(database)).status_code == 200


async def test_empty_states_say_what_to_do(database, ask):
    assert "agenttrace-mitm demo" in (await ask(database)).text
    fill(database, call(1, agent_id="a"))
    nobody = (await ask(database, "?agent=nobody")).text
    assert "No agent of this name" in nobody
    assert "quiet" not in nobody
    earlier = (await ask(database, "?agent=a&from=2020-01-01&to=2020-01-02")).text
    assert "did not call in this time" in earlier
    other = (await ask(database, "?agent=a&provider=nobody")).text
    assert "Nothing fits these filters" in other
    assert '<a href="?range=30d&amp;agent=a">All calls of this agent</a>' in other
    assert "range=90d" in (await ask(database, "?from=2020-01-01&to=2020-01-02")).text


@pytest.mark.parametrize(
    "query", ["", "?agent=%3Cscript%3E", "?range=today", "?agent=coder-search"]
)
async def test_pages_run_no_foreign_script(busy, ask, query):
    fill(busy, call(1, agent_id=HOSTILE, model=HOSTILE))
    answer = await ask(busy, query)
    assert answer.status_code == 200
    page = Page(answer.text)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert not [tag for tag, _ in page.tags if tag == "img"]
    for tag, attributes in page.tags:
        assert "style" not in attributes
        assert tag != "script" or attributes["src"].startswith("/-/agenttrace/static/")


def edge(caller: str, callee: str, times: int = 1, ms: float = 10.0) -> Edge:
    return Edge(
        caller=caller, callee=callee, times=times, failed=0, calls=1, tokens_in=1, tokens_out=1,
        cost_nano_usd=None, mean_latency_ms=ms,
    )  # fmt: skip


def network(*edges: Edge) -> Network:
    return Network(edges=edges, in_cycles=(), bottlenecks=(), isolated=(), whole=True)


def test_callers_stand_to_the_left():
    drawn = drawing(network(edge("a", "b"), edge("b", "c"), edge("a", "c")))
    x = {node.name: node.x for node in drawn.nodes}
    assert x["a"] < x["b"] < x["c"]
    assert len(drawn.arcs) == 3
    assert [node.words for node in drawn.nodes if node.name == "a"] == [
        "called 0 times, calls 2 times"
    ]
    assert drawn.arcs[0].words == "a called b 1 time, 0 failed"
    for node in drawn.nodes:
        assert 0 <= node.x <= drawn.width and 0 <= node.y <= drawn.height


def test_cycles_are_drawn_and_end():
    drawn = drawing(network(edge("a", "b"), edge("b", "a"), edge("c", "c")))
    assert {node.name for node in drawn.nodes} == {"a", "b", "c"}
    assert drawing(network()) is None


def test_a_wide_cycle_of_many_is_drawn_soon():
    names = [f"agent-{n}" for n in range(14)]
    drawn = drawing(network(*(edge(a, b) for a in names for b in names)))
    assert len(drawn.arcs) == 14 * 14


async def test_a_bottleneck_is_named(database):
    from datasette_agenttrace.agents.queries import _bottlenecks

    assert _bottlenecks((edge("a", "slow", 5, 900), edge("a", "quick", 5, 1))) == ["slow"]
    assert _bottlenecks((edge("a", "only", 5, 900),)) == []
    open_database(database).close()


PROMPTS = """
create table if not exists prompts (
    prompt_id text primary key, agent_id text not null, first_seen_us integer not null,
    system_print text not null, tools_print text not null, system text, tools text,
    system_chars integer not null, tools_chars integer not null, n_tools integer not null,
    privacy_tier integer not null
)
"""


def tell_of_prompts(database, *told):
    """Versions of the prompt of a, each by its id, system prompt and print, a microsecond apart."""
    db = sqlite3.connect(database)
    db.execute(PROMPTS)
    for number, (id_, system, print_) in enumerate(told):
        db.execute(
            "insert into prompts values (?, 'a', ?, ?, 't', ?, null, 9, 0, 0, 3, null)",
            (id_, NOON + number, print_, system),
        )
    db.commit()


async def test_versions_of_a_prompt_show_their_calls_and_what_changed(database, ask):
    fill(
        database,
        call(1, agent_id="a", prompt_id="p1", cost_nano_usd=10_000_000, tokens_in=100),
        call(2, agent_id="a", prompt_id="p2", cost_nano_usd=30_000_000, tokens_in=300),
        call(3, agent_id="a", prompt_id="p2", outcome="error"),
        call(4, agent_id="b", prompt_id="p2", cost_nano_usd=5, days_ago=1),
    )  # fmt: skip
    tell_of_prompts(
        database,
        ("p1", "You help.\nBe brief.", "x"),
        ("p2", f"You help.\n{HOSTILE}", "y"),
        ("p3", None, "z"),
    )
    page = (await ask(database, "?range=7d&agent=a")).text
    assert all(f'href="{AGENTS}/prompts/{id_}"' in page for id_ in ("p1", "p2", "p3"))
    third, second, first = (await ask(database, ".json?range=7d&agent=a")).json()["prompts"]
    assert [one["version"] for one in (first, second, third)] == [1, 2, 3]
    assert (first["calls"], first["cost_nano_usd"], first["tokens_in"]) == (1, 10_000_000, 100)
    assert (second["calls"], second["failed"], second["cost_nano_usd"]) == (2, 1, 30_000_000)
    assert (first["changed"], second["changed"]) == ([], ["system"])
    assert [line["text"] for line in second["difference"] if line["mark"] in ("plus", "minus")] == [
        "-Be brief.", f"+{HOSTILE}",
    ]  # fmt: skip
    assert first["difference"] is None and third["difference"] is None
    page = (await ask(database, "?range=7d&agent=a")).text
    assert "What version 2 changed" in page and "are not kept" in page
    assert "<img" not in page


async def test_versions_say_how_long_their_calls_took_and_which_tools_failed(busy, ask, get):
    """So that the next one can be told from the last: and each count leads to its calls."""
    found = (await ask(busy, ".json?range=90d&agent=coder-search")).json()
    db = sqlite3.connect(busy)
    of_it = "from llm_calls c where c.prompt_id = :id"
    used = [one for one in found["prompts"] if one["calls"]]
    assert len(used) > 3
    assert not found["prompts_are_sampled"]
    for one in used:
        given = {"id": one["prompt_id"]}
        times = sorted(
            ms for (ms,) in db.execute(f"select latency_ms {of_it}", given) if ms is not None
        )
        assert one["p50_ms"] == times[(len(times) - 1) // 2]
        tools = db.execute(
            f"select count(*), coalesce(sum(is_error), 0) from tool_calls where call_id in"
            f" (select id {of_it})", given,
        ).fetchone()  # fmt: skip
        assert (one["tool_calls"], one["tools_failed"]) == tools
        (out,) = db.execute(f"select sum(tokens_out) {of_it}", given).fetchone()
        assert one["tokens_out"] == out
    assert sum(one["tools_failed"] for one in used) > 0
    page = (await ask(busy, "?range=90d&agent=coder-search")).text
    for one in used:
        calls = f"range=90d&agent=coder-search&prompt={one['prompt_id'].replace('@', '%40')}"
        address = f"/-/agenttrace/calls?{calls}".replace("&", "&amp;")
        assert f'<a href="{address}">{one["calls"]:,}</a>' in page
        listed = (await get(f"/-/agenttrace/calls.json?{calls}")).json()
        assert len(listed["calls"]) == min(one["calls"], 50)


async def test_of_many_calls_of_a_version_the_newest_are_looked_at(busy, ask, monkeypatch):
    """And the page says so; calls of other versions between them do not hide them."""
    monkeypatch.setattr("datasette_agenttrace.agents.prompts.NEWEST", 2)
    found = (await ask(busy, ".json?range=90d&agent=coder-search")).json()
    assert found["prompts_are_sampled"]
    assert {one["n_newest"] for one in found["prompts"] if one["calls"] > 2} == {2}
    assert "of its newest 2 at most" in (await ask(busy, "?range=90d&agent=coder-search")).text


async def test_few_calls_of_a_version_are_found_before_many_of_the_next(database, ask):
    """On the same day too; what is told of fewer than all says of how many."""
    of_last = {"agent_id": "a", "prompt_id": "p2"}
    fill(
        database,
        *(call(n, agent_id="a", prompt_id="p1", latency_ms=5.0) for n in range(9)),
        *(call(n, **of_last) for n in range(9, 1_109)),
        call(2_000, **of_last),
    )
    tell_of_prompts(database, ("p1", "You help.", "x"), ("p2", "You do.", "y"))
    second, first = (await ask(database, ".json?range=7d&agent=a")).json()["prompts"]
    assert (first["calls"], first["n_newest"], first["p50_ms"]) == (9, 9, 5.0)
    assert (second["calls"], second["n_newest"]) == (1_101, 200)
    page = (await ask(database, "?range=7d&agent=a")).text
    assert page.count("<small>of 200 calls</small>") == 1 and "of 9 calls" not in page


async def test_calls_that_are_looked_at_are_bounded_whatever_the_filters(
    database, ask, monkeypatch
):
    """And shared out among the versions: of none that fits, there is no figure."""
    monkeypatch.setattr("datasette_agenttrace.agents.prompts.LOOKED_AT", 10)
    rare = {"provider": "mistral", "latency_ms": 7.0}
    fill(
        database,
        *(call(n, 2, agent_id="a", prompt_id="p1") for n in range(20)),
        call(21, 2, agent_id="a", prompt_id="p1", **rare),
        call(30, 1, agent_id="a", prompt_id="p2", **rare),
        *(call(n, 1, agent_id="a", prompt_id="p2") for n in range(31, 60)),
    )
    tell_of_prompts(database, ("p1", "You help.", "x"), ("p2", "You do.", "y"))
    second, first = (await ask(database, ".json?agent=a")).json()["prompts"]
    assert (second["calls"], second["n_newest"]) == (30, 5)
    assert (first["calls"], first["n_newest"]) == (21, 5)
    second, first = (await ask(database, ".json?agent=a&provider=mistral")).json()["prompts"]
    assert (second["calls"], second["n_newest"], second["p50_ms"]) == (1, 0, None)
    assert (first["calls"], first["n_newest"], first["p50_ms"]) == (1, 1, 7.0)
    page = (await ask(database, "?agent=a")).text
    assert page.count("<small>of 5 calls</small>") == 2
    page = (await ask(database, "?agent=a&provider=mistral")).text
    assert page.count(f'data-label="Median">{figures.UNKNOWN}</td>') == 1
    assert "of 0 calls" not in page


async def test_figures_of_versions_know_the_filters(database, ask):
    """As all else on the page, and the calls that they lead to."""
    told = {"agent_id": "a", "prompt_id": "p1"}
    fill(database, call(1, **told), call(2, **told, provider="mistral", latency_ms=7.0))
    tell_of_prompts(database, ("p1", "You help.", "x"))
    [one] = (await ask(database, ".json?agent=a&provider=mistral")).json()["prompts"]
    assert (one["calls"], one["p50_ms"]) == (1, 7.0)


async def test_a_version_shows_its_words_and_what_it_changed(database, ask, get):
    tell_of_prompts(
        database, ("p1", "You help.\nBe brief.", "x"), ("p/2", f"You help.\n{HOSTILE}", "y"),
        ("p3", None, "z"),
    )  # fmt: skip
    db = sqlite3.connect(database)
    db.execute(
        "update prompts set tools = ?, n_tools = 1 where prompt_id = 'p/2'",
        ('[{"name": "lookup", "description": "<b>Find</b>"}]',),
    )
    db.commit()
    first, second, third = [
        (await get(f"{AGENTS}/prompts/{id_}.json")).json() for id_ in ("p1", "p~2F2", "p3")
    ]
    assert [one["version"] for one in (first, second, third)] == [1, 2, 3]
    assert (second["before"], second["after"], second["latest"]) == ("p1", "p3", 3)
    assert second["system"] == f"You help.\n{HOSTILE}" and '"lookup"' in second["tools"][0]
    assert first["changed"] == [] and second["changed"] == ["system"]
    assert not third["is_kept"] and third["difference"] is None
    page = (await get(f"{AGENTS}/prompts/p~2F2")).text
    assert "<img" not in page and "<b>Find" not in page
    for said in (
        "Prompt version 2", "-Be brief.", "&#34;lookup&#34;", f'href="{AGENTS}/prompts/p1"',
        f'href="{AGENTS}/prompts/p3"', 'href="/-/agenttrace/calls?range=90d&amp;prompt=p/2"',
        'href="/data/prompts/p~2F2"',
    ):  # fmt: skip
        assert said in page, said
    assert "9 characters, not kept" in (await get(f"{AGENTS}/prompts/p3")).text
    assert (await get(f"{AGENTS}/prompts/nothing")).status_code == 404


DAMAGED = [b"\x01no frame", b"\x00[{", b"\x00{}", b"\x09", ""]


@pytest.mark.parametrize("stored", DAMAGED)
async def test_damaged_tools_of_a_version_are_said_to_be_damaged(database, ask, get, stored):
    fill(database, call(1, agent_id="a", prompt_id="p2"))
    tell_of_prompts(database, ("p1", "You help.", "x"), ("p2", "You do.", "y"))
    db = sqlite3.connect(database)
    db.execute("update prompts set tools = ?, n_tools = 2 where prompt_id = 'p2'", (stored,))
    db.commit()
    page = (await get(f"{AGENTS}/prompts/p2")).text
    assert "2 tools, stored damaged: they cannot be read." in page and "You do." in page
    assert "of one of the two are not kept, or are damaged" in page
    found = (await get(f"{AGENTS}/prompts/p2.json")).json()
    assert found["tools_are_damaged"] and found["tools"] == [] and found["difference"] is None
    assert not (await get(f"{AGENTS}/prompts/p1.json")).json()["tools_are_damaged"]
    assert "or are damaged" in (await ask(database, "?agent=a")).text


async def test_a_version_of_no_agent_leads_to_none(database, get):
    """An only version has none beside it; what can have the focus has a name."""
    tell_of_prompts(database, ("p1", "You help.", "x"))
    db = sqlite3.connect(database)
    db.execute("update prompts set agent_id = '', tools = '[{}]', n_tools = 1")
    db.commit()
    page = (await get(f"{AGENTS}/prompts/p1")).text
    assert "<title>(unknown), prompt version 1 - AgentTrace</title>" in page
    assert "agent=" not in page and '/</span> (unknown) <span aria-hidden="true">/' in page
    assert 'aria-label="Versions"' not in page
    texts = [given for tag, given in Page(page).tags if tag == "pre"]
    assert len(texts) == 2
    for given in texts:
        assert given["role"] == "region", given
        assert given.get("aria-label") or given.get("aria-labelledby"), given


async def test_the_dearest_of_many_are_listed(database, ask, monkeypatch):
    """And only of these is asked how they fare."""
    monkeypatch.setattr(queries, "MOST", 3)
    fill(database, *(call(n, agent_id=f"a{n}", cost_nano_usd=n) for n in range(5)))
    found = (await ask(database, ".json")).json()
    assert [one["agent"] for one in found["agents"]] == ["a4", "a3", "a2"]
    assert (found["more"], found["totals"]["calls"]) == (2, 5)
    assert "The 3 dearest of 5 agents" in (await ask(database)).text
