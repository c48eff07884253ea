"""Images, sound, moderation, videos, decisions: what is counted where tokens are not."""

import json

import pytest

from agenttrace_mitm.model import MediaPart, TextPart

from .exchanges import sse, told

IMAGE_USAGE = {
    "input_tokens": 14,
    "input_tokens_details": {"image_tokens": 4, "text_tokens": 10},
    "output_tokens": 272,
    "output_tokens_details": {"image_tokens": 270, "text_tokens": 2},
    "total_tokens": 286,
}


def form(*parts):
    """A multipart request: its body, and the header that goes with it."""
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (name.encode(), b'; filename="f"' if isinstance(value, bytes) else b"", _bytes(value))
        for name, value in parts
    )
    return body + b"--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def heard(provider, path, response, *parts, **more):
    body, headers = form(("model", "hears"), ("file", b"RIFF"), *parts)
    return told(provider, path, response, body, request_headers=headers, **more)


def test_an_image_counts_its_tokens_by_modality():
    answer = {"data": [{"b64_json": "aGVsbG8="}], "output_format": "jpeg", "usage": IMAGE_USAGE}
    request = {"model": "gpt-image-1", "prompt": "a circle", "size": "1024x1024", "n": 1}
    understood = told("openai", "/v1/images/generations", answer, request)
    usage = understood.reply.usage
    assert (understood.dialect, understood.kind) == ("openai.images", "llm")
    assert understood.operation == "image"
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (14, 272, "reported")
    assert usage.detail == {
        "input_text": 10,
        "input_image": 4,
        "output_text": 2,
        "output_image": 270,
        "output_images": 1,
    }
    [image] = understood.reply.messages[0].parts
    assert (image.mime_type, image.size) == ("image/jpeg", 5)
    assert understood.ask.params == {"size": "1024x1024", "n": 1}


def test_images_without_tokens_are_counted():
    answer = {"data": [{"url": "https://x/1.png", "revised_prompt": "a dot"}, {"url": "https://x"}]}
    request = {"model": "dall-e-3", "prompt": "a circle", "quality": "hd"}
    reply = told("openai", "/v1/images/generations", answer, request).reply
    assert reply.usage.input_tokens is None
    assert reply.usage.detail["output_images"] == 2
    assert reply.text == ""  # what the prompt was turned into is no answer
    assert reply.messages[0].parts[0] == TextPart("a dot", "transcript")


def test_a_streamed_image_is_its_last_event():
    partial = {"type": "image_generation.partial_image", "b64_json": "aGU="}
    whole = {"type": "image_generation.completed", "b64_json": "aGVsbG8=", "usage": IMAGE_USAGE}
    reply = told("openai", "/v1/images/generations", sse(partial, whole, named=True)).reply
    assert reply.complete
    assert reply.first_content_us is not None
    assert reply.usage.output_tokens == 272
    assert isinstance(reply.messages[0].parts[0], MediaPart)


def test_an_edit_is_asked_for_with_a_form():
    body, headers = form(("model", "gpt-image-1"), ("prompt", "redder"), ("image[]", b"png"))
    answer = {"data": [{"b64_json": "aGVsbG8="}]}
    ask = told("openai", "/v1/images/edits", answer, body, request_headers=headers).ask
    assert ask.model == "gpt-image-1"
    [words, image] = ask.messages[0].parts
    assert words == TextPart("redder")
    assert image.size == 3


def test_a_transcription_takes_its_model_from_the_form():
    spent = {
        "type": "tokens",
        "input_tokens": 37,
        "input_token_details": {"text_tokens": 2, "audio_tokens": 35},
        "output_tokens": 145,
        "total_tokens": 182,
    }
    answer = {"text": "Hello", "usage": spent}
    understood = heard("openai", "/v1/audio/transcriptions", answer)
    assert (understood.dialect, understood.kind) == ("openai.audio", "llm")
    assert understood.ask.model == "hears"
    assert understood.ask.messages[0].parts[0].size == 4
    assert understood.reply.text == "Hello"
    usage = understood.reply.usage
    assert (usage.input_tokens, usage.output_tokens) == (37, 145)
    assert usage.detail == {"input_text": 2, "input_audio": 35}


def test_a_transcription_may_be_paid_by_the_second():
    done = {"type": "transcript.text.done", "text": "Hello there"}
    done["usage"] = {"type": "duration", "seconds": 4.5}
    delta = {"type": "transcript.text.delta", "delta": "Hello"}
    whole = heard("openai", "/v1/audio/transcriptions", sse(delta, done, "[DONE]")).reply
    assert (whole.text, whole.usage.detail) == ("Hello there", {"audio_seconds": 4.5})
    assert whole.complete
    cut = heard("openai", "/v1/audio/transcriptions", sse(delta), complete=False).reply
    assert (cut.text, cut.complete, cut.finish_reason) == ("Hello", False, "aborted")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(8.47, 8.47), ("8.47", 8.47), ("8", 8), ("long", None), ("nan", None), ("", None)],
)
def test_a_recording_is_as_long_as_it_says_in_a_number_or_a_text(said, seconds):
    answer = {"task": "transcribe", "language": "english", "duration": said, "text": "Hello"}
    usage = heard("openai", "/v1/audio/transcriptions", answer).reply.usage
    assert usage.detail.get("audio_seconds") == seconds
    assert (usage.source == "reported") == (seconds is not None)


PROSE = ["Hello\n", "42", '"quoted"', "1\n00:00 --> 00:01\nHi", "id: 7", "data: all of it", ": so"]


@pytest.mark.parametrize("words", PROSE)
def test_a_transcription_in_plain_text_is_words(words):
    plain = {"content-type": "text/plain; charset=utf-8"}
    reply = heard("openai", "/v1/audio/transcriptions", words.encode(), headers=plain).reply
    assert reply.text == words.removesuffix("\n")
    assert reply.complete


def test_a_transcription_that_was_asked_for_as_a_stream_is_one_whatever_its_type_says():
    plain = {"content-type": "text/plain"}
    stream = sse({"type": "transcript.text.done", "text": "Hello"})
    asked = ("stream", "true")
    reply = heard("vllm", "/v1/audio/transcriptions", stream, asked, headers=plain).reply
    assert (reply.text, reply.streamed, reply.complete) == ("Hello", True, True)


def test_mistral_hears_in_seconds_beside_tokens():
    events = [
        {"type": "transcription.language", "audio_language": "en"},
        {"type": "transcription.text.delta", "text": "Hel"},
        {"type": "transcription.text.delta", "text": "lo"},
        {
            "type": "transcription.done",
            "model": "voxtral",
            "text": "Hello",
            "usage": {"prompt_audio_seconds": 3, "prompt_tokens": 4, "completion_tokens": 2},
        },
    ]
    understood = heard("mistral", "/v1/audio/transcriptions", sse(*events, named=True))
    assert understood.dialect == "mistral.audio"
    assert understood.reply.text == "Hello"
    assert understood.reply.model == "voxtral"
    assert understood.reply.usage.detail == {"audio_seconds": 3}
    assert understood.reply.usage.input_tokens == 4


def test_cohere_hears_and_counts_nothing():
    understood = heard("cohere", "/v2/audio/transcriptions", {"text": " Hello"})
    assert (understood.dialect, understood.reply.text) == ("cohere.audio", " Hello")
    assert understood.reply.usage.input_tokens is None


def test_speech_is_counted_in_characters_where_nothing_is_reported():
    sound = bytes(range(256))
    headers = {"content-type": "audio/mpeg"}
    request = {"model": "tts-1", "input": "Hello there", "voice": "alloy"}
    reply = told("openai", "/v1/audio/speech", sound, request, headers=headers).reply
    assert reply.usage.detail["characters"] == 11
    assert reply.usage.source == "estimated"
    [spoken] = reply.messages[0].parts
    assert (spoken.modality, spoken.mime_type, spoken.size) == ("audio", "audio/mpeg", 256)


def test_streamed_speech_ends_with_its_usage():
    delta = {"type": "speech.audio.delta", "audio": "aGVsbG8="}
    done = {"type": "speech.audio.done"}
    done["usage"] = {"input_tokens": 5, "output_tokens": 60, "total_tokens": 65}
    request = {"model": "gpt-4o-mini-tts", "input": "Hi", "stream_format": "sse"}
    reply = told("openai", "/v1/audio/speech", sse(delta, done), request).reply
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (5, 60)
    assert "characters" not in reply.usage.detail


def test_a_refused_speech_costs_nothing():
    refused = {"error": {"message": "no", "type": "invalid_request_error"}}
    reply = told("openai", "/v1/audio/speech", refused, {"input": "Hi"}, status=400).reply
    assert reply.failure.message == "no"
    assert reply.usage.detail == {}


def test_moderation_is_a_call_without_a_price():
    answer = {"id": "modr-1", "model": "omni-moderation", "results": [{"flagged": False}]}
    understood = told("openai", "/v1/moderations", answer, {"input": ["a", "b"]})
    assert (understood.operation, understood.kind) == ("moderation", "llm")
    assert (understood.reply.model, understood.reply.response_id) == ("omni-moderation", "modr-1")
    assert len(understood.ask.messages) == 2


@pytest.mark.parametrize("path", ["moderations", "chat/moderations", "classifications"])
def test_mistral_counts_what_it_judges(path):
    talk = [[{"role": "user", "content": "hi"}]]
    answer = {"id": "m", "model": "mod", "usage": {"prompt_tokens": 9, "total_tokens": 9}}
    understood = told("mistral", f"/v1/{path}", answer, {"model": "mod", "input": talk})
    assert understood.dialect == "mistral.moderations"
    assert understood.reply.usage.input_tokens == 9


def test_a_video_is_paid_by_the_second_when_it_is_asked_for():
    job = {"id": "video_1", "model": "sora-2", "status": "queued", "seconds": "8", "size": "720x"}
    made = told("openai", "/v1/videos", job, {"model": "sora-2", "prompt": "waves"})
    assert (made.kind, made.reply.usage.detail["video_seconds"]) == ("llm", 8)
    fetched = told("openai", "/v1/videos/video_1", job, method="GET")
    assert (fetched.kind, fetched.reply.usage.detail) == ("admin", {})


def test_imagen_images_are_counted_and_veo_by_the_second():
    made = {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "aGVsbG8="}] * 2}
    asked = {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 2}}
    image = told("google", "/v1beta/models/imagen-4:predict", made, asked)
    assert (image.ask.model, image.operation) == ("imagen-4", "image")
    assert image.reply.usage.detail["output_images"] == 2
    asked["parameters"] = {"durationSeconds": 6}
    video = told("google", "/v1beta/models/veo-3:predictLongRunning", {"name": "op"}, asked)
    assert (video.operation, video.reply.usage.detail) == ("video", {"video_seconds": 6})


def test_decisions_count_in_their_providers_way():
    openai = {"id": "d", "model": "gpt-6-luna", "output": [{"p": 0.9}]}
    openai["usage"] = {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}
    understood = told("openai", "/v1/decisions", openai, {"model": "gpt-6-luna"})
    assert (understood.operation, understood.reply.usage.input_tokens) == ("decision", 5)
    google = {"usage": {"total_input_tokens": 5, "total_output_tokens": 1, "total_tokens": 6}}
    assert told("google", "/v1beta/decisions", google).reply.usage.output_tokens == 1


def test_no_endpoint_trips_over_a_strange_shape():
    strange = [[], {}, {"usage": []}, {"usage": {"seconds": "x"}}, {"data": [1]}, {"text": 1}]
    for path in ("images/edits", "audio/speech", "audio/translations", "moderations", "videos"):
        for body in strange:
            raw = json.dumps(body).encode()
            assert told("openai", f"/v1/{path}", raw, b"\xff{").kind == "llm"
