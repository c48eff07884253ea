"""The page of one call: what it tells, hides, cuts and links."""

import html
import re
import sqlite3

import pytest

from agenttrace_mitm.model import (
    Payload,
    Record,
    StoredToolCall,
    StoredToolResult,
)  # fmt: skip
from tests.datasette_agenttrace.listed import CALLS, call, ids, store, words
from tests.datasette_agenttrace.scene import HOSTILE, NOON, Page

pytestmark = pytest.mark.usefixtures("noon")


async def test_a_call_says_how_it_ended_and_what_it_asked_for_in_json(database, get):
    params = {"stream_options": {"include_usage": True}, "stop": "<s>", "top_k": 5, "x": False}
    store(database, Record(call=call(1, params=params, finish_reason="tool_calls")))
    page = html.unescape((await get(f"{CALLS}/call-001")).text)
    assert "finish: tool calls" in page
    for said in ('{"include_usage": true}', "<bdi><s></bdi>", "<bdi>5</bdi>", "<bdi>false</bdi>"):
        assert said in page


async def test_a_cost_says_what_it_leaves_out(database, get):
    short = ["fee_not_included:containers", "usage_mismatch"]
    store(database, Record(call=call(1, cost_nano_usd=5, price_source="list 1", notes=short)))
    assert "list 1, without the fee for containers</dd>" in (await get(f"{CALLS}/call-001")).text


async def test_a_small_cost_is_told_to_its_last_digit(database, get):
    split = {"input": 6_000, "output": 375}
    store(database, Record(call=call(1, cost_nano_usd=6_375, cost_detail=split)))
    page = (await get(f"{CALLS}/call-001")).text
    assert '<span title="$0.000006375">&lt;$0.0001</span>' in page
    for said in ("$0.000006", "$0.000000375", "$0.000006375"):
        assert f"<dd><bdi>{said}</bdi></dd>" in page


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
    assert "first content after 40\N{NO-BREAK SPACE}ms" in before
    assert "to the first byte: 20\N{NO-BREAK SPACE}ms" in before
    assert "then to the first content: 20\N{NO-BREAK SPACE}ms" in before, "a stretch, not a moment"


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
