"""Events: what becomes of those that are sent to the API."""

import gzip
import json
from urllib.parse import quote

import pytest

from agenttrace_mitm.settings import Settings
from datasette_agenttrace import site
from datasette_agenttrace.api.events import Bucket
from tests.datasette_agenttrace.asked import Api
from tests.ingest.test_events import CALL, Recorder

pytestmark = pytest.mark.usefixtures("noon")


@pytest.fixture
async def recording(database, headers, serve):
    """A Datasette of our own server, with a recorder behind it."""
    home = database.parent
    (home / "run").mkdir()
    async with Recorder(home) as recorder:
        recorder.server.close()
        await recorder.service.listen(home / "run" / "recorder.sock")
        served = serve(database)
        settings = Settings(home=home, ingest_per_minute=500)
        site.announce(served, site.Server(home / "token", settings=settings))
        yield Api(served.client, headers)


async def test_events_come_back_as_calls_with_a_price(recording, database):
    said = await recording("/events", method="POST", json=CALL)
    assert said["status"] == "ok"
    again = await recording("/events", method="POST", json={"events": [CALL, CALL]})
    assert set(again["event_ids"]) == set(said["event_ids"])
    (event,) = (await recording("/events?agent_id=bot"))["events"]
    assert event["id"] == said["event_ids"][0]
    assert event["cost_usd"] == 0.0035
    assert event["tokens_total"] == 1100
    assert event["timestamp"] == "2026-11-20T10:00:00.000Z"


async def test_events_with_a_trace_make_one_that_can_be_read(recording):
    named = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "session_id": "s"}
    said = await recording("/events", method="POST", json=CALL | named)
    trace = await recording(f"/traces/{named['trace_id']}")
    assert (trace["session_id"], trace["how"]) == ("s", "client")
    [span] = (await recording(f"/spans?trace_id={named['trace_id']}"))["spans"]
    assert [span["call_id"]] == said["event_ids"]
    assert trace["root_span_id"] == span["span_id"]
    for page in (f"/-/agenttrace/traces/{named['trace_id']}", "/-/agenttrace/sessions/s"):
        answer = await recording.client.get(page, headers=recording.headers)
        assert answer.status_code == 200
        assert "Nothing to replay" not in answer.text


async def test_partial_and_wrong_batches(recording):
    bad = CALL | {"tokens_in": "many"}
    said = await recording("/events", 207, "POST", json=[CALL, bad])
    assert said["status"] == "partial"
    assert [one["success"] for one in said["results"]] == [True, False]
    assert (await recording("/events", 400, "POST", json=bad))["status"] == "error"
    for wrong in ([], 7, {"events": []}, {"events": [CALL], "more": 1}, [CALL] * 1001):
        await recording("/events", 400, "POST", json=wrong)


async def test_compressed_and_oversized_bodies(recording):
    send = {"method": "POST", "headers": {"content-encoding": "gzip"}}
    await recording("/events", 200, content=gzip.compress(json.dumps(CALL).encode()), **send)
    await recording("/events", 400, content=b"no gzip", **send)
    await recording("/events", 413, content=gzip.compress(b" " * 6_000_000), **send)
    await recording("/events", 413, "POST", content=b" " * 6_000_000)
    await recording("/events", 400, "POST", content=b"{")
    await recording("/events", 415, "POST", content=b"x", headers={"content-encoding": "br"})


async def test_agents_that_say_that_they_are_there(recording):
    await recording("/agents/register", method="POST", json={"agent_id": "a", "name": "mine"})
    agents = await recording("/agents")
    assert agents["agents"][0]["last_heartbeat_at"] is None
    await recording("/agents/heartbeat", method="POST", json={"agent_id": "a"})
    agent = await recording("/agents/a")
    assert agent["status"] == "healthy"
    assert agent["last_heartbeat_at"]
    assert (await recording("/events?event_type=heartbeat"))["events"][0]["agent_id"] == "a"
    await recording("/agents/nobody", 404)
    await recording("/agents/" + quote("\U0001f469" * 256), 404)


async def test_too_many_events_are_told_to_wait(recording):
    items = [CALL | {"id": f"n{n}"} for n in range(500)]
    await recording("/events", method="POST", json=items)
    said = await recording("/events", 429, "POST", json=items[:100])
    assert 0 < said["retry_after_ms"] <= 12_001


def test_a_batch_larger_than_a_minute_is_not_refused_for_ever():
    now = [0.0]
    bucket = Bucket(100, clock=lambda: now[0])
    assert bucket.take(250) == 0
    wait_ms = bucket.take(100)
    now[0] += wait_ms / 1000
    assert bucket.take(100) == 0
    assert wait_ms == pytest.approx(150_000, abs=2)


async def test_without_a_recorder_events_are_told_to_come_later(database, headers, serve):
    served = serve(database)
    site.announce(
        served, site.Server(database.parent / "token", settings=Settings(home=database.parent))
    )
    answer = await served.client.post("/api/events", json=CALL, headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
