"""Cells and figures as people read them."""

import json
import shutil
from urllib.parse import urlencode

import pytest

from agenttrace_mitm.model import LlmCall, Record, StoredMessage, StoredToolCall
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace import charts, figures

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def get(database, headers, serve):
    parts = [
        {"type": "text", "text": f"Hello {EVIL}"},
        {"type": "tool_call", "name": EVIL, "arguments": '{"a": 1}'},
        {"type": "tool_call_response", "content": [1, EVIL]},
        EVIL,
    ]
    record = Record(
        call=LlmCall(
            id="call/1?", started_us=1_795_219_200_123_456, provider="openai", host="h",
            method="POST", path="/", outcome="ok", kind="llm", cost_nano_usd=4_200_000,
            params={"stop": [EVIL], "more": "x" * 80},
        ),
        messages=(
            StoredMessage(
                fingerprint="f", position=0, direction="in", role="user", content=parts,
                text=EVIL, size=1,
            ),
        ),
        tool_calls=(
            StoredToolCall(tool_call_id="t", position=0, name="n", arguments=json.dumps([EVIL])),
        ),
    )  # fmt: skip
    db = open_database(database)
    write_record(db.conn, record)
    db.close()
    served = serve(database)

    async def got(path):
        answer = await served.client.get(path, headers=headers)
        assert answer.status_code == 200
        assert EVIL not in answer.text
        return answer.text

    return got


async def test_a_call(get):
    page = await get("/data/llm_calls")
    assert '<time datetime="2026-11-21T00:00:00.123Z"' in page
    assert "$0.0042</span>" in page
    assert "4200000 nano-dollars" in page
    assert '<pre class="at-json"' in page


async def test_messages_show_their_parts(get):
    page = await get("/data/messages")
    assert "<p>Hello &lt;script&gt;" in page
    assert "<b>tool_call " in page


async def test_links_to_calls_whose_ids_no_address_of_ours_can_hold(get):
    """They lead to the row, and the row does not promise a page."""
    page = await get("/data/slowest")
    assert 'href="/data/llm_calls/call~2F1~3F"' in page
    assert "This call's page" not in await get("/data/llm_calls/call~2F1~3F")
    await get("/data/llm_calls/call~2F1~3F")
    await get("/data/tool_calls")
    await get("/data/call_messages")


OURS = "/-/agenttrace"
CALL = "01a2285d-aa0f-7665-8000-000000018665"
SIDE = "01a2285d-aa0f-7665-8000-000000018666"


@pytest.fixture
def of_a_call(database, headers, serve):
    """Asks a server of a call with a tool, in a trace and a session, and of a side call."""
    known = {
        "started_us": 1_795_219_200_123_456, "provider": "openai", "host": "h", "method": "POST",
        "path": "/", "outcome": "ok", "model": "m1", "trace_id": "0" * 31 + "1", "span_id": "1",
        "session_id": "run/1.2", "latency_ms": 46025.646, "tokens_out": 7,
    }  # fmt: skip
    db = open_database(database)
    tool = StoredToolCall(tool_call_id="t", position=0, name="ls", arguments="{}")
    write_record(db.conn, Record(call=LlmCall(id=CALL, kind="llm", **known), tool_calls=(tool,)))
    write_record(db.conn, Record(call=LlmCall(id=SIDE, kind="auxiliary", **known)))
    db.conn.execute("insert into events (id, at_us, type) values (?, 5, 'x')", (CALL,))
    db.conn.commit()
    db.close()
    served = serve(database)

    async def got(path, **arguments):
        query = f"?{urlencode(arguments)}" if arguments else ""
        answer = await served.client.get(path + query, headers=headers)
        assert answer.status_code == 200
        return answer.text

    return got


def sql(text):
    """The page of a query."""
    return {"path": "/data", "sql": text}


@pytest.mark.parametrize(
    "asked",
    [
        {"path": "/data/llm_calls"}, {"path": f"/data/llm_calls/{CALL}"}, {"path": "/data/slowest"},
        {"path": "/data/slowest_calls"}, {"path": "/data/tool_calls"},
        sql("select id from llm_calls"), sql("select min(id) as last_call_id from llm_calls"),
    ],
)  # fmt: skip
async def test_calls_lead_to_their_pages(of_a_call, asked):
    """From every table, view and query that names one."""
    assert f'href="{OURS}/calls/{CALL}"' in await of_a_call(**asked)


async def test_the_row_of_a_call_says_where_its_page_is(of_a_call):
    page = await of_a_call(f"/data/llm_calls/{CALL}")
    assert f'<a href="{OURS}/calls/{CALL}">This call\'s page</a>' in page
    assert "This call" not in await of_a_call("/data/llm_calls")


async def test_traces_and_sessions_lead_to_their_pages(of_a_call):
    """A side call has a session, of which its calls are shown, and no trace of its own."""
    columns = "id, kind, trace_id, session_id"
    page = await of_a_call(**sql(f"select {columns} from llm_calls where kind = 'llm'"))
    assert f'href="{OURS}/traces/{"0" * 31}1"' in page
    assert f'href="{OURS}/sessions/run~2F1~2E2"' in page
    page = await of_a_call(**sql(f"select {columns} from llm_calls where kind <> 'llm'"))
    assert f"{OURS}/traces/" not in page
    assert f'href="{OURS}/calls?session=run%2F1.2&amp;range=90d"' in page


async def test_what_is_no_call_is_no_link(of_a_call):
    """Ids of events look the same; others do not."""
    for text in ("select id, at_us from events", "select 'gpt-5' as id", "select '' as trace_id"):
        assert f"{OURS}/calls/" not in await of_a_call(**sql(text))


async def test_times_have_units_and_are_exact_below(of_a_call):
    page = await of_a_call("/data/slowest_calls")
    assert '<span class="at-num" title="46025.646 ms">46.0\N{NO-BREAK SPACE}s</span>' in page


async def test_only_calls_of_the_database_of_our_pages_lead_there(
    of_a_call, database, headers, serve
):
    """Pages are about the first database; calls of a second one have rows alone."""
    other = database.with_name("other.db")
    shutil.copy(database, other)
    served = serve(database, other)
    page = await served.client.get("/other/slowest_calls", headers=headers)
    assert f'href="/other/llm_calls/{CALL}"' in page.text
    row = await served.client.get(f"/other/llm_calls/{CALL}", headers=headers)
    assert "This call" not in row.text
    assert f"{OURS}/sessions/" not in row.text


def test_what_is_not_known_is_said():
    """And what is known has no line break inside it."""
    assert figures.usd(None) == "unpriced"
    none = [figures.compact(None), figures.size(None), figures.duration(None)]
    assert {*none, figures.percent(0, 0)} == {figures.UNKNOWN}
    assert figures.duration(125_000) == "2\N{NO-BREAK SPACE}m\N{NO-BREAK SPACE}5\N{NO-BREAK SPACE}s"
    assert (figures.usd(0), figures.percent(1, 300)) == ("$0", "0.3%")


@pytest.mark.parametrize(
    "status, text",
    [(None, ""), (529, "529"), (400, "400"), (200, "in the stream"), (101, "in the stream")],
)
def test_what_stands_beside_an_error(status, text):
    assert figures.refusal(status) == text


def test_charts_leave_gaps_where_nothing_is_known():
    series = charts.Series("p50", "c0", [1.0, 2.0, None, 3.0, None, 4.0, 5.0])
    (line,) = charts.lines([str(n) for n in range(7)], [series], str).lines
    assert len(line.stretches) == 2
    assert len(line.dots) == 1


def test_stacks_stand_on_each_other():
    chart = charts.stacked(
        ["a"], [charts.Series("x", "c0", [30]), charts.Series("y", "c1", [20])], str
    )
    first, second = chart.bars
    assert second.y + second.height == pytest.approx(first.y)
    assert first.y + first.height == charts.HEIGHT
    assert chart.top == "50.0"
    assert charts.stacked([], [], str).empty


@pytest.mark.parametrize(
    "value, top", [(0, 1), (0.0028, 0.003), (1, 1), (5.8, 6), (7, 8), (9, 10), (2400, 3000)]
)
def test_scales_are_round(value, top):
    assert charts.ceiling(value) == pytest.approx(top)
