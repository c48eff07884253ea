"""The traps of the wire that a simple parser falls into: one test each, through to the row.

Each docstring names what breaks when the trap is not seen.  Longer tests of the same dialects
are in tests/providers.
"""

import base64
import hashlib
import json
import tracemalloc

import brotli
import pytest
import zstandard
from msgspec.structs import replace

from agenttrace_mitm.capture.policy import without_secrets
from agenttrace_mitm.model import Arrival, Body, SocketMessage, ToolCallPart
from agenttrace_mitm.providers import understand
from agenttrace_mitm.wire.sse import SseDecoder
from tests.e2e import wire
from tests.providers import test_gemini_grpc as gemini_grpc
from tests.providers.exchanges import frame, sse, told
from tests.support.dialects import AT_US, TWINS, exchange
from tests.support.recording import Recording

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/gemini-3.8-flash"


def recorded(*exchanges):
    """Their rows, in order."""
    recording = Recording()
    for n, one in enumerate(exchanges):
        recording.take(replace(one, id=str(n)))
    return [recording.row(str(n)) for n in range(len(exchanges))]


def row(provider, target, body, request=None, **more):
    """The row of an exchange; objects become JSON, bytes are a stream."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/event-stream" if isinstance(body, bytes) else "application/json"
    asked = json.dumps(request or {}).encode()
    [found] = recorded(exchange(provider, target, [data], asked, content_type=kind, **more))
    return found


def twin(dialect):
    return next(twin for twin in TWINS if twin.dialect == dialect)


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "gpt-5.5", "choices": [choice]} | more


# --- OpenAI chat -------------------------------------------------------------------------------


def test_usage_after_the_finish_reason_is_counted():
    """Whoever closes the call at `finish_reason` misses its usage: that comes with no choices."""
    found = row("openai", CHAT, b"".join(wire.openai_chat_stream()))
    assert (found["tokens_in"], found["tokens_out"], found["usage_source"]) == (120, 30, "reported")
    assert (found["finish_reason"], found["outcome"]) == ("tool_calls", "ok")


def test_a_stream_without_usage_is_an_estimate_and_says_so():
    """Whoever takes missing usage for none shows a free call; whoever fills it in, a false one."""
    stream = sse(chunk({"content": "Good morning"}), chunk({}, "stop"), "[DONE]")
    found = row("openai", CHAT, stream, {"model": "gpt-5.5", "messages": []})
    assert found["usage_source"] == "estimated"
    assert (found["tokens_in"], found["tokens_out"], found["cost_nano_usd"]) == (None, None, None)
    assert json.loads(found["usage_detail"])["estimated_output_tokens"] > 0


def test_interleaved_tool_calls_join_by_index_even_inside_an_escape():
    r"""Fragments of two calls alternate, and one is cut in the middle of `\u00e9`."""

    def piece(index, **function):
        new = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return chunk({"tool_calls": [{"index": index, "function": function, **new}]})

    stream = sse(
        piece(0, name="ls", arguments=""),
        piece(1, name="cat", arguments='{"path": "\\u00'),
        piece(0, arguments='{"dir"'),
        piece(1, arguments='e9"}'),
        piece(0, arguments=': "."}'),
        chunk({}, "tool_calls"),
        "[DONE]",
    )
    calls = told("openai", CHAT, stream).reply.tool_calls
    made = [(call.id, call.name, json.loads(call.arguments)) for call in calls]
    assert made == [("call_0", "ls", {"dir": "."}), ("call_1", "cat", {"path": "é"})]


def test_events_are_the_same_wherever_the_network_cuts():
    """CR, LF and CRLF, comments, events of several lines, a cut inside a line end or a letter."""
    stream = (
        b"\xef\xbb\xbf: hello\r\n\r\n"
        b'event: a\ndata: {"x":\ndata: 1}\n\n'
        b"data: caf\xc3\xa9\r\r"
        b": keep-alive\n\nid: 7\nretry: 9\ndata:\r\n\r\n"
        b"data: last\r\n\r\n"
    )
    whole = SseDecoder()
    events = [*whole.feed(stream), *whole.close()]
    texts = [b'{"x":\n1}', "café".encode(), b"", b"last"]
    assert [(e.name, e.data) for e in events] == [("a", texts[0]), *(("", t) for t in texts[1:])]
    for cut in range(len(stream) + 1):
        parts = SseDecoder()
        fed = [*parts.feed(stream[:cut]), *parts.feed(stream[cut:]), *parts.close()]
        assert fed == events, cut


# --- OpenAI Responses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "status", "reason", "outcome"),
    [
        ("response.completed", "completed", "stop", "ok"),
        ("response.incomplete", "incomplete", "length", "ok"),
        ("response.failed", "failed", "error", "error"),
    ],
)
def test_every_end_of_a_response_counts_and_reading_it_again_does_not(
    event, status, reason, outcome
):
    """A background answer is streamed, then fetched by its id: billed once."""
    usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    said = [{"type": "message", "role": "assistant", "content": []}]
    response = {"id": "resp_1", "object": "response", "status": status, "model": "gpt-5.5"}
    response |= {"output": said, "usage": usage}
    if status == "incomplete":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    if status == "failed":
        response["error"] = {"code": "server_error", "message": "sorry"}
    stream = sse({"type": event, "response": response}, named=True)
    made = exchange("openai", RESPONSES, [stream], content_type="text/event-stream")
    fetched = exchange("openai", f"{RESPONSES}/resp_1", [json.dumps(response).encode()])
    first, again = recorded(made, replace(fetched, method="GET"))
    assert (first["tokens_in"], first["tokens_out"]) == (100, 20)
    assert (first["finish_reason"], first["outcome"]) == (reason, outcome)
    assert (again["tokens_in"], again["cost_nano_usd"], again["duplicate_of"]) == (None, None, "0")


# --- WebSockets --------------------------------------------------------------------------------


def turns(provider, target, *messages):
    """The calls of a socket on which *messages* crossed; those of the client are in a list."""
    from agenttrace_mitm.providers import turns_of
    from agenttrace_mitm.recorder.sockets import Socket

    opened = replace(exchange(provider, target, []), method="GET", status=101)
    socket = Socket(opened, turns_of(opened))
    found = []
    for n, said in enumerate(messages):
        from_client = isinstance(said, list)
        value = json.dumps(said[0] if from_client else said).encode()
        found += socket.add(SocketMessage(n, AT_US + n, from_client, value))
    return [*found, *socket.close("complete")]


def test_interleaved_lanes_of_one_socket_are_calls_of_their_own():
    """Two `stream_id`s at once; the second call of a lane sends only what is new."""

    def create(lane, text, **more):
        said = [{"role": "user", "content": text}]
        return [{"type": "response.create", "stream_id": lane, "model": "m", "input": said, **more}]

    def event(lane, kind, id_, read, text=""):
        said = {"type": "output_text", "text": text}
        item = {"type": "message", "role": "assistant", "content": [said]}
        usage = {"input_tokens": read, "output_tokens": 1, "total_tokens": read + 1}
        response = {"id": id_, "output": [item] if text else [], "model": "m"}
        response |= {"status": "completed", "usage": usage} if text else {"status": "in_progress"}
        return {"type": kind, "stream_id": lane, "response": response}

    begun, ended = "response.created", "response.completed"
    found = turns(
        "openai",
        RESPONSES,
        create("a", "warm", generate=False),
        event("a", ended, "r0", 1, "-"),
        create("a", "one"),
        create("b", "two"),
        event("b", begun, "r2", 0),
        event("a", begun, "r1", 0),
        event("b", ended, "r2", 20, "B"),
        event("a", ended, "r1", 10, "A"),
        create("a", "three", previous_response_id="r1"),
        event("a", ended, "r3", 30, "C"),
    )
    read = [understand(turn) for turn in found]
    assert [u.kind for u in read] == ["auxiliary", "llm", "llm", "llm"]
    assert [(u.reply.text, u.reply.usage.input_tokens) for u in read[1:]] == [
        ("B", 20),
        ("A", 10),
        ("C", 30),
    ]
    history = ["".join(p.text for p in m.parts) for m in read[3].ask.messages]
    assert history == ["one", "A", "three"]


def test_sound_on_a_socket_is_counted_by_modality_and_never_kept_as_text():
    """Deltas of sound are base64: text that is no text, and most of the bytes."""
    sound = base64.b64encode(bytes(3_000)).decode()
    usage = {
        "total_tokens": 30,
        "input_tokens": 20,
        "output_tokens": 10,
        "input_token_details": {"text_tokens": 5, "audio_tokens": 15, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 2, "audio_tokens": 8},
    }
    spoken = {"type": "output_audio", "transcript": "Hello"}
    item = {"id": "i", "type": "message", "role": "assistant", "content": [spoken]}
    response = {"id": "resp_1", "status": "completed", "output": [item], "usage": usage}
    delta = {"response_id": "resp_1", "item_id": "i", "output_index": 0, "content_index": 0}
    [call] = turns(
        "openai",
        "/v1/realtime?model=gpt-realtime",
        [{"type": "response.create"}],
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        delta | {"type": "response.output_audio.delta", "delta": sound},
        {"type": "response.done", "response": response},
    )
    reply = understand(call).reply
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (20, 10)
    assert (reply.usage.detail["input_audio"], reply.usage.detail["output_audio"]) == (15, 8)
    assert sound[:100].encode() not in call.response.data
    assert sound[:100] not in str(reply.messages)


# --- Anthropic ---------------------------------------------------------------------------------


def test_cumulative_usage_is_not_added_up_and_an_empty_input_is_an_object():
    """Two `message_delta`s repeat the count; a `ping` comes between; then the stream breaks."""
    start = {"usage": {"input_tokens": 50, "output_tokens": 1}, "model": "claude-sonnet-5-5"}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": tool},
        {"type": "ping"},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 7}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}},
    ]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    stream = sse(*events, error, named=True)
    found = row("anthropic", MESSAGES, stream)
    assert (found["tokens_in"], found["tokens_out"]) == (50, 9)
    assert (found["outcome"], found["error_type"]) == ("error", "overloaded_error")
    assert found["usage_source"] == "partial"
    [call] = told("anthropic", MESSAGES, stream).reply.tool_calls
    assert call == ToolCallPart("toolu_1", "now", "{}")


def test_cache_writes_searches_and_compaction_are_told_apart():
    """Two lifetimes at two prices, searches on top, and a step that is billed beside the total."""
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 4000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 50,
        "server_tool_use": {"web_search_requests": 2},
        "iterations": [
            {"type": "compaction", "input_tokens": 500, "output_tokens": 70},
            {"type": "message", "input_tokens": 100, "output_tokens": 50},
        ],
    }
    body = {"model": "claude-sonnet-4-5", "stop_reason": "refusal", "content": [], "usage": usage}
    found = row("anthropic", MESSAGES, body)
    detail, cost = json.loads(found["usage_detail"]), json.loads(found["cost_detail"])
    assert (found["tokens_in"], found["cache_write_tokens"]) == (4400, 300)
    assert (detail["cache_write_5m"], detail["cache_write_1h"], detail["web_searches"]) == (
        100,
        200,
        2,
    )
    assert (detail["compaction_input_tokens"], detail["compaction_output_tokens"]) == (500, 70)
    assert any(name.startswith("compaction") for name in cost)
    assert found["finish_reason"] == "content_filter"


# --- Gemini ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_gemini_streams_with_crlf_as_an_array_and_with_an_error_inside(step):
    """Three framings of one answer; an error comes bare, spread over lines."""
    for kind in [t for t in TWINS if t.dialect == "gemini.generate"]:
        data = b"".join(kind.stream)
        pieces = tuple(
            Arrival(AT_US + n, min(end, len(data)))
            for n, end in enumerate(range(step, len(data) + step, step))
        )
        streamed = kind.exchange(streamed=True)
        came = replace(streamed, response=replace(streamed.response, arrivals=pieces))
        assert understand(came).reply.text == wire.TEXT
    broken = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    stream = wire.google_stream()[0] + json.dumps(broken, indent=2).encode()
    found = row("google", f"{GEMINI}:streamGenerateContent?alt=sse", stream)
    assert (found["outcome"], found["error_type"]) == ("error", "UNAVAILABLE")
    assert found["tokens_in"] == 120


def test_thoughts_and_tool_results_are_added_and_the_cache_is_not():
    """Thoughts are beside the candidates, tool results beside the prompt, the cache inside it."""
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 50,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 10,
        "totalTokenCount": 180,
    }
    found = row("google", f"{GEMINI}:generateContent", {"candidates": [], "usageMetadata": usage})
    assert (found["tokens_in"], found["tokens_out"], found["tokens_total"]) == (150, 30, 180)
    assert (found["cache_read_tokens"], found["reasoning_tokens"]) == (60, 10)
    assert "usage_mismatch" not in (found["notes"] or "")


def test_grpc_frames_are_read_by_field_number():
    """Protobuf without its names: whoever looks for JSON sees no model and no tokens."""
    [found] = recorded(gemini_grpc.exchange())
    assert (found["dialect"], found["model"]) == ("gemini.grpc", "gemini-x")
    assert (found["tokens_in"], found["tokens_out"], found["tokens_total"]) == (20, 12, 32)
    assert (found["cache_read_tokens"], found["reasoning_tokens"]) == (8, 7)
    [cut] = recorded(gemini_grpc.exchange(until=-20, trailers=()))
    assert cut["outcome"] == "interrupted"


def test_snake_case_means_the_same_and_the_key_in_the_address_is_gone():
    """Both spellings are legal, and the key of a REST client stands in the URL."""
    secret = "A" * 39
    target, digests = without_secrets(f"{GEMINI}:generateContent?key={secret}")
    assert secret not in target
    assert len(digests) == 1
    camel = {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": []}
    snake = {"system_instruction": {"parts": [{"text": "Be brief."}]}, "contents": []}
    one, other = (told("google", target, {}, request).ask for request in (camel, snake))
    assert [m.parts for m in one.messages] == [m.parts for m in other.messages] != []


# --- Cohere and Mistral ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [t for t in TWINS if t.provider == "cohere"][:3], ids=str)
def test_what_cohere_processed_and_what_it_bills_are_two_counts(kind):
    """v2 as events, v1 as lines and as events; only the billed units are priced."""
    [found] = recorded(kind.exchange(streamed=True))
    detail = json.loads(found["usage_detail"])
    assert (found["tokens_in"], found["tokens_out"]) == (120, 30)
    assert (detail["billed_input_tokens"], detail["billed_output_tokens"]) == (20, 25)


def test_mistral_conversations_completions_between_and_pages():
    """Events with names of their own, a text between two texts, and a price by the page."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    stream = sse(
        {"type": "conversation.response.started", "conversation_id": "conv_1"},
        {"type": "message.output.delta", "id": "m", "output_index": 0, "content": "Hel"},
        {"type": "message.output.delta", "id": "m", "output_index": 0, "content": "lo"},
        {"type": "conversation.response.done", "usage": usage},
        named=True,
    )
    talk = told("mistral", "/v1/conversations", stream, {"model": "m", "inputs": "Hi"})
    assert (talk.dialect, talk.reply.text) == ("mistral.conversations", "Hello")
    assert (talk.reply.usage.input_tokens, talk.reply.usage.output_tokens) == (10, 5)

    [between] = recorded(twin("mistral.fim").exchange(streamed=True))
    assert (between["operation"], between["tokens_out"]) == ("text_completion", 30)

    pages = {"model": "mistral-ocr-2512", "pages": [{"index": 0, "markdown": "# A"}]}
    pages |= {"usage_info": {"pages_processed": 3, "doc_size_bytes": 99}}
    read = told("mistral", "/v1/ocr", pages, {"model": "mistral-ocr-latest"})
    assert (read.dialect, dict(read.reply.usage.detail)) == ("mistral.ocr", {"pages": 3})


# --- Forms, encodings --------------------------------------------------------------------------


def test_a_transcription_is_asked_with_a_form_and_paid_by_the_second():
    """The model stands in a part of a form; the usage counts seconds, not tokens."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\nRIFF\x00\xff\r\n--x--\r\n"
    )
    usage = {"type": "duration", "seconds": 12}
    done = {"type": "transcript.text.done", "text": "Hello", "usage": usage}
    pieces = {"type": "transcript.text.delta", "delta": "Hel"}
    for body in ({"text": "Hello", "usage": usage}, sse(pieces, done)):
        understood = told(
            "openai",
            "/v1/audio/transcriptions",
            body,
            form,
            request_headers={"content-type": "multipart/form-data; boundary=x"},
        )
        assert understood.ask.model == "whisper-1"
        assert understood.reply.text == "Hello"
        assert understood.reply.usage.detail["audio_seconds"] == 12
        assert understood.reply.usage.input_tokens is None


def test_bodies_are_read_through_their_encodings_both_ways():
    """Providers compress streams, and clients compress requests; what crossed stays as it was."""
    stream = b"".join(wire.openai_chat_stream())
    request = zstandard.ZstdCompressor().compress(json.dumps({"model": "gpt-5.5"}).encode())
    for encoding, pack in (("br", brotli.compress), ("zstd", zstandard.ZstdCompressor().compress)):
        sent = exchange(
            "openai",
            CHAT,
            [pack(stream)],
            request,
            content_type="text/event-stream",
            headers=(("content-encoding", encoding),),
            request_headers=(("content-encoding", "zstd"),),
        )
        [found] = recorded(sent)
        assert (found["model"], found["tokens_in"]) == ("gpt-5.5", 120)
        assert (found["request_bytes"], found["response_bytes"]) == (
            len(request),
            len(pack(stream)),
        )


# --- Attempts and ends -------------------------------------------------------------------------


def test_a_retry_is_a_second_attempt_of_one_operation():
    """The SDK sends the same again; only the one that was answered costs."""
    request = json.dumps({"model": "gpt-5.5", "messages": []}).encode()
    limit = {"error": {"type": "rate_limit_exceeded", "message": "slow down"}}
    refused = exchange(
        "openai",
        CHAT,
        [json.dumps(limit).encode()],
        request,
        status=429,
        request_headers=(("x-stainless-retry-count", "0"),),
    )
    later = exchange(
        "openai",
        CHAT,
        wire.openai_chat(),
        request,
        request_headers=(("x-stainless-retry-count", "1"),),
    )
    shift = 2_000_000
    later = replace(later, started_us=AT_US + shift, ended_us=later.ended_us + shift)
    first, second = recorded(refused, later)
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["operation_id"] == second["operation_id"] is not None
    assert (first["cost_nano_usd"], first["unpriced_reason"]) == (None, "error")
    assert second["cost_nano_usd"] > 0


def test_a_client_that_leaves_in_the_middle_has_used_tokens():
    """Esc in a coding agent: the input is billed to the last token, the output up to there."""
    pieces = twin("anthropic.messages").stream[:6]
    cut = exchange("anthropic", MESSAGES, pieces, content_type="text/event-stream")
    left = replace(cut, ending="client_left", response=replace(cut.response, complete=False))
    [found] = recorded(left)
    assert (found["outcome"], found["finish_reason"]) == ("cancelled", "aborted")
    assert (found["tokens_in"], found["usage_source"]) == (120, "partial")
    assert found["cost_nano_usd"] > 0


# --- Bedrock -----------------------------------------------------------------------------------


def test_a_damaged_event_stream_is_read_as_far_as_it_goes():
    """A wrong checksum is noted and read over; a frame that is cut costs only itself."""
    spoken = [{"contentBlockIndex": 0, "delta": {"text": text}} for text in ("Hel", "lo", "!")]
    pieces = [
        frame("messageStart", {"role": "assistant"}),
        frame("contentBlockDelta", spoken[0]),
        frame("contentBlockDelta", spoken[1], broken=True),
        frame("contentBlockDelta", spoken[2])[:-5],
    ]
    target = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"
    kind = "application/vnd.amazon.eventstream"
    came = exchange("bedrock", target, pieces, content_type=kind)
    understood = understand(came)
    assert understood.reply.text == "Hello"
    [found] = recorded(came)
    assert found["outcome"] == "interrupted"
    assert "wrong checksum" in found["notes"]


# --- Agents ------------------------------------------------------------------------------------


def test_claude_code_s_agents_are_told_apart_and_its_title_call_is_no_turn():
    """Main agent, sub-agent and title call share a session; the billing line changes each time."""

    def asked(cch, *headers):
        line = f"x-anthropic-billing-header: cc_version=2.1; cch={cch}; cc_prompt_id=p"
        system = [{"type": "text", "text": line}, {"type": "text", "text": "You are Claude."}]
        request = {"model": "claude-sonnet-5-5", "system": system, "messages": []}
        return exchange(
            "anthropic",
            MESSAGES,
            wire.anthropic(),
            json.dumps(request).encode(),
            request_headers=(("x-claude-code-session-id", "s1"), *headers),
        )

    main, sub, title = recorded(
        asked("11"),
        asked("22", ("x-claude-code-agent-id", "a1"), ("x-claude-code-parent-agent-id", "a0")),
        asked("33", ("x-claude-code-request-class", "auxiliary")),
    )
    assert {main["session_id"], sub["session_id"], title["session_id"]} == {"s1"}
    assert [found["kind"] for found in (main, sub, title)] == ["llm", "llm", "auxiliary"]
    assert main["agent_id"] != sub["agent_id"]
    assert main["request_chain"] == sub["request_chain"]


def test_the_javascript_of_codex_s_code_mode_is_a_tool_call_of_its_own():
    """It comes as free text, no JSON, in pieces: the command and the patch are inside."""
    patch = "*** Begin Patch\n*** Delete File: a.py\n*** End Patch"
    script = f'await tools.exec_command({{cmd: "ls -l"}});\nawait tools.apply_patch(`{patch}`);'
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "exec"}
    about = {"output_index": 0, "item_id": "ctc_1"}
    piece = about | {"type": "response.custom_tool_call_input.delta"}
    events = [
        {"type": "response.created", "response": {"id": "r", "model": "gpt-5.5-codex"}},
        about | {"type": "response.output_item.added", "item": item | {"input": ""}},
        piece | {"delta": script[:20]},
        piece | {"delta": script[20:]},
    ]
    whole = about | {"type": "response.output_item.done", "item": item | {"input": script}}
    for stream in (events, [*events, whole]):  # cut, and to the end
        [call] = told("openai", RESPONSES, sse(*stream, named=True)).reply.tool_calls
        assert (call.id, call.name, call.arguments) == ("call_1", "exec", script)
    recording = Recording()
    body = sse(*events, whole, named=True)
    asked = json.dumps({"model": "gpt-5.5-codex", "input": "go", "stream": True}).encode()
    recording.take(exchange("openai", RESPONSES, [body], asked, content_type="text/event-stream"))
    [made] = recording.rows("select name, calls_inside from tool_calls")
    assert json.loads(made["calls_inside"]) == [
        {"name": "exec_command", "arguments": {"cmd": "ls -l"}},
        {"name": "apply_patch", "arguments": patch},
    ]


# --- Media, and what nobody knows --------------------------------------------------------------


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big")


def with_image(content):
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(content)}
    source["data"] = source["data"].decode()
    said = {"role": "user", "content": [{"type": "image", "source": source}]}
    request = json.dumps({"model": "claude-sonnet-5-5", "messages": [said]}).encode()
    return exchange("anthropic", MESSAGES, wire.anthropic(), request)


def test_a_huge_image_is_described_and_memory_stays_bounded():
    """50 MB of base64 in a request: the row names it, no message carries it."""
    asked = with_image(PNG + bytes(37_500_000))
    recording = Recording()
    tracemalloc.start()
    recording.take(asked)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * asked.request.size
    [kept] = recording.rows("select content from messages where role = 'user'")
    [part] = json.loads(kept["content"])
    assert (part["modality"], part["size"]) == ("image", 37_500_024)
    assert len(kept["content"]) < 1_000


def test_an_image_is_stored_once_however_often_it_is_sent():
    """An agent sends its screenshots again with every call."""
    picture = PNG + bytes(500)
    recording = Recording()
    for n in range(3):
        recording.take(replace(with_image(picture), id=str(n)))
    [kept] = recording.rows("select sha256, size from media")
    assert (kept["sha256"], kept["size"]) == (hashlib.sha256(picture).hexdigest(), 524)


@pytest.mark.parametrize("kind", TWINS, ids=str)
def test_unknown_events_and_members_pass_through_in_every_dialect(kind):
    """A provider that moves costs a note, never a call."""
    from tests.fuzz.hostile import events_of, framed

    events = events_of(kind)
    news = {"type": "brand.new", "event_type": "brand.new", "sparkle": [1]}
    events.insert(1, ("brand.new" if events[0][0] else "", news))
    for _, value in events:
        if isinstance(value, dict):
            value["sparkle"] = {"deep": 1}
    data = framed(kind, events)
    before = kind.exchange(streamed=True)
    after = replace(before, response=Body(data, len(data), complete=True))
    known, new = understand(before), understand(after)
    assert (new.reply.text, new.reply.usage) == (known.reply.text, known.reply.usage)
    assert new.reply.tool_calls == known.reply.tool_calls
    assert any(note.startswith("unknown ") for note in new.reply.notes)
