"""JSON that is legal, or that many write, and that no page may fail at."""

import json
import re
from typing import Any

import pytest

from agenttrace_mitm.model import Payload, Record, StoredToolCall
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.chains import Recent
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace.laid_out import laid_out
from tests.support.records import call, message

CALL = "/-/agenttrace/calls/odd"
HALF = '{"text": "great \\ud83c"}'
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def record(database: Any) -> Any:
    """Stores the call `odd` with a request, a reply and a tool call's arguments."""

    def stored(request: bytes, response: bytes = b"{}", arguments: str = "{}") -> None:
        db = open_database(database).conn
        tool = StoredToolCall(tool_call_id="t", position=0, name="say", arguments=arguments)
        parts = [{"type": "tool_call", "id": "t", "name": "say", "arguments": arguments}]
        said = message("said", 1, direction="out", content=parts)
        one = call(id="odd", session_id="s", trace_id="a" * 32)
        payload = Payload(request_headers=[], request_body=request, response_body=response)
        write_record(
            db,
            Record(call=one, messages=(message("hi"), said), tool_calls=(tool,), payload=payload),
            Recent(),
        )
        db.close()

    return stored


async def test_half_an_emoji_is_shown_as_it_was_escaped(record: Any, get: Any) -> None:
    """`JSON.stringify` writes it of a text that was cut within one."""
    record(HALF.encode(), HALF.encode(), HALF)
    for address in (CALL, f"{CALL}/changes", f"{CALL}/share?tier=3", "/data/payloads",
                    "/data/tool_calls", "/data/messages"):  # fmt: skip
        answer = await get(address)
        assert answer.status_code == 200, address
    page = (await get(CALL)).text
    assert page.count("great \\ud83c") >= 3


async def test_a_byte_order_mark_is_no_part_of_the_request(record: Any, get: Any) -> None:
    record(BOM + b'{"model": "gpt-5.5", "messages": []}')
    answer = await get(CALL)
    assert answer.status_code == 200
    assert "client.chat.completions.create" in answer.text


async def test_numbers_that_are_none_can_be_sent_again(record: Any, get: Any) -> None:
    record(b'{"model": "gpt-5.5", "messages": [], "extra": NaN, "more": 1e999}')
    page = (await get(CALL)).text
    assert "float(&#34;nan&#34;)" in page
    assert "float(&#34;inf&#34;)" in page
    command = re.search(r"(curl .*?)</code>", page, re.DOTALL)
    assert command
    assert "1e999" in command[1]
    assert "Infinity" not in command[1]


async def test_brackets_of_an_address_are_not_several(record: Any, get: Any) -> None:
    record(b"{}")
    assert "curl -g -X POST" in (await get(CALL)).text


def test_json_is_still_json() -> None:
    value = {"text": "great \ud83c", "whole": "\U0001f389"}
    assert json.loads(laid_out(value)) == value
    assert "\U0001f389" in laid_out(value)
