"""The list of calls: what it finds, sorts, cuts and links."""

import html
import re
import sqlite3

import pytest

from agenttrace_mitm.model import (
    Record,
    StoredToolCall,
    StoredToolResult,
)  # fmt: skip
from datasette_agenttrace.asking import DAY_US
from datasette_agenttrace.calls import one, queries
from datasette_agenttrace.calls.asked import calls_asked
from datasette_agenttrace.calls.queries import load
from tests.datasette_agenttrace.listed import CALLS, call, ids, store, words
from tests.datasette_agenttrace.scene import NOON, TODAY

pytestmark = pytest.mark.usefixtures("noon")


async def test_pages_show_every_call_once_newest_first(database, get, monkeypatch):
    """Also where many calls began in the same microsecond."""
    monkeypatch.setattr(queries, "PAGE_SIZE", 3)
    store(database, *(Record(call=call(n, started_us=NOON - n // 4)) for n in range(11)))
    seen, query = [], ""
    for _ in range(6):
        page = (await get(f"{CALLS}.json?{query}")).json()
        seen += [(one["started_us"], one["id"]) for one in page["calls"]]
        if not page["older"]:
            break
        assert f"before={page['older']}" in (await get(f"{CALLS}?{query}")).text
        query = f"before={page['older']}"
    assert len(seen) == len(set(seen)) == 11
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "query, found",
    [
        ("provider=mistral", {3}), ("model=m1-served", {1}), ("model=m1", {0, 2, 3, 4}),
        ("agent=a", {2}), ("outcome=failed", {4}), ("outcome=ok", {0, 1, 2}),
        ("outcome=in_flight", {3}), ("outcome=nonsense", {0, 1, 2, 3, 4}), ("session=s", {1}),
        ("kind=all", {0, 1, 2, 3, 4, 5}), ("agent=a&provider=mistral", set()),
        ("from=2020-01-01&to=2020-01-02", set()), ("range=today", {0, 1, 2, 3, 4}),
        ("error=rate_limit_error", {4}), ("status=429", {4}), ("status=(none)", {6}),
        ("error=(none)&status=(none)&outcome=interrupted", {6}), ("error=(none)&status=429", set()),
        ("error=rate_limit_error&outcome=ok", set()), ("error=%27", set()),
        ("before=nonsense", {0, 1, 2, 3, 4}), ("before=1.%27", set()), ("session=%00", set()),
    ],
)  # fmt: skip
async def test_filters(database, get, query, found):
    store(
        database,
        Record(call=call(0)),
        Record(call=call(1, response_model="m1-served", session_id="s")),
        Record(call=call(2, agent_id="a")),
        Record(call=call(3, provider="mistral", outcome="in_flight", latency_ms=None)),
        Record(call=call(4, outcome="error", status_code=429, error_type="rate_limit_error")),
        Record(call=call(5, kind="telemetry")),
        *([Record(call=call(6, outcome="interrupted"))] if "(none)" in query else ()),
    )
    assert await ids(get, query) == [f"call-{n:03d}" for n in sorted(found)]


async def test_models_and_agents_lead_to_their_calls(database, get):
    store(database, Record(call=call(1, agent_id="lead & co", response_model="m1-served")))
    page = (await get(f"{CALLS}?outcome=ok")).text
    assert 'href="?range=30d&amp;outcome=ok&amp;model=m1-served"' in page
    assert 'href="?range=30d&amp;outcome=ok&amp;agent=lead+%26+co"' in page
    one_call = (await get(f"{CALLS}/call-001")).text
    assert 'href="/-/agenttrace/agents?range=90d&amp;agent=lead%20%26%20co"' in one_call


async def test_no_page_passes_over_all_calls(database):
    """Every filter by itself, searched and not, is an index's work."""
    asks = [
        {}, {"provider": "p"}, {"model": "m"}, {"agent": "a"}, {"session": "s"}, {"q": "word"},
        {"outcome": "failed"}, {"outcome": "in_flight"}, {"before": "5.x"}, {"kind": "all"},
        {"q": "word", "provider": "p", "before": "5.x"}, {"q": "word", "agent": "a"},
        {"outcome": "tool_failed", "tool": "t"}, {"sort": "slowest", "before": "5.x"},
        *({"sort": "dearest", name: "x"} for name in ("agent", "provider", "model", "session")),
        {"sort": "slowest", "outcome": "failed"}, {"q": "word", "sort": "dearest"},
        {"q": "call-00001"}, {"q": "nothing-0001"}, {"prompt": "p"}, {"prompt": "p", "model": "m"},
        {"prompt": "p", "sort": "slowest"}, {"prompt": "p", "session": "s"},
        {"error": "e"}, {"error": "e", "status": "429", "agent": "a", "sort": "slowest"},
        {"error": "e", "prompt": "p"}, {"status": "429", "session": "s"},
    ]  # fmt: skip
    store(database, Record(call=call(1), messages=(words("user", "a word"),)))
    seen = []
    db = sqlite3.connect(database)
    db.set_trace_callback(seen.append)
    for ask in asks:
        load(db, calls_asked(ask, TODAY))
    one.load(db, "call-001")
    db.set_trace_callback(None)
    ours = [statement for statement in seen if not statement.startswith("--")]  # not FTS's own
    assert len(ours) > 30
    for statement in ours:
        for *_, step in db.execute("explain query plan " + statement):
            scans = re.match(r"SCAN (c|llm_calls|m|messages|u|call_messages)\b", step)
            allowed = "limit 1" in statement or "COVERING INDEX" in step
            assert not scans or allowed, (step, statement)
        if "order by started_us desc" in statement and "with found" not in statement:
            plan = " ".join(row[-1] for row in db.execute("explain query plan " + statement))
            assert "B-TREE FOR ORDER BY" not in plan, (plan, statement)


@pytest.mark.parametrize(
    "query",
    ["", "provider=openai&model=m1", "outcome=failed&agent=bot&kind=all", "session=s1",
     "prompt=p%271", "prompt=p%271&sort=slowest", "error=(none)&sort=slowest", "status=(none)"],
)  # fmt: skip
async def test_the_list_as_sql_is_the_list(database, get, query):
    """Datasette's page of the query finds the same calls, filters filled in."""
    given = {"session_id": "s1", "outcome": "error", **WITH_PROMPT}
    several = (call(n, **(given if n % 2 else {})) for n in range(1, 9))
    store(database, *(Record(call=one) for one in several))
    page = (await get(f"{CALLS}?{query}")).text
    link = html.unescape(re.search(r'as <a href="([^"]+)">SQL</a>', page)[1]).partition("#")[0]
    answer = await get(link.replace("/data?", "/data.json?_shape=array&"))
    assert [row["call_id"] for row in answer.json()] == await ids(get, query)


WITH_PROMPT = {"agent_id": "bot", "prompt_id": "p'1"}


async def test_calls_of_a_version_of_a_prompt(database, get):
    """Those that run too; the version is said, kept by every link, and can be left out."""
    running = {"outcome": "in_flight", "latency_ms": None}
    store(
        database,
        *(Record(call=call(n, agent_id="bot")) for n in (0, 2, 4)),
        *(Record(call=call(n, **WITH_PROMPT)) for n in (1, 3, 5)),
        Record(call=call(8, **WITH_PROMPT, outcome="error")),
        Record(call=call(9, **WITH_PROMPT, **running, started_us=NOON - 5 * DAY_US)),
        Record(call=call(10, **WITH_PROMPT, started_us=NOON - 50 * DAY_US)),
    )
    db = sqlite3.connect(database)
    db.execute(
        "insert into prompts select ?, 'bot', ?, '', '', 'x', null, 1, 0, 0, 3, null"
        " union all select 'p2', 'bot', ?, '', '', 'x', null, 1, 0, 0, 3, null",
        (WITH_PROMPT["prompt_id"], NOON, NOON - 1),
    )
    db.commit()
    asked = "prompt=p%271"
    for query, numbers in (
        ("", (1, 3, 5, 8, 9)), ("&range=90d", (1, 3, 5, 8, 9, 10)), ("&outcome=failed", (8,)),
        ("&sort=slowest&range=today", (8, 5, 3, 1)),
    ):  # fmt: skip
        assert await ids(get, asked + query) == [f"call-{n:03d}" for n in numbers]
    assert await ids(get, "prompt=p2") == await ids(get, "prompt=nobody") == []
    found = (await get(f"{CALLS}.json?{asked}")).json()["prompt"]
    assert found == {"prompt_id": "p'1", "agent": "bot", "version": 2}
    page = (await get(f"{CALLS}?{asked}&outcome=ok")).text
    assert "Calls with version 2 of the prompt of <bdi>bot</bdi>" in page
    assert 'href="/-/agenttrace/agents/prompts/p~271"' in page
    assert '<a href="?range=30d&amp;outcome=ok">All versions</a>' in page
    assert 'name="prompt" value="p&#39;1"' in page
    assert 'href="?range=30d&amp;outcome=ok&amp;prompt=p%271&amp;sort=dearest"' in page


async def test_calls_of_a_version_that_is_not_kept(database, get):
    """An agent may have more versions than are numbered; its calls know theirs all the same."""
    store(database, *(Record(call=call(n, **WITH_PROMPT)) for n in range(3)))
    assert await ids(get, "prompt=p%271") == ["call-000", "call-001", "call-002"]
    assert (await get(f"{CALLS}.json?prompt=p%271")).json()["prompt"] is None


async def test_calls_of_a_version_without_an_agent(database, get):
    """Sums and versions say '' of whom calls say nothing."""
    told = {"agent_id": None, "prompt_id": "p1"}
    store(
        database,
        *(Record(call=call(n, **told)) for n in range(3)),
        Record(call=call(3, agent_id=None)),
        Record(call=call(4, **WITH_PROMPT)),
    )
    wanted = ["call-000", "call-001", "call-002"]
    assert await ids(get, "prompt=p1") == wanted  # known from sums alone
    db = sqlite3.connect(database)
    db.execute("insert into prompts select 'p1', '', 1, '', '', 'x', null, 1, 0, 0, 3, null")
    db.commit()
    for query in ("prompt=p1", "prompt=p1&sort=slowest"):
        assert sorted(await ids(get, query)) == wanted
    page = (await get(f"{CALLS}?prompt=p1")).text
    assert "Calls with version 1 of the prompt of <bdi>(unknown)</bdi>" in page
    costs = "/-/agenttrace/costs"
    groups = (await get(f"{costs}.json?by=prompt")).json()["stack"]["groups"]
    assert "(unknown), version 1" in [one["label"] for one in groups]


async def test_without_a_table_of_versions_no_call_is_of_one(database, get):
    store(database, Record(call=call(1, **WITH_PROMPT)))
    db = sqlite3.connect(database)
    db.execute("drop table prompts")
    db.commit()
    assert await ids(get, "prompt=p%271") == await ids(get, "prompt=p%271&sort=slowest") == []
    assert "No such calls" in (await get(f"{CALLS}?prompt=p%271")).text


async def test_pages_of_a_version_continue_one_another(database, get, monkeypatch):
    monkeypatch.setattr(queries, "PAGE_SIZE", 2)
    store(database, *(Record(call=call(n, **WITH_PROMPT if n % 2 else {})) for n in range(10)))
    for sort in ("", "slowest"):
        seen, before = [], ""
        while len(seen) < 9:
            page = (await get(f"{CALLS}.json?prompt=p%271&sort={sort}&before={before}")).json()
            seen += [one["id"] for one in page["calls"]]
            before = page["older"]
            if not before:
                break
        assert sorted(seen) == [f"call-{n:03d}" for n in (1, 3, 5, 7, 9)]


def several(**odd) -> list[Record]:
    """Calls 1 to 8, the odd ones with *odd*, of two models in turns of two."""
    return [
        Record(call=call(n, model="m1" if n % 4 < 2 else "m'2", latency_ms=n * 7.5 % 40,
                         cost_nano_usd=n * 5 % 7, **(odd if n % 2 else {})))
        for n in range(1, 9)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query",
    ["", "provider=openai&model=m%272", "outcome=failed&agent=bot&kind=all", "session=s1",
     "model=m1&range=today", "outcome=ok", "prompt=p%271",
     "prompt=p%271&error=(none)&status=(none)", "status=429", "from=2020-01-01&to=2020-01-02"],
)  # fmt: skip
async def test_the_table_is_the_list(database, get, query):
    """Datasette's page of the table has the same calls in the same order, and no others."""
    odd = {"session_id": "s1", "outcome": "error", **WITH_PROMPT}
    old = Record(call=call(20, started_us=NOON - 100 * DAY_US))
    store(database, *several(**odd), Record(call=call(9, kind="telemetry")), old)
    page = (await get(f"{CALLS}?{query}")).text
    link = html.unescape(re.search(r'as <a href="([^"]+)">a table</a>', page)[1])
    answer = await get(link.replace("/llm_calls?", "/llm_calls.json?_shape=array&"))
    assert [row["id"] for row in answer.json()] == await ids(get, query)
    assert (await get(link)).status_code == 200


async def test_what_no_table_can_tell_leads_to_none(database, get):
    """Of a search, table and SQL are said to be without the words."""
    store(database, *several())
    for query in ("outcome=tool_failed", "tool=x", "sort=slowest"):
        assert ">a table<" not in (await get(f"{CALLS}?{query}")).text
    page = (await get(f"{CALLS}?q=x")).text
    assert "without the words as <a" in page
    assert ">a table<" in page


@pytest.mark.parametrize(
    "sort, of", [("slowest", lambda one: one["latency_ms"]),
                 ("dearest", lambda one: one["cost_nano_usd"])],
)  # fmt: skip
async def test_the_slowest_and_dearest_come_first_a_page_at_a_time(
    database, get, monkeypatch, sort, of
):
    """Also where many are alike; filters stay, and what has no figure comes last."""
    monkeypatch.setattr(queries, "PAGE_SIZE", 3)
    unknown = [Record(call=call(n, latency_ms=None, cost_nano_usd=None)) for n in range(30, 34)]
    store(database, *several(agent_id="bot"), *(Record(call=call(n, cost_nano_usd=3))
                                                for n in range(10, 14)), *unknown)  # fmt: skip
    seen, query = [], f"sort={sort}&provider=openai"
    for _ in range(7):
        found = (await get(f"{CALLS}.json?{query}")).json()
        seen += [(-1 if of(one) is None else of(one), one["id"]) for one in found["calls"]]
        page = html.unescape((await get(f"{CALLS}?{query}")).text)
        assert f"{CALLS}?" not in page or "sort=" in page
        if not found["older"]:
            break
        assert f"provider=openai&sort={sort}&before={found['older']}" in page
        query = f"sort={sort}&provider=openai&before={found['older']}"
    assert len(seen) == 16
    unknown_ids = [f"call-{n:03d}" for n in (33, 32, 31, 30)]
    assert [id_ for figure, id_ in seen if figure < 0] == unknown_ids
    assert seen == sorted(set(seen), reverse=True)


@pytest.mark.parametrize(
    "query, whose",
    [("sort=slowest", "3 calls alone"), ("sort=dearest&agent=bot", "3 calls of this agent alone"),
     ("sort=slowest&provider=openai", "3 calls of this provider alone"),
     ("sort=slowest&model=m1", "3 calls of this model alone"),
     ("sort=slowest&session=s", "3 calls of this session alone"),
     ("sort=slowest&outcome=failed", "3 calls that did not go well alone"),
     ("outcome=tool_failed", "3 calls alone")],
)  # fmt: skip
async def test_only_so_many_are_looked_at_and_the_page_says_since_when(
    database, get, monkeypatch, query, whose
):
    """What no index has is looked for among the newest; a time with fewer has all of them."""
    store(database, *(
        Record(call=call(n, agent_id="bot", session_id="s", outcome="error", latency_ms=float(n),
                         cost_nano_usd=n))
        for n in range(1, 9)
    ))  # fmt: skip
    assert (await get(f"{CALLS}.json?{query}")).json()["looked_since_us"] is None
    everything = await ids(get, query)
    monkeypatch.setattr(queries, "LOOKED_AT", 3)
    page = (await get(f"{CALLS}?{query}")).text
    assert f"Of the newest {whose}, since" in page
    assert (await get(f"{CALLS}.json?{query}")).json()["looked_since_us"] == NOON - 3_000_000
    assert await ids(get, query) == [one for one in everything if one <= "call-003"]
    link = html.unescape(re.search(r'as <a href="([^"]+)">SQL</a>', page)[1]).partition("#")[0]
    answer = await get(link.replace("/data?", "/data.json?_shape=array&"))
    assert [row["call_id"] for row in answer.json()] == await ids(get, query)


@pytest.mark.parametrize(
    "query, found",
    [("outcome=tool_failed", [1, 3]), ("outcome=tool_failed&tool=ls", [3]), ("tool=ls", [2, 3]),
     ("outcome=tool_failed&agent=bot", [1]), ("outcome=tool_failed&q=zebra", [1, 3])],
)  # fmt: skip
async def test_calls_whose_tools_failed(database, get, query, found):
    """Those that asked for the tool, by its name too."""
    for number, (name, failed, said) in enumerate(
        (("cat", True, {"agent_id": "bot"}), ("ls", False, {}), ("ls", True, {})), 1
    ):
        tool = StoredToolCall(tool_call_id="t", position=0, name=name, arguments="{}")
        result = StoredToolResult(call_id=f"call-{number:03d}", position=0, tool_call_id="t",
                                  at_us=NOON, result="x", is_error=failed)  # fmt: skip
        store(
            database,
            Record(
                call=call(number, n_tool_calls=1, **said), tool_calls=(tool,),
                messages=(words("user", "a zebra"),),
            ),
            Record(call=call(10 + number), tool_results=(result,)),
        )  # fmt: skip
    assert await ids(get, query) == [f"call-{n:03d}" for n in found]


async def test_an_error_in_a_stream_has_no_status_of_success(database, get):
    """People read 200 as all is well; the status is a fact among others on the call's page."""
    failed = {"outcome": "error", "error_type": "overloaded_error", "streamed": True}
    store(
        database,
        Record(call=call(1, status_code=200, **failed)),
        Record(call=call(2, status_code=529, **failed)),
    )
    for path in (CALLS, f"{CALLS}/call-001"):
        page = (await get(path)).text
        assert "error in the stream</span>" in page
        assert "error 200" not in page
    assert "error 529</span>" in (await get(CALLS)).text
    assert "<dt>HTTP status</dt><dd><bdi>200</bdi>" in (await get(f"{CALLS}/call-001")).text
