"""Forms: fields as JSON would name them, files described, nothing lost where a body was cut."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.wire.media import put_back, replaced
from agenttrace_mitm.wire.multipart import files_in, form_of

KIND = "multipart/form-data; boundary=xyz"


def part(name, content, more=""):
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def test_fields_are_text_and_files_are_described():
    sound = b"RIFF\r\n\r\n\x00--"
    file = part("file", sound, '; filename="a.wav"\r\nContent-Type: audio/wav')
    form = form_of(part("model", b"whisper-1") + file + b"--xyz--\r\n", KIND)
    assert form["model"] == "whisper-1"
    assert form["file"] == {
        "filename": "a.wav",
        "content_type": "audio/wav",
        "size": len(sound),
        "sha256": hashlib.sha256(sound).hexdigest(),
    }


def test_names_need_no_quotes():
    """As .NET sends them, after a content type that may have a name of its own."""
    model = b"--xyz\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=model\r\n"
    sound = (
        b"--xyz\r\nContent-Type: audio/mpeg; name=recording\r\n"
        b"content-disposition: form-data; name=file; filename=a.mp3; filename*=utf-8''a.mp3\r\n"
    )
    body = model + b"\r\nwhisper-1\r\n" + sound + b"\r\nID3\r\n--xyz--\r\n"
    form = form_of(body, KIND)
    assert form["model"] == "whisper-1"
    assert (form["file"]["filename"], form["file"]["size"]) == ("a.mp3", 3)
    [(start, end, kind)] = files_in(body, KIND)
    assert (body[start:end], kind) == (b"ID3", "audio/mpeg; name=recording")


def test_names_that_repeat_hold_a_list():
    form = form_of(part("image[]", b"1") + part("a", b"1") + part("a", b"2") + b"--xyz--", KIND)
    assert form == {"image": ["1"], "a": ["1", "2"]}


def test_a_quoted_boundary_is_one_too():
    assert form_of(part("a", b"1") + b"--xyz--", 'multipart/form-data; boundary="xyz"') == {
        "a": "1"
    }


def test_a_form_that_was_cut_is_read_as_far_as_it_came():
    whole = part("model", b"m") + part("file", b"0123456789", '; filename="f"') + b"--xyz--"
    for end in range(len(whole)):
        form = form_of(whole[:end], KIND)
        assert form.get("model", "m") in ("", "m")


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(0, 1500))
def test_files_are_taken_out_and_put_back_byte_for_byte(files, end):
    data = b"".join(part("file", one, '; filename="f"') for one in files) + b"--xyz--\r\n"
    data = data[:end]
    short, media = replaced(data, files_in(data, KIND))
    kept = {medium.sha256: medium.data for medium in media}
    assert put_back(short, kept.get) == data
    assert all(len(medium.data) >= 96 for medium in media)


def test_what_is_no_form_has_no_fields():
    assert form_of(b"\x00\xff", KIND) == form_of(b"--xyz\r\n", "multipart/form-data") == {}
