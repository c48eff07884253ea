"""A reply says the same whether it was streamed or not, and so does its row.

The pairs are written by hand, one for each dialect that streams (tests/support/dialects.py).
"""

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Arrival
from agenttrace_mitm.providers import understand
from tests.support.dialects import TWINS
from tests.support.recording import Recording

# How it travelled, not what it said.
TRAVEL = {
    "path",
    "streamed",
    "started_us",
    "ended_us",
    "started_at",
    "ended_at",
    "latency_ms",
    "ttfb_ms",
    "ttft_ms",
    "request_bytes",
    "response_bytes",
    "chunks",
}
TALK = """
select direction, position, choice, role, content, text
from call_messages join messages on messages.id = message_id
where call_id = '1' order by direction, position, choice
"""
TOOLS = """
select position, tool_call_id, name, arguments, server from tool_calls
where call_id = '1' order by position
"""


def recorded(exchange):
    """Row, messages and tool calls of *exchange*."""
    recording = Recording()
    recording.take(exchange)
    row = {name: value for name, value in recording.row().items() if name not in TRAVEL}
    return row, recording.rows(TALK), recording.rows(TOOLS)


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_a_stream_and_its_whole_twin_give_the_same_row(twin):
    whole, streamed = (recorded(twin.exchange(streamed=streamed)) for streamed in (False, True))
    assert streamed == whole
    row, talk, _ = whole
    assert row["dialect"] == twin.dialect
    assert row["outcome"] == "ok"
    assert [part["direction"] for part in talk] == ["in", "out"]


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_a_stream_means_the_same_in_single_bytes(twin):
    """Only when the first content came may differ."""
    came = twin.exchange(streamed=True)
    data = came.response.data
    single = tuple(Arrival(came.started_us + n, n) for n in range(1, len(data) + 1))
    drip = replace(came, response=replace(came.response, arrivals=single))
    one, other = understand(came), understand(drip)
    assert replace(one.reply, first_content_us=None) == replace(other.reply, first_content_us=None)
    assert one.reply.first_content_us is not None
    assert replace(one, reply=other.reply) == other
