"""The Calls page and the page of one call: what they find, hide, cut and link."""

import html
import re
import sqlite3
from urllib.parse import quote

import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.model import (
    LlmCall,
    Payload,
    Record,
    StoredMessage,
    StoredToolCall,
    StoredToolResult,
)  # fmt: skip
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace.asking import DAY_US
from datasette_agenttrace.calls import one, queries, snippets
from datasette_agenttrace.calls.queries import calls_asked, load
from datasette_agenttrace.calls.terms import terms_of
from tests.datasette_agenttrace.test_costs import HOSTILE, NOON, TODAY, Page

CALLS = "/-/agenttrace/calls"


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    monkeypatch.setattr(clock, "now_us", lambda: NOON)


def call(number: int, **said) -> LlmCall:
    given = {
        "id": f"call-{number:03d}", "started_us": NOON - 1_000_000 * number, "kind": "llm",
        "provider": "openai", "host": "api.openai.com", "method": "POST", "path": "/v1/responses",
        "model": "m1", "outcome": "ok", "billing": "metered", "latency_ms": 100.0,
        "dialect": "openai.responses", "operation": "chat", "ttfb_ms": 20.0, "ttft_ms": 40.0,
    }  # fmt: skip
    return LlmCall(**(given | said))


def words(role: str, text: str, position: int = 0, direction: str = "in", **said) -> StoredMessage:
    given = {
        "fingerprint": f"{role}:{text[:80]}", "role": role, "position": position,
        "direction": direction, "content": [{"type": "text", "content": text}], "text": text,
        "size": len(text),
    }  # fmt: skip
    return StoredMessage(**(given | said))


def store(path, *records: Record) -> None:
    db = open_database(path)
    for record in records:
        write_record(db.conn, record)
    db.close()


async def ids(get, query: str = "") -> list[str]:
    answer = await get(f"{CALLS}.json?{query}")
    assert answer.status_code == 200, answer.text
    page = await get(f"{CALLS}?{query}")
    assert page.status_code == 200
    found = [one["id"] for one in answer.json()["calls"]]
    assert all(f'id="call-{id_}"' in page.text for id_ in found)
    return found


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
    )
    assert await ids(get, query) == [f"call-{n:03d}" for n in sorted(found)]


@pytest.mark.parametrize(
    "typed, match",
    [
        ("two words", '"two" "words"'), ('"a phrase" x', '"a phrase" "x"'), ("begin*", '"begin"*'),
        ("NEAR(a b)", '"NEAR(a" "b)"'), ('"', ""), ("*", ""), ("a-b OR c", '"a-b" "OR" "c"'),
    ],
)  # fmt: skip
def test_typed_words_are_words(typed, match):
    """Whatever is typed is searched for, and never FTS syntax."""
    assert " ".join(str(term) for term in terms_of(typed)) == match


async def test_search_finds_who_said_it_newest_first(database, get):
    store(
        database,
        Record(call=call(9), messages=(words("user", "the zebra crossed"),)),
        Record(call=call(5), messages=(words("user", "no animals here"),)),
        Record(call=call(1), messages=(words("assistant", "a zebra, twice", 1, "out"),)),
    )
    assert await ids(get, "q=zebra") == ["call-001", "call-009"]
    assert await ids(get, "q=zeb*+crossed") == ["call-009"]
    assert await ids(get, "q=%22crossed+zebra%22") == []
    assert await ids(get, "q=%22") == []
    assert await ids(get, "q=zebra&provider=mistral") == []
    assert await ids(get, "q=zebra%27%29%3B+drop") == []


def test_a_common_word_is_searched_back_from_where_the_page_is(database, monkeypatch):
    """With more matches than are looked at, the newest come first, and pages go on to the rest."""
    monkeypatch.setattr(queries, "MOST_MATCHES", 40)
    monkeypatch.setattr(queries, "PAGE_SIZE", 10)
    days = 30
    store(
        database,
        *(
            Record(call=call(n, started_us=NOON - (days - n // 5) * DAY_US // 2 + n),
                   messages=(words("user", f"common {n}"),))
            for n in range(150)
        ),
    )  # fmt: skip
    db = sqlite3.connect(database)
    seen, before = [], ""
    while True:
        page = load(db, calls_asked({"q": "common", "before": before}, TODAY))
        seen += [found.id for found in page.calls]
        assert not page.searched_all
        if not page.older:
            break
        before = page.older
    assert seen == [f"call-{n:03d}" for n in range(149, -1, -1)][: len(seen)]
    assert len(seen) > 100


async def test_no_page_passes_over_all_calls(database):
    """Every filter by itself, searched and not, is an index's work."""
    asks = [
        {}, {"provider": "p"}, {"model": "m"}, {"agent": "a"}, {"session": "s"}, {"q": "word"},
        {"outcome": "failed"}, {"outcome": "in_flight"}, {"before": "5.x"}, {"kind": "all"},
        {"q": "word", "provider": "p", "before": "5.x"}, {"q": "word", "agent": "a"},
        {"outcome": "tool_failed", "tool": "t"}, {"sort": "slowest", "before": "5.x"},
        *({"sort": "dearest", name: "x"} for name in ("agent", "provider", "model", "session")),
        {"sort": "slowest", "outcome": "failed"}, {"q": "word", "sort": "dearest"},
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
    "query", ["", "provider=openai&model=m1", "outcome=failed&agent=bot&kind=all", "session=s1"]
)
async def test_the_list_as_sql_is_the_list(database, get, query):
    """Datasette's page of the query finds the same calls, filters filled in."""
    given = {"session_id": "s1", "agent_id": "bot", "outcome": "error"}
    several = (call(n, **(given if n % 2 else {})) for n in range(1, 9))
    store(database, *(Record(call=one) for one in several))
    page = (await get(f"{CALLS}?{query}")).text
    link = html.unescape(re.search(r'as <a href="([^"]+)">SQL</a>', page)[1]).partition("#")[0]
    answer = await get(link.replace("/data?", "/data.json?_shape=array&"))
    assert [row["call_id"] for row in answer.json()] == await ids(get, query)


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
     "model=m1&range=today", "outcome=ok", "from=2020-01-01&to=2020-01-02"],
)  # fmt: skip
async def test_the_table_is_the_list(database, get, query):
    """Datasette's page of the table has the same calls in the same order, and no others."""
    odd = {"session_id": "s1", "agent_id": "bot", "outcome": "error"}
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
    """Also where many are alike; filters stay, and what has no figure is left out."""
    monkeypatch.setattr(queries, "PAGE_SIZE", 3)
    unknown = Record(call=call(30, latency_ms=None, cost_nano_usd=None, outcome="in_flight"))
    store(database, *several(agent_id="bot"), *(Record(call=call(n, cost_nano_usd=3))
                                                for n in range(10, 14)), unknown)  # fmt: skip
    seen, query = [], f"sort={sort}&provider=openai"
    for _ in range(6):
        found = (await get(f"{CALLS}.json?{query}")).json()
        seen += [(of(one), one["id"]) for one in found["calls"]]
        page = html.unescape((await get(f"{CALLS}?{query}")).text)
        assert f"{CALLS}?" not in page or "sort=" in page
        if not found["older"]:
            break
        assert f"provider=openai&sort={sort}&before={found['older']}" in page
        query = f"sort={sort}&provider=openai&before={found['older']}"
    assert len(seen) == 12
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


def marked(one) -> list[str]:
    return [one["said"][start:end] for start, end in one["marks"]]


LONG_ABOUT = "nothing of the kind " * 500


@pytest.mark.parametrize(
    "q, text, said",
    [
        ("zebra", LONG_ABOUT + "the Zebra crossed " + LONG_ABOUT, ["Zebra"]),
        ("zeb*", LONG_ABOUT + "two zebras", ["zebras"]),
        ('"zebra crossing"', "zebra and crossing; " * 90 + "zebra crossing", ["zebra crossing"]),
        ("resume", "son résumé", ["résumé"]),
        ("cat", "concatenate " * 9 + "a cat.", ["cat"]),
        ("one two", "two " + LONG_ABOUT + " one", ["two"]),
        ("a-b", "so\n\n  a-b it is", ["a-b"]), ("<b>", "<i>is <b>bold</b>", ["b", "b"]),
    ],
)  # fmt: skip
async def test_a_search_shows_where_it_matches(database, get, q, text, said):
    """In the message that matched, which is not the last one, however long it is."""
    later = words("user", "and then something else", 1)
    store(database, Record(call=call(1), messages=(words("user", text), later)))
    address = f"?q={quote(q)}"
    (one,) = (await get(f"{CALLS}.json{address}")).json()["calls"]
    assert marked(one) == said
    assert len(one["said"]) < 200
    assert one["marks"][0][0] < 25
    page = (await get(CALLS + address)).text
    assert f"<mark>{said[0]}</mark>" in page
    assert "something else" not in page


async def test_a_search_shows_no_words_that_a_call_does_not_keep(database, get):
    """The reply matches too, of a call that may show what the user said alone; another may."""
    said = (words("user", "a zebra, said the user"), words("assistant", "zebra it is", 1, "out"))
    store(
        database,
        Record(call=call(5), messages=said),
        Record(call=call(1, privacy_tier=2), messages=said),
    )
    strict, free = (await get(f"{CALLS}.json?q=zebra")).json()["calls"]
    assert (strict["said_by"], strict["said"]) == ("user", "a zebra, said the user")
    assert (free["said_by"], free["said"]) == ("assistant", "zebra it is")


async def test_a_search_is_not_held_up_by_what_is_long(database, get, monkeypatch):
    """A message of ten megabytes, or more than a page may open, is named and not opened."""
    store(
        database,
        Record(call=call(1), messages=(words("user", "zebra " * 1_700_000),)),
        Record(call=call(2), messages=(words("user", "a zebra " * 60_000),)),
        Record(call=call(3), messages=(words("user", "one zebra"),)),
    )
    page = (await get(f"{CALLS}?q=zebra")).text
    assert page.count("user, in a long message") == 1
    assert "one <mark>zebra</mark>" in page
    monkeypatch.setattr(snippets, "MOST", 100)
    page = (await get(f"{CALLS}?q=zebra")).text
    assert page.count("user, in a long message") == 2
    assert "one <mark>zebra</mark>" in page


def test_marks_of_others_are_none(database):
    """Characters that mark matches are taken out of texts, and do not end one."""
    store(database, Record(call=call(1), messages=(words("user", "\x02a\x03 zebra\x03 \x02 b"),)))
    db = sqlite3.connect(database)
    (found,) = snippets.snippets(db, [1], terms_of("zebra")).values()
    assert found == ("a zebra b", ((2, 7),))


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


async def test_a_call_says_how_it_ended_and_what_it_asked_for_in_json(database, get):
    params = {"stream_options": {"include_usage": True}, "stop": "<s>", "top_k": 5, "x": False}
    store(database, Record(call=call(1, params=params, finish_reason="tool_calls")))
    page = html.unescape((await get(f"{CALLS}/call-001")).text)
    assert "finish: tool calls" in page
    for said in ('{"include_usage": true}', "<bdi><s></bdi>", "<bdi>5</bdi>", "<bdi>false</bdi>"):
        assert said in page


REPLY = words("assistant", "", 2, "out", content=[
    {"type": "reasoning", "content": "they want files"},
    {"type": "tool_call", "id": "t1", "name": "ls", "arguments": '{"path":"."}'},
])  # fmt: skip
TALK = (
    Record(
        call=call(9, n_tool_calls=1),
        messages=(
            words("system", "be brief", 0), words("user", "list the files", 1),
            REPLY,
        ),
        tool_calls=(StoredToolCall(tool_call_id="t1", position=0, name="ls", arguments="{}"),),
        payload=Payload(
            request_headers=[["content-type", "application/json"], ["x-secret-ish", "no"]],
            response_headers=[["x-request-id", "r1"]],
            request_body=b'{"model":"m1","it\'s":1}', response_body=b'{"ok":true}',
            arrivals=[[20_000, 5], [90_000, 11]],
        ),
    ),
    Record(
        call=call(5, continues_call_id="call-009"),
        messages=(
            REPLY.model_copy(update={"direction": "in"}),
            words("tool", "a.py", 3, content=[
                {"type": "tool_call_response", "id": "t1", "response": "a.py", "is_error": True}
            ]),
            words("assistant", "There is one.", 4, "out"),
        ),
        tool_results=(
            StoredToolResult(call_id="call-009", position=0, tool_call_id="t1", at_us=NOON,
                             result="a.py", is_error=True),
        ),
    ),
)  # fmt: skip


async def test_a_call_tells_its_whole_story(database, get):
    store(database, *TALK)
    found = (await get(f"{CALLS}/call-005.json")).json()
    assert [(t["role"], t["position"], t["call_id"]) for t in found["turns"]] == [
        ("system", 0, "call-009"), ("user", 1, "call-009"), ("assistant", 2, "call-005"),
        ("tool", 3, "call-005"), ("assistant", 4, "call-005"),
    ]  # fmt: skip
    page = (await get(f"{CALLS}/call-005")).text
    for said in ("be brief", "list the files", "they want files", "a.py", "There is one."):
        assert said in page
    assert f'href="{CALLS}/call-009"' in page
    added = page.index('<li id="added"')
    assert page.index("list the files") < added < page.index("they want files")
    assert 'href="#added"' in page

    before = (await get(f"{CALLS}/call-009")).text
    assert f'href="{CALLS}/call-005"' in before, "continued by, and answered by"
    assert "There is one." not in before
    assert 'href="#added"' not in before, "all of it is its own"
    assert "x-request-id" in before
    assert "first content: 20\N{NO-BREAK SPACE}ms" in before


async def test_curl_repeats_the_request_without_the_key(database, get):
    store(database, *TALK)
    page = (await get(f"{CALLS}/call-009")).text
    command = re.search(r"(curl -g -X POST.*?)</code>", page, re.DOTALL)[1]
    assert "https://api.openai.com/v1/responses" in command
    assert "$OPENAI_API_KEY" in command
    assert "content-type: application/json" in command
    assert "x-secret-ish" not in command


@pytest.mark.parametrize("path", ["nowhere", "call-009/messages/99", "call-005/request"])
async def test_what_is_not_there_is_not_found(database, get, path):
    store(database, *TALK)
    assert (await get(f"{CALLS}/{path}")).status_code == 404


async def test_raw_bodies_are_text_that_nothing_runs(database, get):
    store(database, *TALK)
    answer = await get(f"{CALLS}/call-009/request")
    assert answer.text == '{"model":"m1","it\'s":1}'
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("tier, words_kept", [(1, ()), (2, ("question",))])
async def test_content_shows_by_the_tier_of_the_call_itself(database, get, tier, words_kept):
    """The same messages were stored whole by another call: that opens nothing here."""
    said = (
        words("user", "question secretly"), words("assistant", "answer secretly", 1, "out"),
        words("assistant", "", 2, "out", fingerprint="r", choice=1, content=[
            {"type": "reasoning", "content": "thought secretly"}]),
    )  # fmt: skip
    store(
        database,
        Record(call=call(5), messages=said),
        Record(call=call(1, privacy_tier=tier), messages=said),
    )
    with sqlite3.connect(database) as db:
        db.execute("insert into payloads (call_id, request_body) values ('call-001', x'0041')")
    numbers = [row[0] for row in sqlite3.connect(database).execute("select id from messages")]
    paths = ["", "?history=all", ".json", "/request", *(f"/messages/{n}" for n in numbers)]
    shown = "".join([(await get(f"{CALLS}/call-001{path}")).text for path in paths])
    listed = (await get(CALLS)).text.split("call-005")[0]
    for word in ("question", "answer", "thought"):
        assert (word in shown) == (word in words_kept), word
        assert (word in listed) == (word in words_kept), word
    assert (await get(f"{CALLS}/call-001/request")).status_code == 404
    assert await ids(get, "q=answer") == ["call-005"]
    found = ["call-001", "call-005"] if words_kept else ["call-005"]
    assert await ids(get, "q=question") == found


async def test_hostile_content_is_inert(database, get):
    """Scripts, markup, control characters and text that runs backwards are only shown."""
    bad = HOSTILE + "\u202e\x00\x07 </pre></details>"
    store(
        database,
        Record(
            call=call(1, model=bad, agent_id=bad, session_id=bad, error_message=bad, notes=[bad],
                      params={bad: bad}, provider="'\"<", outcome="error", error_type=bad,
                      usage_detail={bad: bad}, path="/v1/$(touch x)'"),
            messages=(
                words("user", bad),
                words(bad, bad, 1, content=[
                    {"type": bad, "raw": bad}, {"type": "tool_call", "id": bad, "name": bad,
                     "arguments": bad}, {"type": "blob", "mime_type": bad}, {"type": "text"}, 7,
                ]),
            ),
            tool_calls=(StoredToolCall(tool_call_id=bad, position=0, name=bad, arguments=bad),),
            payload=Payload(request_headers=[[bad, bad]], request_body=bad.encode()),
        ),
    )  # fmt: skip
    for path in (CALLS, f"{CALLS}/call-001", f"{CALLS}?q=alert", f"{CALLS}?q=%3Cscript%3E"):
        answer = await get(path)
        assert answer.status_code == 200
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        for tag, attributes in Page(answer.text).tags:
            assert tag != "img", path
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            if tag == "script":
                assert attributes.get("src", "").startswith("/-/agenttrace/static/")
    assert (await get(f"{CALLS}/call-001.json")).status_code == 200


async def test_ten_megabytes_do_not_kill_the_page(database, get):
    """Cut, with a link to the whole."""
    huge = "long story " * 950_000
    payload = Payload(request_headers=[], request_body=huge.encode(), response_body=b"{}")
    store(database, Record(call=call(1), messages=(words("user", huge),), payload=payload))
    page = (await get(f"{CALLS}/call-001")).text
    assert len(page) < 200_000
    link = re.search(rf'href="({CALLS}/call-001/messages/\d+)"', page)[1]
    assert huge in (await get(link)).text
    assert (await get(f"{CALLS}/call-001/request")).text == huge
    assert (await get(CALLS)).status_code == 200


async def test_a_long_history_is_shown_from_its_end(database, get):
    many = tuple(words("user", f"turn {n}.", n) for n in range(120))
    store(database, Record(call=call(1), messages=many))
    page = (await get(f"{CALLS}/call-001")).text
    assert "turn 119." in page
    assert "turn 1." not in page
    assert "Show 80 earlier messages" in page
    assert "turn 1." in (await get(f"{CALLS}/call-001?history=all")).text


async def test_long_words_from_before_are_folded(database, get):
    """What a call says itself is open: instructions and history would push it off the screen."""
    rules, question, answer = (f"{name} " * 500 for name in ("rule", "question", "answer"))
    store(database, Record(
        call=call(1),
        messages=(
            words("system", rules), words("user", question, 1),
            words("assistant", answer, 2, "out"),
        ),
    ))  # fmt: skip
    page = (await get(f"{CALLS}/call-001")).text
    folded = re.findall(r'<details class="at-long">.*?</details>', page, re.S)
    assert len(folded) == 1
    assert rules in folded[0]
    assert "2,500 characters" in folded[0]
    assert question in page
    assert answer in page


@pytest.mark.parametrize("outcome", ["in_flight", "cancelled", "interrupted"])
async def test_calls_without_figures_have_pages(database, get, outcome):
    store(database, Record(call=call(1, outcome=outcome, latency_ms=None, ttft_ms=None)))
    assert (await get(f"{CALLS}/call-001")).status_code == 200
    assert await ids(get) == ["call-001"]


async def test_everything_wants_the_token(database, serve):
    store(database, *TALK)
    served = serve(database)
    for path in (CALLS, f"{CALLS}/call-009", f"{CALLS}/call-009/request", f"{CALLS}.json"):
        assert (await served.client.get(path)).status_code == 401
