"""Turns on WebSockets: calls when they end, the same however often they are told."""

import json

import pytest

from agenttrace_mitm.frames import Ended, Message, Opened
from agenttrace_mitm.providers import understand
from agenttrace_mitm.recorder.assembly import Assembly

ID = "0198f000-0000-7000-8000-000000000001"


TRANSLATIONS = "/v1/realtime/translations?model=gpt-translate"


def opened(path="/v1/responses", provider="openai"):
    headers = [("upgrade", "websocket")]
    return Opened(
        ID, 1_000, provider, "h.example", "GET", path, "HTTP/1.1", headers, {}, {}, [], "proxy"
    )


def said(number, from_client, **event):
    data = json.dumps(event).encode()
    return Message(ID, number, 1_000 * (number + 2), from_client, True, data)


def ended(at_us=99_000, ending="complete"):
    return Ended(ID, at_us, ending, "", 0, [], 0)


def turns_of(assembly, frames):
    found = []
    for frame in frames:
        found += assembly.turns(frame)
        assembly.add(frame)
    return found


def create(number, words, stream="", **more):
    named = {"stream_id": stream} if stream else {}
    return said(
        number, True, type="response.create", model="gpt-x", input=[item(words)], **named, **more
    )


def item(words, role="user"):
    kind = "input_text" if role == "user" else "output_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": words}]}


def began(number, id_, stream=""):
    response = {"id": id_, "status": "in_progress"}
    return said(number, False, type="response.created", response=response, stream_id=stream)


def completed(number, id_, words, stream=""):
    response = {
        "id": id_,
        "status": "completed",
        "model": "gpt-x",
        "output": [item(words, "assistant")],
        "usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
    }
    return said(number, False, type="response.completed", response=response, stream_id=stream)


def test_streams_that_interleave_are_told_apart():
    """Two responses on one socket, each with its own request and answer."""
    found = turns_of(
        Assembly(),
        [
            opened(),
            create(0, "first", "a"),
            create(1, "second", "b"),
            began(2, "resp_b", "b"),
            began(3, "resp_a", "a"),
            completed(4, "resp_a", "one", "a"),
            completed(5, "resp_b", "two", "b"),
        ],
    )
    read = [understand(turn) for turn in found]
    assert [(u.ask.messages[0].parts[0].text, u.reply.text) for u in read] == [
        ("first", "one"),
        ("second", "two"),
    ]
    assert [u.reply.usage.total_tokens for u in read] == [12, 12]
    assert {u.dialect for u in read} == {"openai.responses"}


def test_increments_are_put_together_again():
    """A create that names the response before it reads everything said up to that one."""
    found = turns_of(
        Assembly(),
        [
            opened(),
            create(0, "first"),
            completed(1, "resp_1", "one"),
            create(2, "second", previous_response_id="resp_1"),
            completed(3, "resp_2", "two"),
            create(4, "third", previous_response_id="resp_2"),
            completed(5, "resp_3", "three"),
        ],
    )
    words = [part.text for m in understand(found[-1]).ask.messages for part in m.parts]
    assert words == ["first", "one", "second", "two", "third"]


def test_a_warm_up_is_no_turn_of_the_story():
    found = turns_of(
        Assembly(), [opened(), create(0, "x", generate=False), completed(1, "resp_0", "")]
    )
    assert [understand(turn).kind for turn in found] == ["auxiliary"]


def test_a_repeat_of_all_frames_gives_the_same_turns_once():
    """The same recorder passes them over; another one finds the same ids."""
    frames = [opened(), create(0, "first"), completed(1, "resp_1", "one")]
    assembly = Assembly()
    first = turns_of(assembly, frames)
    assert turns_of(assembly, frames) == []
    assert [turn.id for turn in turns_of(Assembly(), frames)] == [turn.id for turn in first]
    assert first[0].id != ID


@pytest.mark.parametrize(
    ("ending", "outcome"), [("complete", "client_left"), ("upstream_left", "upstream_left")]
)
def test_a_turn_under_way_is_told_when_the_socket_ends(ending, outcome):
    frames = [opened(), create(0, "first"), began(1, "resp_1"), ended(ending=ending)]
    (turn,) = turns_of(Assembly(), frames)
    assert turn.ending == outcome
    assert not understand(turn).reply.complete


def test_turns_of_a_capture_process_that_went_are_kept():
    assembly = Assembly()
    turns_of(assembly, [opened(), create(0, "first"), began(1, "resp_1")])
    lost = assembly.lost(5_000)
    assert sorted(exchange.turn for exchange in lost) == ["", "response"]


def test_an_error_answers_the_request_that_waits():
    refused = said(1, False, type="error", error={"code": "no_such_model", "message": "No."})
    (turn,) = turns_of(Assembly(), [opened(), create(0, "first"), refused])
    failure = understand(turn).reply.failure
    assert failure and (failure.code, failure.message) == ("no_such_model", "No.")


def test_messages_below_what_open_turns_need_are_settled():
    assembly = Assembly()
    frames = [opened(), create(0, "a", "a"), create(1, "b", "b"), completed(2, "r", "x", "b")]
    turns_of(assembly, frames)
    assert assembly.settled(ID) == 0
    turns_of(assembly, [completed(3, "q", "y", "a")])
    assert assembly.settled(ID) == 4


def test_sound_is_never_kept_as_text():
    """Its size is."""
    sound = "UklGRg" * 500
    found = turns_of(
        Assembly(),
        [
            opened("/v1/realtime?model=gpt-realtime"),
            said(0, True, type="input_audio_buffer.append", audio=sound),
            said(1, False, type="response.created", response={"id": "r"}),
            said(2, False, type="response.output_audio.delta", response_id="r", delta=sound),
            said(3, False, type="response.done", response={"id": "r", "status": "completed"}),
        ],
    )
    kept = found[0].request.data + found[0].response.data
    assert b"UklGRg" not in kept
    assert b'"delta_bytes":2250' in kept


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"[1]", b"null", b'{"type":7}', b"[" * 9000])
def test_messages_of_any_shape_are_survived(data):
    for path in ("/v1/responses", "/v1/realtime", "/v1/live/sessions/x", TRANSLATIONS, "/v1/else"):
        frames = [
            opened(path),
            *(Message(ID, n, 2_000 + n, n % 2 == 0, False, data) for n in (0, 1)),
        ]
        turns_of(Assembly(), [*frames, ended()])


def test_a_live_session_counts_its_last_seconds():
    """Seconds grow: adding them up would bill a session many times over."""
    usage = [
        said(n, False, type="session.usage.updated", usage={"seconds": n * 10}) for n in (1, 2)
    ]
    start = said(0, True, type="session.start", session={"model": "gpt-live-1"})
    closed = said(3, False, type="session.closed", reason="client", usage={"seconds": 25})
    (turn,) = turns_of(Assembly(), [opened("/v1/live/sessions/s"), start, *usage, closed])
    understood = understand(turn)
    assert understood.dialect == "openai.live"
    assert understood.ask.model == "gpt-live-1"
    assert understood.reply.usage.detail == {"session_seconds": 25}


LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
CALLED = {"toolCall": {"functionCalls": [{"id": "1", "name": "f", "args": {}}]}}
ANSWERED = {"toolResponse": {"functionResponses": [{"id": "1", "name": "f", "response": {}}]}}
SPOKEN = {"serverContent": {"modelTurn": {"parts": [{"text": "It is 4."}]}}}
OVER = {"serverContent": {"turnComplete": True}}


def counted(asked):
    return {"usageMetadata": {"promptTokenCount": asked, "totalTokenCount": asked}}


def live(*events, every_us=1_000):
    """Turns of a Live socket, each with the number of the message that told them."""
    asked = {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "2 + 2?"}]}]}}
    assembly = Assembly()
    turns_of(assembly, [opened(LIVE, "google")])
    found = []
    for number, event in enumerate(({"setup": {"model": "models/gemini-x"}}, asked, *events)):
        from_client = event.keys().isdisjoint(("serverContent", "toolCall", "usageMetadata"))
        data = json.dumps(event).encode()
        message = Message(ID, number, every_us * (number + 2), from_client, True, data)
        found += [(number, turn) for turn in turns_of(assembly, [message])]
    return found, turns_of(assembly, [ended()])


def test_usage_in_a_message_of_its_own_is_that_of_the_turn_that_ended():
    """It opens none, and takes no longer than the turn did."""
    found, left = live(CALLED, counted(10), ANSWERED, SPOKEN, OVER, counted(20))
    assert ([number for number, _ in found], left) == ([3, 7], [])
    told = [understand(turn).reply for _, turn in found]
    assert [reply.usage.input_tokens for reply in told] == [10, 20]
    assert [reply.usage.source for reply in told] == ["reported", "reported"]
    assert [reply.finish_reason for reply in told] == ["tool_calls", "stop"]
    assert [turn.ended_us - turn.started_us for _, turn in found] == [1_000, 2_000]


def test_a_live_turn_whose_end_counts_is_told_with_it():
    found, left = live(SPOKEN, OVER | counted(20), counted(20))
    assert ([number for number, _ in found], left) == ([3], [])
    assert understand(found[0][1]).reply.usage.input_tokens == 20


def test_usage_while_a_live_turn_is_under_way_is_its_own():
    found, left = live(SPOKEN, counted(5), SPOKEN, OVER | counted(20))
    assert ([number for number, _ in found], left) == ([5], [])
    assert understand(found[0][1]).reply.usage.input_tokens == 20


def test_a_live_turn_that_nobody_counts_is_told_all_the_same():
    """By the answer that follows, by a message two seconds later, or when the socket ends."""
    sound = {"realtimeInput": {"audio": {"data": "UklGRg"}}}
    [(number, turn)], [other] = live(CALLED, ANSWERED, SPOKEN)
    assert (number, understand(turn).reply.usage.source) == (4, "estimated")
    assert understand(other).reply.finish_reason == "aborted"
    [(number, turn)], left = live(SPOKEN, OVER, sound, sound, sound, every_us=900_000)
    assert (number, turn.ended_us, left) == (6, 900_000 * 5, [])
    found, [turn] = live(SPOKEN, OVER, sound)
    assert (found, understand(turn).reply.finish_reason) == ([], "stop")


def test_a_live_turn_that_waits_for_its_usage_keeps_its_messages():
    assembly = Assembly()
    events = [{"setup": {}}, {"clientContent": {"turns": []}}, SPOKEN, OVER]
    sent = [said(n, n < 2, **event) for n, event in enumerate(events)]
    assert turns_of(assembly, [opened(LIVE, "google"), *sent]) == []
    assert assembly.settled(ID) == 1
    assert len(turns_of(assembly, [said(4, False, **counted(7))])) == 1
    assert assembly.settled(ID) == 5


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("turn_detected", "aborted"), ("client_cancelled", "aborted"), ("", "error")],
)
def test_a_realtime_response_that_somebody_spoke_into_is_aborted(reason, finish):
    details = {"type": "cancelled", "reason": reason}
    response = {"id": "r", "status": "cancelled", "status_details": details, "output": []}
    [turn] = turns_of(
        Assembly(),
        [
            opened("/v1/realtime?model=gpt-realtime"),
            said(0, False, type="response.created", response={"id": "r"}),
            said(1, False, type="response.done", response=response),
        ],
    )
    reply = understand(turn).reply
    assert (reply.finish_reason, reply.finish_reasons) == (finish, ("cancelled",))


def translated(*, closed):
    """A translation session: what the server says, and the sound it is said about."""
    session = {"model": "gpt-translate-1", "audio": {"output": {"language": "pt"}}, "id": "s"}
    events = [
        said(0, False, type="session.created", session=session),
        said(1, True, type="session.input_audio_buffer.append", audio="UklGRg" * 50),
        said(2, False, type="session.input_transcript.delta", delta="Good "),
        said(3, False, type="session.output_audio.delta", delta="UklGRg" * 50),
        said(4, False, type="session.output_transcript.delta", delta="Bom "),
        said(5, False, type="session.input_transcript.delta", delta="morning"),
        said(6, False, type="session.output_transcript.delta", delta="dia"),
    ]
    last = said(7, False, type="session.closed") if closed else ended(ending="upstream_left")
    return [opened(TRANSLATIONS), *events, last]


@pytest.mark.parametrize("closed", [True, False])
def test_a_translation_session_is_a_call_of_its_own(closed):
    """What was heard and what was made of it; nobody says how long it was."""
    (turn,) = turns_of(Assembly(), translated(closed=closed))
    understood = understand(turn)
    assert (understood.dialect, understood.operation) == ("openai.translation", "audio")
    assert understood.ask.model == "gpt-translate-1"
    assert understood.ask.params == {"language": "pt"}
    [heard] = understood.ask.messages
    assert (heard.role, heard.parts[0].text) == ("user", "Good morning")
    [spoken] = understood.reply.messages
    assert spoken.parts[0].text == "Bom dia"
    assert understood.reply.complete is closed
    assert understood.reply.usage.input_tokens is understood.reply.usage.raw is None
    assert b"UklGRg" not in turn.request.data + turn.response.data


def test_a_translation_that_never_began_is_no_call():
    assert turns_of(Assembly(), [opened(TRANSLATIONS), said(0, True, type="x"), ended()]) == []


def test_a_socket_that_nobody_can_read_is_told_once():
    """At its first message, with what a blind spot needs; one that is known is none."""
    assembly = Assembly()
    told = []
    for frame in (opened("/v1/unheard/of?x=1"), said(0, True, a=1), said(1, False, b=2), ended()):
        assembly.turns(frame)
        told.append(assembly.unread(frame))
        assembly.add(frame)
    assert [bool(each) for each in told] == [False, True, False, False]
    assert told[1].host == "h.example"
    assert turns_of(assembly, [opened(), said(0, True, type="x")]) == []
    assert assembly.unread(said(0, True, type="x")) is None
