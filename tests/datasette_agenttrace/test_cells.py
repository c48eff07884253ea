"""Cells and figures as people read them."""

import json

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


async def test_links_to_calls(get):
    page = await get("/data/slowest")
    assert 'href="/data/llm_calls/call~2F1~3F"' in page
    await get("/data/llm_calls/call~2F1~3F")
    await get("/data/tool_calls")
    await get("/data/call_messages")


@pytest.mark.parametrize(
    "nano, text",
    [
        (None, "unpriced"), (0, "$0"), (1, "<$0.0001"), (4_200_000, "$0.0042"),
        (99_940_000, "$0.0999"), (580_000_000, "$0.58"), (12_300_000_000, "$12.30"),
        (1_234_500_000_000, "$1,234"), (-4_200_000, "-$0.0042"), (99_990_000, "$0.10"),
        (999_999_000_000, "$1,000"),
    ],
)  # fmt: skip
def test_money(nano, text):
    assert figures.usd(nano) == text


@pytest.mark.parametrize(
    "number, text",
    [(None, "\N{EN DASH}"), (0, "0"), (950, "950"), (1234, "1.2k"), (999_960, "1.0M"),
     (150_000, "150k"), (34_540_000, "34.5M"), (2e9, "2.0B")],
)  # fmt: skip
def test_counts(number, text):
    assert figures.compact(number) == text


@pytest.mark.parametrize(
    "ms, text",
    [(None, "\N{EN DASH}"), (0.4, "0 ms"), (850, "850 ms"), (999.6, "1.0 s"), (1234, "1.2 s"),
     (125_000, "2 m 5 s")],
)  # fmt: skip
def test_durations(ms, text):
    assert figures.duration(ms) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    "part, whole, text", [(0, 0, "\N{EN DASH}"), (0, 9, "0%"), (1, 300, "0.3%"), (12, 100, "12%")]
)
def test_shares(part, whole, text):
    assert figures.percent(part, whole) == text


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
