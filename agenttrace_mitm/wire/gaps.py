"""Bodies of which the middle is missing, put together from their beginning and their end.

Comes in: what is kept of a body that was whole on the wire, without its content encoding.  Goes
out: a body of the same kind in which everything is whole: lines, or the members of a JSON
document.  What lay in the gap, or on one of its edges, is left out; nothing is guessed.
"""

import re

from .boundaries import boundary_of

# Whole strings and all that is neither string nor bracket; near the root commas count as well,
# which part the members.
_DEEP = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_SHALLOW = re.compile(rb'(?:[^"{}\[\],]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_MARK = re.compile(rb'["{}\[\],]')
_FORM = "multipart/form-data"
_BACKSLASH = ord("\\")
_LINES = ("text/event-stream", "application/x-ndjson", "application/jsonl")
_CLOSING = {b"{": b"}", b"[": b"]"}


def can_be_closed(content_type: str) -> bool:
    """Whether a body of this type still tells something when its middle is missing."""
    kind = _kind(content_type)
    return kind in _LINES or kind.endswith("json") or kind == _FORM


def closed(
    head: bytes, tail: bytes, offset: int, unquoted: int, *, content_type: str, is_whole: bool
) -> bytes | None:
    """The body that begins with *head* and ends with *tail*, which is its bytes from *offset* on.

    In the *unquoted* bytes before *tail* is no quotation mark.  *is_whole* says that the body had
    its end; without it only lines can be read on.  None where nothing is to be had but *head*.
    """
    kind = _kind(content_type)
    if tail and offset <= len(head):
        return head[:offset] + tail
    if kind in _LINES:
        return lines_around(head, tail) if tail else None
    if kind == _FORM:
        return form_around(head, tail, content_type) if tail else None
    if not is_whole or not kind.endswith("json"):
        return None
    return json_around(head, tail, in_one_string=offset - unquoted <= len(head)) or None


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def form_around(head: bytes, tail: bytes, content_type: str) -> bytes | None:
    """The whole parts of both, where *tail* has any: a boundary stands in none of them."""
    boundary = b"\r\n" + boundary_of(content_type)
    start, end = tail.find(boundary), head.rfind(boundary)
    if len(boundary) == 2 or start < 0:
        return None
    # The first boundary has no line before it.
    return head[:end] + tail[start:] if end >= 0 else tail[start + 2 :]


def lines_around(head: bytes, tail: bytes) -> bytes:
    """The whole lines of both, an empty one between them: events do not run into each other."""
    # In one step: both may be large.
    whole = memoryview(head)[: head.rfind(b"\n") + 1]
    return b"".join((whole, b"\n", memoryview(tail)[tail.find(b"\n") + 1 :]))


def json_around(head: bytes, tail: bytes, *, in_one_string: bool = False) -> bytes:
    """The JSON document of which *head* is the beginning and *tail* the end.

    Members of the outermost object that are whole in *head* or in *tail*; of an array the whole
    elements, and those members of a cut one that are whole.  *in_one_string* says that no quote
    stands in the gap: if it lies in a string, that string is null and all else as it was.
    Without a *tail* the document is closed behind its beginning.  Empty where it is none.
    """
    before = _Head(head)
    if not before.root:
        return b""
    after = _Tail(tail, before.root)
    if in_one_string and before.string >= 0 and after.string >= 0:
        rest = tail[after.string + 1 :]
        if not rest.lstrip().startswith(b":"):  # a name cannot be null
            return head[: before.string] + b"null" + rest
    kept, rest = before.whole(), after.whole()
    comma = b"" if kept.endswith(before.root) or rest == _CLOSING[before.root] else b","
    return kept + comma + rest


class _Head:
    """The beginning of a document: where its whole members end, and whether a string is open."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.root = data[: len(data) - len(data.lstrip(b"\xef\xbb\xbf \t\r\n")) + 1][-1:]
        self.string = -1
        """Where the string begins in which the data end; -1 when they end in none."""
        self._members = self._inner = 0
        self._element = b""
        if self.root not in _CLOSING:
            self.root = b""
        else:
            self._read()

    def whole(self) -> bytes:
        """What is whole, the outermost bracket still open."""
        if self._inner:
            return self._data[: self._inner] + b"}"
        return self._data[: self._members]

    def _read(self) -> None:
        data, depth, at = self._data, 0, 0
        while (start := _end_of(_SHALLOW if depth <= 2 else _DEEP, data, at)) < len(data):
            at = start + 1
            match data[start:at]:
                case b'"':
                    self.string = start
                    return
                case b"{" | b"[" as bracket:
                    depth += 1
                    if depth == 1:
                        self._members = at
                    elif depth == 2:
                        self._element = bracket
                case b",":
                    self._part(start, depth)
                case _:
                    depth -= 1
                    if depth == 1:
                        self._members, self._inner = at, 0
                    elif depth == 0:  # whole, or the beginning of something else
                        self.root = b""
                        return

    def _part(self, comma: int, depth: int) -> None:
        if depth == 1:
            self._members, self._inner = comma, 0
        elif depth == 2 and self.root == b"[" and self._element == b"{":
            self._inner = comma


class _Tail:
    """The end of a document, read backwards from its last bracket.

    Outside of a string a quote closes one, and the next before it that is not escaped opens it:
    that much is certain however the data begin.
    """

    def __init__(self, data: bytes, root: bytes) -> None:
        self._data = data
        self._root = root
        self.string = -1
        """Where the string ends in which the data begin; -1 when they begin in none."""
        self._members = self._inner = -1
        self._last = len(data.rstrip(b" \t\r\n")) - 1
        if data[self._last : self._last + 1] == _CLOSING[root] and self._last >= 0:
            self._read()

    def whole(self) -> bytes:
        """What is whole, and the outermost bracket's end."""
        if self._inner >= 0:
            return b"{" + self._data[self._inner : self._last + 1]
        if self._members >= 0:
            return self._data[self._members : self._last + 1]
        return _CLOSING[self._root]

    def _read(self) -> None:
        data = self._data
        backwards = data[self._last :: -1]
        depth, at, element = 0, 0, b""
        while mark := _MARK.search(backwards, at):
            at = mark.end()
            here = len(backwards) - at
            match mark.group():
                case b'"':
                    opened = _opening(data, here)
                    if opened < 0:
                        self.string = here
                        return
                    at = len(backwards) - opened
                case b"}" | b"]" as bracket:
                    depth += 1
                    element = bracket if depth == 2 else element
                case b",":
                    if depth == 1:
                        self._members, self._inner = here + 1, -1
                    elif depth == 2 and self._root == b"[" and element == b"}":
                        self._inner = here + 1
                case _:
                    depth -= 1
                    if depth == 1 and self._root == b"[":
                        self._members, self._inner = here, -1
                    elif depth == 0:  # not the end of what began elsewhere
                        self._members = self._inner = -1
                        return


def _end_of(skipped: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = skipped.match(data, at)
    return found.end() if found else at


def _opening(data: bytes, closing: int) -> int:
    """Where the string begins that ends at *closing*; -1 where that cannot be told."""
    at = closing
    while (at := data.rfind(b'"', 0, at)) >= 0:
        slashes = at
        while slashes and data[slashes - 1] == _BACKSLASH:
            slashes -= 1
        if slashes == 0:
            return -1  # whatever stands before it decides, and that is not here
        if (at - slashes) % 2 == 0:
            return at
    return -1
