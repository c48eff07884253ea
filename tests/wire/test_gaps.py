"""Bodies without their middle: what is whole in the rest is as it was, wherever the cuts are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.wire.gaps import closed, json_around, lines_around

REPLY = {
    "id": "r-1",
    "data": [1.5, {"usage": {"n": 9}}, [[], {}], True],
    "text": 'they say "usage": {"n": 8}}, \\" and \\\\',
    "model": "m",
    "usage": {"n": 3, "detail": {"cached": [1, 2]}},
    "end": None,
}
EVENTS = [
    {"parts": [{"data": "QUJD"}], "usage": {"n": 1}, "id": "a"},
    {"parts": [{"text": '}], "usage": {"n": 7}'}], "usage": {"n": 2}, "id": "b\\"},
]
ABSENT = object()
words = st.text(alphabet='a"\\{}[],:é', max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


def cuts(size):
    return ((start, end) for start in range(size + 1) for end in range(start, size + 1))


def written(value, indent=None):
    return json.dumps(value, indent=indent, ensure_ascii=False).encode()


@pytest.mark.parametrize("indent", [None, 1])
def test_members_of_an_object_are_as_they_were_or_not_there(indent):
    """A gap at every place; a string that looks like usage is a string."""
    body = written(REPLY, indent)
    last = body.rindex(b",", 0, body.rindex(b'"usage"'))
    for start, end in cuts(len(body)):
        made = json_around(body[:start], body[end:])
        found = json.loads(made) if made else {}
        assert all(one == REPLY[name] for name, one in found.items())
        if start > 0 and end <= last:
            assert found["usage"] == REPLY["usage"]


@pytest.mark.parametrize("indent", [None, 1])
def test_elements_of_an_array_have_members_of_one_element(indent):
    """Never of two, and the last one's usage is known as soon as it is there."""
    body = written(EVENTS, indent)
    last = body.rindex(b",", 0, body.rindex(b'"usage"'))
    for start, end in cuts(len(body)):
        made = json_around(body[:start], body[end:])
        found = json.loads(made) if made else []
        for element in found:
            assert any(all(of.get(k, ABSENT) == v for k, v in element.items()) for of in EVENTS)
        if start > 0 and end <= last:
            assert found[-1]["usage"]["n"] == 2


@given(
    value=st.dictionaries(words, values, max_size=4) | st.lists(values, max_size=4),
    at=st.data(),
)
def test_any_document_cut_anywhere(value, at):
    """What comes out is a document, and says nothing that the whole one does not."""
    body = written(value)
    start = at.draw(st.integers(0, len(body)))
    end = at.draw(st.integers(start, len(body)))
    made = json_around(body[:start], body[end:])
    if not made:
        return
    found = json.loads(made)
    assert type(found) is type(value)
    if isinstance(value, dict):
        assert all(one == value[name] for name, one in found.items())


@pytest.mark.parametrize("value", [REPLY, EVENTS])
def test_a_gap_inside_of_one_string_loses_that_string_alone(value):
    """No quotation mark was seen in it: all around it is what it was."""
    body = written(value)
    for start, end in cuts(len(body)):
        if b'"' in body[start:end]:
            continue
        made = json_around(body[:start], body[end:], in_one_string=True)
        if b"null" in made.replace(b'"end": null', b""):
            found = json.loads(made)
            lost = [a for a, b in zip(leaves(found), leaves(value), strict=True) if a != b]
            assert lost in ([], [None])


def leaves(value):
    match value:
        case dict():
            return [leaf for name in value for leaf in leaves(value[name])]
        case list():
            return [leaf for one in value for leaf in leaves(one)]
        case _:
            return [value]


def test_without_an_end_the_beginning_is_closed():
    assert json.loads(json_around(b'{"model": "m", "n": {"a": 1}, "messages": [{"x', b"")) == {
        "model": "m",
        "n": {"a": 1},
    }
    assert json_around(b"words", b"words}") == b""
    assert json_around(b'{"a": 1} {"b', b'": 2}') == b"", "two documents are none"


def test_lines_do_not_run_into_each_other():
    head, tail = b'data: {"a": 1}\n\nevent: b\nda', b'k": 7}\n\ndata: {"z": 9}\n\n'
    assert lines_around(head, tail) == b'data: {"a": 1}\n\nevent: b\n\n\ndata: {"z": 9}\n\n'


def around(head, tail, kind, offset=1000, unquoted=0, *, is_whole=True):
    return closed(head, tail, offset, unquoted, content_type=kind, is_whole=is_whole)


def test_what_overlaps_or_touches_is_whole():
    assert around(b'{"a": 1', b"1}", "application/json", 7) == b'{"a": 11}'
    assert around(b"data: 1", b"2\n\n", "text/event-stream", 7) == b"data: 12\n\n"


def test_a_document_without_its_end_is_not_closed():
    """The last bracket that came may be any."""
    head, tail = b'{"a": 1, "b": [', b'{"usage": 1}'
    assert around(head, tail, "application/json", is_whole=False) is None
    assert around(head, tail, "audio/mpeg") is None
    assert around(b"data: 1\n\nda", b"x\ndata: 2\n\n", "text/event-stream", is_whole=False)


def test_whole_parts_of_a_form_stay():
    kind = 'multipart/form-data; boundary="b"'
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    head = part % (b"language", b"en") + part % (b"file", b"\x00" * 50)
    tail = b"\x00" * 20 + b"\r\n" + part % (b"model", b"whisper-1") + b"--b--\r\n"
    assert around(head[:-10], tail, kind) == (
        part % (b"language", b"en") + part % (b"model", b"whisper-1") + b"--b--\r\n"
    )
    first = part % (b"file", b"\x00" * 50)
    assert around(first, tail, kind) == part % (b"model", b"whisper-1") + b"--b--\r\n"
    assert around(first, b"\x00" * 20, kind) is None
