"""One exchange that carries many calls: batch outputs of four providers, managed sessions."""

import json

import pytest
from msgspec.structs import replace

from agenttrace_mitm.clock import name_in, oldest_id
from agenttrace_mitm.providers import calls_within, understand

from .exchanges import exchange, sse

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-x",
    "choices": [{"message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-x",
    "status": "completed",
    "output": [],
    "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "4"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 20, "output_tokens": 5, "service_tier": "batch"},
}
GENERATED = {
    "candidates": [{"content": {"parts": [{"text": "4"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 13, "candidatesTokenCount": 1, "totalTokenCount": 14},
    "modelVersion": "gemini-x",
    "responseId": "r1",
}
FILE = "/v1/files/file-1/content"


def lines(*values):
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def line(custom_id, body, status=200):
    response = {"status_code": status, "request_id": f"req_{custom_id}", "body": body}
    return {"id": "batch_req", "custom_id": custom_id, "response": response, "error": None}


def got(provider, target, body):
    headers = {"content-type": "application/octet-stream"}
    return exchange(provider, target, body, method="GET", headers=headers)


def held(provider, target, body):
    return [(call, understand(call)) for call in calls_within(got(provider, target, body))]


def test_each_line_of_an_output_file_is_a_call_at_batch_price():
    calls = held("openai", FILE, lines(line("a", CHAT), line("b", RESPONSE)))
    assert [told.dialect for _, told in calls] == ["openai.chat", "openai.responses"]
    assert [told.kind for _, told in calls] == ["llm", "llm"]
    assert [told.reply.usage.input_tokens for _, told in calls] == [10, 5]
    assert [told.reply.model for _, told in calls] == ["gpt-x", "gpt-x"]
    assert [told.reply.service_tier for _, told in calls] == ["batch", "batch"]
    assert [call.within for call, _ in calls] == [FILE, FILE]


def test_other_files_carry_nothing():
    assert held("openai", FILE, b"\x89PNG\r\n\x00") == []
    assert held("openai", FILE, lines({"custom_id": "a", "method": "POST", "body": {}})) == []
    assert held("openai", "/v1/files/file-1", lines(line("a", CHAT))) == []


def test_a_line_that_failed_is_an_error_of_its_own():
    error = {"error": {"message": "too long", "type": "invalid_request_error"}}
    [(call, told)] = held("mistral", FILE, lines(line("a", error, 400)))
    assert (call.status, told.reply.failure.message) == (400, "too long")


def test_results_of_a_message_batch():
    body = lines(
        {"custom_id": "0", "result": {"type": "succeeded", "message": MESSAGE}},
        {
            "custom_id": "1",
            "result": {"type": "errored", "error": {"type": "error", "error": {"message": "no"}}},
        },
        {"custom_id": "2", "result": {"type": "expired"}},
    )
    calls = held("anthropic", "/v1/messages/batches/msgbatch_1/results", body)
    assert [told.dialect for _, told in calls] == ["anthropic.messages"] * 2
    assert (calls[0][1].reply.text, calls[0][1].reply.service_tier) == ("4", "batch")
    assert calls[1][1].reply.failure.message == "no"


def test_a_gemini_batch_that_is_done_holds_its_responses():
    inlined = {
        "inlinedResponses": [
            {"response": GENERATED, "metadata": {"key": "k"}},
            {"error": {"code": 3, "message": "bad"}},
        ]
    }
    about = {"model": "models/gemini-x", "state": "BATCH_STATE_SUCCEEDED"}
    for body in (
        {"metadata": about, "response": {"inlinedResponses": inlined}},
        {"metadata": about | {"output": {"inlinedResponses": inlined}}},
    ):
        calls = held("google", "/v1beta/batches/b1", json.dumps(body).encode())
        assert [told.dialect for _, told in calls] == ["gemini.generate"] * 2
        assert (calls[0][1].ask.model, calls[0][1].reply.response_id) == ("gemini-x", "r1")
        assert calls[1][1].reply.failure.message == "bad"
    assert held("google", "/v1beta/batches/b1", json.dumps({"metadata": about}).encode()) == []


def session_event(n, **more):
    spent = {"input_tokens": 3, "output_tokens": n, "cache_read_input_tokens": 7}
    base = {"type": "span.model_request_end", "id": f"evt_{n}", "model_usage": spent}
    return base | {"model_request_start_id": "start_1"} | more


def test_a_managed_session_holds_a_call_for_each_model_request():
    start = {"type": "span.model_request_start", "id": "start_1", "model": "claude-x"}
    total = {"type": "session.usage", "id": "u", "usage": {"output_tokens": 99}}
    events = [start, session_event(1), session_event(2), session_event(1), total]
    path = "/v1/sessions/sesn_1/events"
    streamed = held("anthropic", f"{path}/stream", sse(*events, named=True))
    listed = held("anthropic", path, json.dumps({"data": events}).encode())
    for calls in (streamed, listed):
        assert [told.reply.usage.input_tokens for _, told in calls] == [10, 10]
        assert [told.reply.usage.output_tokens for _, told in calls] == [1, 2]
        assert [told.reply.response_id for _, told in calls] == ["evt_1", "evt_2"]
        assert {told.reply.model for _, told in calls} == {"claude-x"}
        assert {told.reply.service_tier for _, told in calls} == {""}  # no batch


def test_ids_are_the_same_every_time_and_of_the_same_moment():
    carrier = got("openai", FILE, lines(line("a", CHAT), line("b", CHAT)))
    first, again = calls_within(carrier), calls_within(carrier)
    assert [call.id for call in first] == [call.id for call in again]
    assert len({call.id for call in first}) == 2
    assert all(call.id >= oldest_id(carrier.started_us) for call in first)


def test_what_was_carried_carries_nothing_itself():
    [call] = calls_within(got("openai", FILE, lines(line("a", CHAT))))
    assert calls_within(call) == ()


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_file_that_was_cut_gives_its_whole_lines(cut):
    whole = lines(line("a", CHAT), line("b", CHAT))
    found = held("openai", FILE, whole[:cut] or b" ")
    assert len(found) <= whole[:cut].count(b"\n") + 1
    assert all(told.reply.usage.input_tokens == 10 for _, told in found)


@pytest.mark.parametrize(
    "strange", [b"[]", b"null", b"{}", b'{"custom_id":1,"response":[]}', b"\xff"]
)
def test_strange_bodies_carry_nothing(strange):
    for provider, target in [
        ("openai", FILE),
        ("anthropic", "/v1/messages/batches/b/results"),
        ("anthropic", "/v1/sessions/s/events/stream"),
        ("google", "/v1beta/batches/b"),
        ("google", "/v1beta/files/f:download"),
        ("mistral", "/v1/batch/jobs/j"),
    ]:
        assert held(provider, target, strange) == []


GEMINI_FILE = "/v1beta/files/batch-1:download?alt=media"


def embedding(count):
    return {"embedding": {"values": [0.1]}, "tokenCount": count}


@pytest.mark.parametrize("target", [GEMINI_FILE, f"/download{GEMINI_FILE}"])
def test_each_line_of_a_gemini_file_is_a_call(target):
    body = lines(
        {"key": "a", "response": GENERATED},
        {"key": "b", "error": {"code": 3, "message": "bad", "status": "INVALID_ARGUMENT"}},
        {"key": "c", "request": {"contents": []}},
    )
    calls = held("google", target, body)
    assert [told.dialect for _, told in calls] == ["gemini.generate"] * 2
    (first, told), (_, failed) = calls
    assert (told.ask.model, told.reply.model, told.reply.text) == ("", "gemini-x", "4")
    assert (told.reply.usage.input_tokens, told.reply.service_tier) == (13, "batch")
    assert first.request_headers.get("x-client-request-id") == "a"
    assert first.within == target
    assert (failed.reply.failure.type, failed.reply.failure.message) == ("INVALID_ARGUMENT", "bad")


def test_a_gemini_file_may_have_lines_like_openais():
    [(_, told)] = held("google", GEMINI_FILE, lines(line("a", CHAT)))
    assert (told.dialect, told.reply.usage.input_tokens) == ("openai.chat", 10)


@pytest.mark.parametrize("count", ["6", 6])
def test_embeddings_of_a_gemini_batch_have_a_count(count):
    [(_, told)] = held("google", GEMINI_FILE, lines({"key": "a", "response": embedding(count)}))
    assert (told.dialect, told.operation, told.ask.model) == ("gemini.embeddings", "embeddings", "")
    assert (told.reply.usage.input_tokens, told.reply.usage.source) == (6, "reported")
    assert told.reply.notes == ()
    about = {"model": "models/embeds-x"}
    inlined = {"inlinedResponses": [{"response": embedding(count)}, {"response": embedding("x")}]}
    body = json.dumps({"metadata": about, "response": {"inlinedResponses": inlined}}).encode()
    calls = held("google", "/v1beta/batches/b1", body)
    assert [told.ask.model for _, told in calls] == ["embeds-x"] * 2
    assert [told.reply.usage.input_tokens for _, told in calls] == [6, None]


def test_a_batch_of_embeddings_is_arranged_and_answers_nothing():
    exchanged = exchange("google", "/v1beta/models/e:asyncBatchEmbedContent", {"name": "batches/1"})
    assert (understand(exchanged).dialect, understand(exchanged).kind) == (
        "gemini.batches",
        "admin",
    )


def test_a_gemini_batch_that_does_not_name_its_model_asks_for_none():
    inlined = {"inlinedResponses": [{"response": GENERATED}]}
    body = json.dumps({"response": {"inlinedResponses": inlined}}).encode()
    [(_, told)] = held("google", "/v1beta/batches/b1", body)
    assert (told.ask.model, told.reply.model) == ("", "gemini-x")


@pytest.mark.parametrize(
    ("provider", "target"),
    [
        ("azure", "/openai/files/file-1/content?api-version=2024-10-21"),
        ("azure", "/openai/v1/files/file-1/content"),
        ("groq", "/openai/v1/files/file-1/content"),
        ("house-gateway", FILE),
    ],
)
def test_whoever_has_batches_as_openai_has_them_has_its_files(provider, target):
    [(call, told)] = held(provider, target, lines(line("a", CHAT)))
    assert (told.dialect, told.reply.usage.input_tokens) == ("openai.chat", 10)
    assert call.within == target


def test_a_file_of_somebody_who_has_other_batches_carries_nothing():
    for provider in ("anthropic", "google"):
        assert held(provider, FILE, lines(line("a", CHAT))) == []


ENTRY = {"type": "message.output", "model": "m", "content": "4"}
COUNTS = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
SHAPES = [
    ({"model": "m", "pages": [{"index": 0}], "usage_info": {"pages_processed": 7}}, "ocr"),
    ({"id": "1", "model": "m", "results": [{"categories": {}}]}, "moderations"),
    ({"conversation_id": "c", "outputs": [ENTRY], "usage": COUNTS}, "conversations"),
    ({"object": "conversation.response", "outputs": [], "usage": COUNTS}, "conversations"),
    ({"model": "m", "text": "four", "language": None, "usage": COUNTS}, "audio"),
    ({"object": "list", "model": "m", "data": [], "usage": COUNTS}, "embeddings"),
    ({"model": "m", "choices": CHAT["choices"], "usage": COUNTS}, "chat"),
    ({"message": "No such model", "type": "invalid_request"}, "chat"),
]


@pytest.mark.parametrize(("body", "dialect"), SHAPES)
def test_a_line_s_shape_tells_where_it_was_answered(body, dialect):
    [(_, told)] = held("mistral", FILE, lines(line("a", body)))
    assert (told.dialect, told.reply.service_tier) == (f"mistral.{dialect}", "batch")


def test_pages_read_in_a_batch_are_counted():
    [(_, told)] = held("mistral", FILE, lines(line("a", SHAPES[0][0])))
    assert (told.reply.usage.detail, told.reply.usage.source) == ({"pages": 7}, "reported")
    picture = {"index": 0, "images": [{"id": "i", "image_annotation": '{"kind": "map"}'}]}
    for more in ({"document_annotation": '{"title": "x"}'}, {"pages": [picture]}):
        [(_, told)] = held("mistral", FILE, lines(line("a", SHAPES[0][0] | more)))
        assert told.reply.usage.detail == {"pages": 7, "annotated_pages": 7}


def test_images_made_in_a_batch_are_no_chat():
    spent = {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210}
    body = {"created": 1, "data": [{"b64_json": "AAAA"}], "usage": spent}
    [(_, told)] = held("openai", FILE, lines(line("a", body)))
    assert (told.dialect, told.reply.usage.output_tokens) == ("openai.images", 4160)


JOB = "/v1/batch/jobs/job-1?inline=true"
FILE_1 = "/v1/files/file-1/content"


def job(*outputs, endpoint="/v1/chat/completions"):
    return json.dumps({"id": "job-1", "endpoint": endpoint, "outputs": [*outputs]}).encode()


def test_a_job_may_hold_its_outputs():
    error = {"message": "No such model", "type": "invalid_request"}
    outputs = (line("a", CHAT), line("b", error, 400))
    calls = held("mistral", JOB, job(*outputs, endpoint="/v1/fim/completions"))
    assert [told.dialect for _, told in calls] == ["mistral.fim"] * 2
    (first, told), (_, failed) = calls
    assert (told.reply.usage.input_tokens, told.reply.service_tier) == (10, "batch")
    assert first.request_headers.get("x-client-request-id") == "a"
    assert failed.reply.failure.message == "No such model"
    again = calls_within(replace(got("mistral", JOB, job(*outputs)), started_us=9_000_000))
    assert [name_in(call.id) for call in again] == [name_in(call.id) for call, _ in calls]


def test_a_job_and_its_files_hold_the_same_calls():
    """Whichever is read again: what was answered goes by the file that the job names."""
    good, bad, unnamed = line("a", CHAT), line("b", {"message": "no"}, 400), line("", CHAT)
    files = {"output_file": "file-1", "error_file": "file-2"}
    told = json.dumps(json.loads(job(good, bad, unnamed, unnamed)) | files).encode()
    inline = calls_within(got("mistral", JOB, told))
    names = {call.request_headers.get("x-client-request-id"): name_in(call.id) for call in inline}
    output = calls_within(got("mistral", FILE_1, lines(good, unnamed, unnamed)))
    failed = calls_within(got("mistral", FILE_1.replace("-1", "-2"), lines(bad)))
    assert sorted(name_in(one.id) for one in (*output, *failed)) == sorted(
        name_in(one.id) for one in inline
    )
    assert names["b"] == name_in(failed[0].id)


def test_requests_of_a_job_need_no_name():
    unnamed = {key: value for key, value in line("", CHAT).items() if key != "custom_id"}
    calls = held("mistral", JOB, job(unnamed, unnamed))
    assert [told.dialect for _, told in calls] == ["mistral.chat"] * 2


def test_a_job_that_is_not_done_holds_nothing():
    for body in (job(), b'{"id":"job-1","outputs":null}', b"[]", b"\xff"):
        assert held("mistral", JOB, body) == []
    assert held("mistral", "/v1/batch/jobs", job(line("a", CHAT))) == []


@pytest.mark.parametrize("endpoint", ["", "https://elsewhere.example/v1/ocr", 1, None])
def test_of_a_job_without_an_endpoint_the_shape_tells(endpoint):
    [(_, told)] = held("mistral", JOB, job(line("a", SHAPES[0][0]), endpoint=endpoint))
    assert told.dialect == "mistral.ocr"


def ids(target, body, at_us=0):
    carrier = replace(got("google", target, body), started_us=at_us)
    return [call.id for call in calls_within(carrier)]


def test_what_is_read_again_has_the_same_name_in_its_id():
    body = lines({"key": "a", "response": GENERATED}, {"key": "a", "response": GENERATED})
    first = ids(GEMINI_FILE, body)
    again = ids(f"/download{GEMINI_FILE}", body, at_us=9_000_000)
    assert len({*first, *again}) == 4
    assert [name_in(one) for one in first] == [name_in(one) for one in again]
    other = ids(GEMINI_FILE.replace("batch-1", "batch-2"), body)
    assert set(map(name_in, first)).isdisjoint(map(name_in, other))
