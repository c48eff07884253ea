"""Whatever a peer sends, the call is understood, recorded and written: never lost, never an error.

Good wire of every dialect is mutated at any depth (see `hostile`).  In tests the pipeline lets
an exception out instead of falling back, so each of them shows.
"""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agenttrace_mitm.model import Body
from agenttrace_mitm.wire.jsonio import encode
from tests.support.dialects import TWINS
from tests.support.recording import Recording

from .hostile import ATOMS, events_of, framed, mutated, spoiled, written

EXAMPLES = int(os.environ.get("AGENTTRACE_FUZZ_EXAMPLES", "25"))

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="AGENTTRACE_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


def kept(exchange):
    """Records *exchange*, and asks that the row can be read again, JSON columns included."""
    recording = Recording()
    recording.take(exchange)
    row = recording.row()
    assert row["host"] == exchange.host
    for name in ("params", "usage_detail", "usage_raw", "finish_reasons", "notes", "tool_names"):
        json.loads(row[name] or "null")
    checks = "select json_valid(coalesce(content, '[]')) as fine from messages"
    assert all(found["fine"] for found in recording.rows(checks))
    return row


def answered(exchange, body, request=None):
    response = replace(exchange.response, data=body, size=len(body))
    changed = replace(exchange, response=response)
    return changed if request is None else replace(changed, request=Body.of(request))


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data())
@fuzzed
def test_a_mutated_reply_is_recorded(twin, data):
    reply = written(data.draw(mutated(json.loads(twin.whole))))
    status = data.draw(st.sampled_from((200, 200, 400)))
    exchange = answered(twin.exchange(streamed=False), data.draw(spoiled(reply)))
    kept(replace(exchange, status=status))


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data())
@fuzzed
def test_a_mutated_stream_is_recorded(twin, data):
    events = events_of(twin)
    changed = data.draw(mutated([value for _, value in events]))
    named = [
        (events[n][0] if n < len(events) else "", value)
        for n, value in enumerate(changed if isinstance(changed, list) else [changed])
    ]
    body = data.draw(spoiled(framed(twin, named)))
    kept(answered(twin.exchange(streamed=True), body))


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data())
@fuzzed
def test_a_mutated_request_is_recorded(twin, data):
    request = data.draw(mutated(RICH | twin.request))
    exchange = twin.exchange(streamed=False)
    kept(answered(exchange, twin.whole, data.draw(spoiled(written(request)))))


@pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: repr(atom)[:20])
def test_a_body_that_is_nothing_but_an_atom_is_recorded(atom):
    for twin in TWINS:
        for streamed in (False, True):
            exchange = twin.exchange(streamed=streamed)
            kept(answered(exchange, written(atom), written(atom)))


@given(data=st.data())
@fuzzed
def test_what_was_decoded_can_be_written_down(data):
    """`encode` gives text that SQLite's JSON reads, whatever `decode` took."""
    from agenttrace_mitm.wire.jsonio import NotJson, decode

    try:
        value = decode(data.draw(spoiled(written(data.draw(mutated(RICH))))))
    except NotJson:
        return
    text = encode(value)
    text.encode()
    assert text == "" or decode(text.encode()) == value


# Every kind of content that some request carries, so that each of them meets every wrong shape.
_RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a"}]}
_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
_URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RICH = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": {}}]},
        {"role": "user", "content": ["x", _URL, _IMAGE, {"type": "document", "source": {}}]},
        {"role": "assistant", "content": None, "tool_calls": [_CALL], "refusal": "no"},
        {"role": "tool", "tool_call_id": "c", "content": "a"},
        {"role": "user", "content": [_RESULT, {"type": "thinking", "thinking": "hm"}]},
    ],
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "a"},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "a"}]},
    ],
    "contents": [
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thought": True}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "a"}]},
    "generationConfig": {"temperature": 1, "thinkingConfig": {"thinkingBudget": 1}},
    "chat_history": [{"role": "CHATBOT", "message": "a", "tool_calls": [{"name": "f"}]}],
    "tool_results": [{"call": {"name": "f", "parameters": {}}, "outputs": [{"a": 1}]}],
    "tools": [{"type": "function", "function": {"name": "f"}}, {"name": "g", "input_schema": {}}],
    "system": [{"type": "text", "text": "a"}],
    "metadata": {"user_id": "u"},
    "temperature": 0.5,
    "stop": ["a"],
    "stream": False,
}
