"""Media are recognised by their first bytes, and taken out of a body without changing it."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.wire.media import described, put_back, set_aside

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + bytes(100)
GIF = b"GIF89a" + struct.pack("<HH", 10, 20) + bytes(100)
JPEG = (
    b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14)
    + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 33, 44) + bytes(90)
)  # fmt: skip
WEBP = b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x63\0\0\x31\0\0" + bytes(90)
LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + struct.pack("<I", 7 | 4 << 14) + bytes(90)
LOSSY = b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 64, 32) + bytes(90)
WAV = (
    b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    + b"data" + struct.pack("<I", 8000) + bytes(8000)
)  # fmt: skip


def body_with(*media):
    blocks = [{"type": "image", "data": base64.b64encode(one).decode()} for one in media]
    return json.dumps({"messages": [{"role": "user", "content": blocks}]}).encode()


@pytest.mark.parametrize(
    ("data", "mime_type", "width", "height", "duration_ms"),
    [
        (PNG, "image/png", 640, 480, None),
        (GIF, "image/gif", 10, 20, None),
        (JPEG, "image/jpeg", 44, 33, None),
        (WEBP, "image/webp", 100, 50, None),
        (LOSSLESS, "image/webp", 8, 5, None),
        (LOSSY, "image/webp", 64, 32, None),
        (WAV, "audio/wav", None, None, 500),
        (b"%PDF-1.7" + bytes(90), "application/pdf", None, None, None),
    ],
)
def test_headers_tell(data, mime_type, width, height, duration_ms):
    medium = described(data)
    assert (medium.mime_type, medium.width, medium.height) == (mime_type, width, height)
    assert medium.duration_ms == duration_ms


@pytest.mark.parametrize(
    "whole", [PNG, GIF, JPEG, WEBP, WAV], ids=["png", "gif", "jpg", "webp", "wav"]
)
def test_a_medium_cut_anywhere_is_no_error(whole):
    for end in range(min(len(whole), 64)):
        described(whole[:end])


def test_a_medium_is_taken_out_once_and_put_back():
    body = body_with(PNG, GIF, PNG)
    short, media = set_aside(body)
    assert [medium.data for medium in media] == [PNG, GIF]
    assert short.count(b"$media:sha256:") == 3
    assert base64.b64encode(PNG) not in short
    kept = {medium.sha256: medium.data for medium in media}
    assert put_back(short, kept.get) == body


def test_data_urls_keep_their_head():
    url = b'{"url":"data:image/png;base64,' + base64.b64encode(PNG) + b'"}'
    short, [medium] = set_aside(url)
    assert short == b'{"url":"data:image/png;base64,$media:sha256:' + medium.sha256.encode() + b'"}'


@pytest.mark.parametrize(
    "text",
    [
        b'"' + b"a" * 5000 + b'"',
        base64.b64encode(b"plain words, no medium " * 50),
        base64.urlsafe_b64encode(PNG[:24] + b"\xff\xfe\xfd" * 60),
        base64.b64encode(PNG).rstrip(b"=") + b"AAAA",
        b"",
        b"short",
    ],
)
def test_what_is_no_medium_or_spelled_otherwise_stays(text):
    short, media = set_aside(text)
    assert put_back(short, {medium.sha256: medium.data for medium in media}.get) == text


def test_a_reference_to_what_is_gone_stays():
    short, _ = set_aside(body_with(PNG))
    assert put_back(short, lambda sha256: None) == short


@given(st.lists(st.one_of(st.sampled_from([base64.b64encode(PNG), b"=", b"$media:"]), st.binary())))
def test_nothing_is_lost_whatever_the_body(pieces):
    body = b"".join(pieces)
    short, media = set_aside(body)
    assert put_back(short, {medium.sha256: medium.data for medium in media}.get) == body
