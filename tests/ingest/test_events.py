"""Events that programs send: judged, priced, told apart, and written by the recorder."""

import asyncio
import time

import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.ingest.events import read
from agenttrace_mitm.ingest.handover import MOST_KEPT, Handover, NotTaken
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.pricing.calls import cost_columns
from agenttrace_mitm.recorder import link
from agenttrace_mitm.recorder.service import Service
from agenttrace_mitm.store import KnownContent, Spool, Writer, open_database
from agenttrace_mitm.traces import Fingerprinter

NOW = 1_795_219_200_000_000
CALL = {
    "id": "c1", "agent_id": "bot", "event_type": "llm_call", "provider": "OpenAI",
    "model": "gpt-4o-2024-08-06", "tokens_in": 1000, "tokens_out": 100, "latency_ms": 1500,
    "status_code": 200, "timestamp": "2026-11-20T12:00:00+02:00",
}  # fmt: skip


def one(**values):
    batch = read([CALL | values], NOW)
    assert batch.status == 200, batch.results
    return batch.calls[0].stored(3)


def test_a_call_is_priced_by_us():
    call = one(cost_usd=99)
    assert call.cost_nano_usd == 1000 * 2500 + 100 * 10_000
    assert (call.tokens_total, call.provider, call.source) == (1100, "openai", "sdk")
    assert call.started_us == 1_795_168_800_000_000
    assert call.ended_us - call.started_us == 1_500_000


def test_a_name_without_letters_is_none():
    """Else sums, which know no empty names, count it elsewhere than lists do."""
    assert one(response_model="").response_model is None
    assert one(model="").model is None


def test_a_price_of_the_client_is_taken_where_there_is_no_other():
    call = one(model="my-own", cost_usd=0.25)
    assert (call.cost_nano_usd, call.price_source) == (250_000_000, "client")
    assert one(model="my-own").unpriced_reason == "unknown_model"


@pytest.mark.parametrize(
    "values",
    [
        {}, {"model": "unheard-of"}, {"provider": None}, {"tokens_in": None, "tokens_out": None},
        {"operation": "moderation"}, {"status_code": 500}, {"cache_read_tokens": 2000},
        {"provider": "anthropic", "model": "claude-sonnet-4-5", "cache_write_tokens": 10},
    ],
)  # fmt: skip
def test_a_call_is_priced_as_it_will_be_again(values):
    """What `db reprice` says of the row is what it was written with."""
    call = one(**values)
    again = cost_columns(call)
    assert {name: getattr(call, name) for name in again} == again


def test_failures_are_failures():
    assert one(status_code=500).outcome == "error"
    assert one(error_message="boom").outcome == "error"
    assert one().outcome == "ok"


def test_the_same_id_is_the_same_row_and_another_agents_is_not():
    assert one().id == one(timestamp="2026-11-20T10:00:00Z").id == one(timestamp=1795168800000).id
    assert one().id != one(agent_id="other").id
    assert one(id=None).id != one(id=None).id


def test_ids_of_traces_take_our_form():
    uuid = "5f0C7f80-1111-4222-8333-123456789abc"
    call = one(trace_id=uuid, span_id="any text", parent_span_id="00f067aa0ba902b7")
    assert call.trace_id == uuid.replace("-", "").lower()
    assert len(call.span_id) == 16
    assert call.parent_span_id == "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tokens_in": -1}, "tokens_in"),
        ({"tokens_in": 10**30}, "tokens_in"),
        ({"colour": "red"}, "colour"),
        ({"agent_id": ""}, "agent_id"),
        ({"event_type": "other"}, "event_type"),
        ({"timestamp": None}, "needs a timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2126-01-01"}, "timestamp"),
        ({"timestamp": 10**18}, "timestamp"),
        ({"cost_usd": float("nan")}, "cost_usd"),
        ({"tags": {"half": "\ud800"}}, "tags"),
    ],
)
def test_what_is_wrong_costs_itself_alone(wrong, words):
    batch = read([CALL | wrong, CALL], NOW)
    assert batch.status == 207
    assert [result.success for result in batch.results] == [False, True]
    assert words in batch.results[0].error
    assert len(batch.calls) == 1


@pytest.mark.parametrize("item", [None, 7, "x", [], {}])
def test_what_is_no_event_is_said(item):
    assert read([item], NOW).status == 400


# ------------------------------------------------------------------ through the recorder


class Recorder:
    """A recorder on a socket, in this process."""

    def __init__(self, folder, tier=3) -> None:
        self.path = folder / "data.db"
        self.socket = folder / "recorder.sock"
        self.db = open_database(self.path).conn
        known = KnownContent(self.db)
        pipeline = Pipeline(tier, Fingerprinter(b"key"), known)
        loop = asyncio.get_running_loop()
        self.writer = Writer(
            self.path, Spool(folder / "spool"),
            lambda ids: loop.call_soon_threadsafe(self.service.saved, ids),
        )  # fmt: skip
        self.service = Service(pipeline, known, self.writer)

    async def __aenter__(self):
        self.server = await self.service.listen(self.socket)
        self.writer.start()
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.service.finish()
        await asyncio.to_thread(self.writer.stop)
        self.db.close()

    def count(self, table):
        return self.db.execute(f"select count(*) from {table}").fetchone()[0]


async def hand_over(batch, socket, patience_s=10.0):
    """As a web process that ends after it."""
    way = Handover(socket, patience_s)
    try:
        await way.give(batch)
    finally:
        way.close()


async def test_events_are_stored_once_however_often_they_come(tmp_path):
    beat = {"id": "h", "agent_id": "bot", "event_type": "heartbeat", "timestamp": 1795168800000}
    async with Recorder(tmp_path) as recorder:
        items = [CALL | {"id": f"c{n}"} for n in range(100)] + [beat, beat]
        for _ in range(3):
            await hand_over(read(items, NOW), recorder.socket)
        assert recorder.count("llm_calls") == 100
        assert recorder.count("events") == 1
        assert recorder.db.execute("select sum(calls) from rollup_day").fetchone()[0] == 100


async def test_secrets_and_the_tier_apply_to_events_too(tmp_path):
    secret = "sk-proj-" + "a1B2" * 12
    bad = CALL | {"error_message": f"key {secret}", "tags": {"note": secret}}
    told = {"agent_id": "bot", "event_type": "custom", "message": secret, "tags": {"k": secret}}
    for tier in (1, 3):
        folder = tmp_path / str(tier)
        folder.mkdir()
        async with Recorder(folder, tier) as recorder:
            await hand_over(read([bad, told], NOW), recorder.socket)
            words = recorder.db.execute("select error_message, privacy_tier from llm_calls")
            message, stored_tier = words.fetchone()
            assert stored_tier == tier
            assert (message is None) == (tier == 1)
            assert (recorder.db.execute("select message from events").fetchone()[0] is None) == (
                tier == 1
            )
        for file in folder.iterdir():
            if file.is_file():
                assert secret.encode() not in file.read_bytes()


async def test_a_way_is_kept_open_and_survives_the_recorder(tmp_path):
    """One connection serves batch after batch; where it leads nowhere any more, a new one does."""
    way = Handover(tmp_path / "recorder.sock")
    for number in range(2):
        async with Recorder(tmp_path) as recorder:
            for event in range(3):
                await way.give(read([CALL | {"id": f"{number} {event}"}], NOW))
                assert len(recorder.service._serving) == 1
            assert recorder.count("llm_calls") == 3 * (number + 1)
    with pytest.raises(NotTaken):
        await way.give(read([CALL], NOW))
    way.close()


async def test_batches_at_once_have_a_connection_each_and_few_are_kept(tmp_path):
    async with Recorder(tmp_path) as recorder:
        way = Handover(recorder.socket)
        batches = [read([CALL | {"id": f"{number}"}], NOW) for number in range(3 * MOST_KEPT)]
        await asyncio.gather(*map(way.give, batches))
        assert recorder.count("llm_calls") == len(batches)
        async with asyncio.timeout(60):
            while len(recorder.service._serving) > MOST_KEPT:
                await asyncio.sleep(0.01)
        way.close()


async def test_an_acknowledgement_that_comes_late_is_not_taken_for_the_next_batch(tmp_path):
    """Who did not wait for it hangs up."""
    async with Recorder(tmp_path) as recorder:
        way = Handover(recorder.socket, patience_s=0.3)
        recorder.writer._commit_here = _locked
        beat = {"id": "h", "agent_id": "a", "event_type": "heartbeat", "timestamp": 1795168800000}
        with pytest.raises(NotTaken):
            await way.give(read([beat], NOW))
        assert not way._kept
        del recorder.writer._commit_here
        way.close()


async def test_a_batch_does_not_wait_for_the_gathering_of_calls(tmp_path, monkeypatch):
    """Small batches on a connection that is kept: each is heard as it comes."""
    monkeypatch.setattr(link, "GATHER_S", 30.0)
    async with Recorder(tmp_path) as recorder:
        way = Handover(recorder.socket)
        began = time.perf_counter()
        for number in range(3):
            await way.give(read([CALL | {"id": f"{number}"}], NOW))
        assert time.perf_counter() - began < link.GATHER_S
        way.close()


async def test_no_recorder_takes_nothing(tmp_path):
    with pytest.raises(NotTaken):
        await hand_over(read([CALL], NOW), tmp_path / "nobody.sock")


async def test_a_recorder_that_cannot_write_events_does_not_say_that_it_did(tmp_path):
    """Calls of a locked database are spooled and safe; events wait for the client's next try."""
    async with Recorder(tmp_path) as recorder:
        recorder.writer._commit_here = _locked
        beat = {"id": "h", "agent_id": "a", "event_type": "heartbeat", "timestamp": 1795168800000}
        with pytest.raises(NotTaken):
            await hand_over(read([beat], NOW), recorder.socket, patience_s=0.5)
        del recorder.writer._commit_here
        await hand_over(read([beat], NOW), recorder.socket)
        assert recorder.count("events") == 1


def _locked(*_):
    import sqlite3

    raise sqlite3.OperationalError("database is locked")


async def test_nonsense_on_the_socket_hurts_nobody(tmp_path):
    from agenttrace_mitm.frames import Submitted, encode

    async with Recorder(tmp_path) as recorder:
        reader, writer = await asyncio.open_unix_connection(recorder.socket)
        writer.write(encode(Submitted("x", b"[{}]", b"[]")))
        assert await reader.read() == b""
        writer.close()
        await hand_over(read([CALL], clock.now_us()), recorder.socket)
        assert recorder.count("llm_calls") == 1


@pytest.mark.parametrize(
    "field", ["tokens_in", "cost_usd", "latency_ms", "ttft_ms", "status_code", "reasoning_tokens"]
)
@pytest.mark.parametrize("value", ["200", True])
def test_a_number_is_a_number(field, value):
    """As the schema says: words and truths are not taken for one."""
    event = {"agent_id": "a", "event_type": "llm_call", field: value}
    assert field in read([event], NOW).results[0].error
    assert read([event | {field: 200.0}], NOW).status == 200
