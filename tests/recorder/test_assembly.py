"""Exchanges from frames, in any order and however they end."""

import gzip

from msgspec import structs

from agenttrace_mitm.frames import (
    Ended,
    Opened,
    RequestData,
    RequestEnded,
    RequestTail,
    Responded,
    ResponseData,
    ResponseTail,
)
from agenttrace_mitm.model import Tail
from agenttrace_mitm.recorder.assembly import LOST, Assembly
from agenttrace_mitm.wire.encodings import content_of
from agenttrace_mitm.wire.sse import SseDecoder


def _opened(id_: str = "a") -> Opened:
    caller = {"address": "127.0.0.1:5", "pid": "42", "agent": "me"}
    return Opened(
        id_, 10, "openai", "api.openai.com", "POST", "/v1/x?y=1", "HTTP/1.1", [("A", "b")],
        caller, {"k": "v"}, [(8, "d")], "proxy",
    )  # fmt: skip


def _ended(id_: str = "a", ending: str = "complete", size: int = 4, dropped: int = 0) -> Ended:
    return Ended(id_, 90, ending, "", size, [], dropped)  # type: ignore[arg-type]  # parametrized


def test_an_exchange_is_put_together() -> None:
    """Bytes, moments and caller are all there."""
    assembly = Assembly()
    frames = [
        _opened(), RequestData("a", 11, b"ab"), RequestData("a", 12, b"c"),
        RequestEnded("a", 12, 3),
        Responded("a", 20, 200, [("X", "y")]), ResponseData("a", 21, b"12"),
        ResponseData("a", 30, b"34"),
    ]  # fmt: skip
    assert [assembly.add(frame) for frame in frames] == [None] * len(frames)
    exchange = assembly.add(_ended())
    assert exchange
    assert (exchange.path, exchange.query) == ("/v1/x", "y=1")
    assert (exchange.request.data, exchange.request.complete) == (b"abc", True)
    assert (exchange.response.data, exchange.response.arrivals) == (b"1234", ((21, 2), (30, 4)))
    assert (exchange.started_us, exchange.first_byte_us, exchange.ended_us) == (10, 20, 90)
    assert (exchange.caller.pid, exchange.caller.agent) == (42, "me")
    assert exchange.response_headers.get("x") == "y"
    assert exchange.notes == ()


def test_the_response_may_end_before_the_request() -> None:
    """An early 413: the request body never came to its end."""
    assembly = Assembly()
    for frame in (_opened(), RequestData("a", 11, b"ab"), Responded("a", 20, 413, [])):
        assembly.add(frame)
    exchange = assembly.add(_ended(size=0))
    assert exchange
    assert not exchange.request.complete


def test_an_exchange_told_again_starts_again() -> None:
    """After a reconnect capture repeats the frames from the first."""
    assembly = Assembly()
    for frame in (_opened(), RequestData("a", 11, b"ab"), _opened(), RequestData("a", 11, b"ab")):
        assembly.add(frame)
    exchange = assembly.add(_ended())
    assert exchange
    assert exchange.request.data == b"ab"


def test_frames_of_an_exchange_never_opened_are_left_out() -> None:
    """The rest of something that was recorded before a restart."""
    assembly = Assembly()
    assert assembly.add(ResponseData("gone", 1, b"x")) is None
    assert assembly.add(_ended("gone")) is None


def test_dropped_bytes_are_noted_and_the_size_is_the_wires() -> None:
    """A copy cut by a bound says so."""
    assembly = Assembly()
    for frame in (_opened(), Responded("a", 20, 200, []), ResponseData("a", 21, b"1234")):
        assembly.add(frame)
    exchange = assembly.add(_ended(size=1_000, dropped=996))
    assert exchange
    assert exchange.response.size == 1_000
    assert exchange.response.is_cut
    assert exchange.notes == ("996 body bytes were not kept",)


def test_when_capture_goes_what_was_whole_is_complete() -> None:
    """A reply with all its announced bytes ended; another one was interrupted."""
    assembly = Assembly()
    length = [("content-length", "4")]
    for id_, data in (("whole", b"1234"), ("half", b"12")):
        assembly.add(_opened(id_))
        assembly.add(Responded(id_, 20, 200, length))
        assembly.add(ResponseData(id_, 21, data))
    endings = {e.id: (e.ending, e.ended_us, e.notes) for e in assembly.lost(99)}
    assert endings == {"whole": ("complete", 21, (LOST,)), "half": ("interrupted", 21, (LOST,))}
    assert assembly.lost(99) == []


def test_running_exchanges_are_those_opened_before() -> None:
    """Only long ones are shown before they end."""
    assembly = Assembly()
    assembly.add(_opened())
    assert [e.id for e in assembly.running(11)] == ["a"]
    assert assembly.running(10) == []


def test_who_leaves_after_the_last_byte_cut_nothing() -> None:
    """The reply had all its announced bytes when the client went."""
    assembly = Assembly()
    answered = Responded("a", 20, 200, [("content-length", "4")])
    for frame in (_opened(), answered, ResponseData("a", 21, b"1234")):
        assembly.add(frame)
    exchange = assembly.add(_ended(ending="client_left"))
    assert exchange
    assert exchange.ending == "complete"
    assert exchange.response.complete


def test_after_a_gap_a_stream_goes_on_with_whole_events() -> None:
    """Neither the event before the gap nor the one after it is put together from two halves."""
    assembly = Assembly()
    for frame in (
        _opened(),
        Responded("a", 20, 200, [("content-type", "text/event-stream")]),
        ResponseData("a", 21, b'data: {"a": 1}\n\nevent: b\nda'),
        ResponseTail("a", 80, 1000, b'k": 7}\n\ndata: {"z": 9}\n\n'),
    ):
        assembly.add(frame)
    exchange = assembly.add(_ended(size=1_026, dropped=972))
    assert exchange
    decoder = SseDecoder()
    events = [*decoder.feed(exchange.response.data), *decoder.close()]
    assert [event.data for event in events] == [b'{"a": 1}', b'{"z": 9}']
    assert exchange.response.complete


def test_a_tail_without_a_gap_is_more_of_the_same() -> None:
    """The stream was only a little longer than what is kept."""
    assembly = Assembly()
    stream = [("content-type", "text/event-stream")]
    for frame in (
        _opened(), Responded("a", 20, 200, stream), ResponseData("a", 21, b"data: 1"),
        ResponseTail("a", 80, 7, b"2\n\n"),
    ):  # fmt: skip
        assembly.add(frame)
    exchange = assembly.add(_ended(size=10))
    assert exchange
    assert exchange.response.data == b"data: 12\n\n"


def test_the_end_of_a_request_is_kept_with_its_beginning() -> None:
    """A model that is named behind the messages is known."""
    assembly = Assembly()
    json = [("content-type", "application/json")]
    for frame in (
        structs.replace(_opened(), headers=json), RequestData("a", 11, b'{"messages": ["x'),
        RequestTail("a", 12, 500, b'x"], "model": "m"}', 484), RequestEnded("a", 12, 518),
    ):  # fmt: skip
        assembly.add(frame)
    exchange = assembly.add(_ended(dropped=484))
    assert exchange
    assert exchange.request.data == b'{"messages": [null], "model": "m"}'
    assert exchange.request.is_cut


def test_the_end_of_a_compressed_body_stays_beside_its_beginning() -> None:
    """It is decoded already; both are put together where the beginning is."""
    assembly = Assembly()
    kind = [("content-type", "application/json"), ("content-encoding", "gzip")]
    coded = gzip.compress(b'{"id": 1, "a": ["' + bytes(range(97, 123)) * 99)
    for frame in (
        _opened(), Responded("a", 20, 200, kind), ResponseData("a", 21, coded[:-9]),
        ResponseTail("a", 80, 9_000, b'x"], "usage": 7}', 9_000),
    ):  # fmt: skip
        assembly.add(frame)
    exchange = assembly.add(_ended(size=1_000))
    assert exchange
    assert exchange.response.tail == Tail(b'x"], "usage": 7}', 9_000, 9_000)
    said = content_of(exchange.response, exchange.response_headers)
    assert (said.data, said.notes) == (b'{"id": 1, "a": [null], "usage": 7}', ())


def test_a_caller_that_was_found_out_later() -> None:
    """The process behind a short call may be known at its end only; what was said first stays."""
    assembly = Assembly()
    assembly.add(_opened())
    late = {"agent": "another", "process": "agent.py", "cwd": "/work"}
    exchange = assembly.add(Ended("a", 90, "complete", "", 4, [], 0, late))
    assert exchange
    assert (exchange.caller.process, exchange.caller.cwd) == ("agent.py", "/work")
    assert (exchange.caller.agent, exchange.caller.pid) == ("me", 42)
