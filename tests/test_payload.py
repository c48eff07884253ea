"""Media of bodies: stored once, found by the hash that message parts name, gone below tier 3."""

import base64
import json
import struct

import pytest
from msgspec.structs import replace

from agenttrace_mitm import payload
from agenttrace_mitm.model import Headers
from agenttrace_mitm.payload import payload_of, redacted
from agenttrace_mitm.privacy import Redactor
from agenttrace_mitm.providers import understand
from agenttrace_mitm.store import request_of
from agenttrace_mitm.store.retention import let_go
from agenttrace_mitm.wire.media import put_back

from .providers.exchanges import exchange
from .support.recording import Recording

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 512, 512) + bytes(200)
ANSWER = {
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a cat"}}],
    "usage": {"prompt_tokens": 260, "completion_tokens": 2, "total_tokens": 262},
}


def asked(image=PNG, id_="1"):
    """A question about an image."""
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
    return replace(exchange("openai", "/v1/chat/completions", ANSWER, body), id=id_)


def test_an_image_sent_with_every_call_is_stored_once():
    recording = Recording()
    for id_ in "123":
        recording.take(asked(id_=id_))
    [medium] = recording.rows("select * from media")
    assert medium["data"] == PNG
    assert (medium["mime_type"], medium["size"]) == ("image/png", len(PNG))
    assert (medium["width"], medium["height"], medium["token_estimate"]) == (512, 512, 255)
    assert medium["first_call_id"] == "1"
    for id_ in "123":
        assert base64.b64encode(PNG) not in request_of(recording.db, id_)


def test_message_parts_name_the_medium_by_its_hash():
    recording = Recording()
    recording.take(asked())
    [found] = recording.rows(
        "select p.value ->> 'modality' as modality from messages,"
        " json_each(content) as p join media on media.sha256 = p.value ->> 'sha256'"
    )
    assert found["modality"] == "image"


def test_the_body_can_be_rebuilt_from_what_is_stored():
    recording = Recording()
    sent = asked()
    recording.take(sent)
    stored = request_of(recording.db, "1")
    [medium] = recording.rows("select sha256, data from media")
    kept = {medium["sha256"]: medium["data"]}
    assert put_back(stored, kept.get) == sent.request.data
    assert json.loads(stored)  # readable without it as well


@pytest.mark.parametrize("tier", [1, 2])
def test_below_tier_3_there_are_no_media(tier):
    recording = Recording(tier)
    recording.take(asked())
    assert recording.rows("select * from media") == []


def test_a_medium_beyond_the_bound_is_described_only(monkeypatch):
    monkeypatch.setattr(payload, "MEDIUM_LIMIT", 50)
    sent = asked()
    [medium] = payload_of(sent, understand(sent)).media
    assert (medium.size, medium.data) == (len(PNG), None)


def test_a_secret_inside_a_medium_is_not_stored():
    """A screenshot's metadata may hold what the redactor would find in text."""
    secret = b"sk-ant-api03-" + b"Ab3" * 31
    sent = asked(PNG + b" " + secret + b" ")
    kept = redacted(payload_of(sent, understand(sent)), Redactor(), withhold=False)
    assert secret not in kept.model_dump_json().encode()
    [medium] = kept.media
    assert medium.data is None
    assert base64.b64encode(secret[:30]) not in kept.request_body


def test_bytes_of_media_are_let_go_and_their_description_stays():
    recording = Recording()
    recording.take(replace(asked(), started_us=100))
    recording.db.commit()
    let_go(recording.db, 200)
    [medium] = recording.rows("select data, width from media")
    assert medium == {"data": None, "width": 512}


def test_a_medium_that_is_still_sent_is_kept():
    recording = Recording()
    recording.take(replace(asked(), started_us=100))
    recording.take(replace(asked(id_="2"), started_us=300))
    recording.db.commit()
    let_go(recording.db, 200)
    [medium] = recording.rows("select data from media")
    assert medium["data"] == PNG


KIND = "multipart/form-data; boundary=----aBc0123456789DeFaBc0123456789"
WAV = (
    b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    + b"data" + struct.pack("<I", 8000) + bytes(range(250)) * 32
)  # fmt: skip
LINES = b"\n".join(b'{"custom_id": "%d", "method": "POST"}' % n for n in range(20))


def form(*files, fields=(("model", "whisper-1"),)):
    """A form of *fields* and *files* (name, file name, type, content)."""
    boundary = b"--" + KIND.partition("boundary=")[2].encode()
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields]
    parts += [
        f'name="{name}"; filename="{file}"\r\nContent-Type: {kind}\r\n\r\n'.encode() + data
        for name, file, kind, data in files
    ]
    head = b"\r\nContent-Disposition: form-data; "
    return b"".join(boundary + head + part + b"\r\n" for part in parts) + boundary + b"--\r\n"


def uploaded(path, *files, id_="1", **how):
    headers = (("content-type", KIND),)
    return replace(
        exchange("openai", path, {"text": "hello"}, form(*files, **how)),
        id=id_,
        request_headers=Headers(headers),
    )


SOUND = ("file", "a.wav", "audio/wav", WAV)
UPLOADS = {
    "transcription": ("/v1/audio/transcriptions", [SOUND]),
    "image edit": (
        "/v1/images/edits",
        [("image[]", "a.png", "image/png", PNG), ("mask", "m.png", "image/png", PNG + b"m")],
    ),
    "file upload": ("/v1/files", [("file", "batch.jsonl", "application/jsonl", LINES)]),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_files_of_forms_are_media(name):
    path, files = UPLOADS[name]
    recording = Recording()
    for id_ in "12":
        recording.take(uploaded(path, *files, id_=id_))
    media = recording.rows("select sha256, mime_type, size, data, first_call_id from media")
    assert sorted((m["mime_type"], m["size"], m["data"]) for m in media) == sorted(
        (kind, len(data), data) for _, _, kind, data in files
    )
    assert {medium["first_call_id"] for medium in media} == {"1"}
    kept = {medium["sha256"]: medium["data"] for medium in media}
    for row in recording.rows("select call_id from payloads"):
        body = request_of(recording.db, row["call_id"])
        assert not any(data in body for *_, data in files)
        assert put_back(body, kept.get) == form(*files)


def test_a_sound_in_a_form_has_its_length_and_is_named_by_the_message():
    recording = Recording()
    recording.take(uploaded("/v1/audio/transcriptions", SOUND))
    [medium] = recording.rows("select sha256, duration_ms from media")
    assert medium["duration_ms"] == 500
    [found] = recording.rows("select content from messages where role = 'user'")
    assert medium["sha256"] in found["content"]


def test_a_file_with_a_secret_is_redacted_where_it_stands():
    secret = b"sk-ant-api03-" + b"Ab3" * 30
    recording = Recording()
    recording.take(uploaded("/v1/files", ("file", "a.txt", "text/plain", LINES + secret)))
    assert recording.rows("select * from media") == []
    [row] = recording.rows("select call_id from payloads")
    body = request_of(recording.db, row["call_id"])
    assert secret not in body
    assert LINES in body


def test_a_form_that_was_cut_keeps_what_came():
    """A file without an end is no medium, and nothing of the body is lost."""
    sent = uploaded("/v1/audio/transcriptions", SOUND)
    for end in range(0, len(sent.request.data), 97):
        data = sent.request.data[:end]
        cut = replace(sent, request=replace(sent.request, data=data, complete=False))
        kept = payload_of(cut, understand(cut))
        media = {medium.sha256: medium.data for medium in kept.media}
        assert put_back(kept.request_body or b"", media.get) == data
