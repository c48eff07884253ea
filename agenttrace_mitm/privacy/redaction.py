"""Secrets out of text, bytes and JSON, before anything is written.

Looks at long token runs only, found at C speed: 200 KB of source code take under a
millisecond.  What a key looks like is said in `shapes`, where one stands in JSON in `members`;
others are recognised by the digest of the credential that the exchange itself carried.
"""

import base64
import binascii
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from ..model import Json
from ..secret_names import is_credential_parameter
from . import lines, members
from .shapes import (
    AWS_SECRET,
    AWS_SECRET_NAMES,
    AWS_SHORT_NAME,
    BARE_NAMES,
    BEARER,
    EQUALS,
    FORM_FIELD,
    IN_PATH,
    LONG_ENDS,
    NAME_ENDS,
    NAMED,
    PATH_WORDS,
    PRIVATE_KEY,
    SECRET_NAME,
    SHAPES,
    SHORTEST,
    SIGNATURE,
    SIGNATURES,
    SIGNED,
    URL_PASSWORD,
    Shape,
)

_TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def _classes(alphabet: bytes) -> bytes:
    """A translation of members of *alphabet* to `a`, of all else to a space."""
    return bytes(ord("a") if byte in alphabet else ord(" ") for byte in range(256))


_CLASSES = _classes(_TOKEN)
_LONG = b"a" * SHORTEST

# A credential may hold more than the letters of a run; each of these alphabets is tried.
_WIDER = tuple(_TOKEN + more for more in (b".", b".~+/"))
_WIDER_CLASSES = tuple(_classes(alphabet) for alphabet in _WIDER)
_JOINED_CLASSES = _classes(_TOKEN + b".~+/%")
_SHORTEST_CREDENTIAL = 8
_LONGEST_NAMED = 128
_JOINING = b".~+/"
_JOINTS = frozenset({b".", b"~", b"+", b"/", b"="})
_PATHS = frozenset({b"+", b"/"})
_ENCODED_JOINTS = frozenset({b"%2b", b"%2f"})
_EQUALS = frozenset({b"=", b"%", b"\\"})
_DOT, _SLASH = ord("."), ord("/")
_EY = frozenset({b"ey", b"EY"})
"""How the names of AWS's secret keys end."""
_BEFORE_QUOTE = b" \"'=:>\\\t,"
_BYTES = frozenset({b" b", b":b", b",b", b"=b"})
"""Before the quote of Python's bytes."""
_BEFORE_VALUE = b" \"'=:>\\\t+/%"

_VALUE = re.compile(rb"(?:[A-Za-z0-9._~+/-]|%2[BbFf])+(?:=|%3[Dd]){0,2}")
_ENCODED_EQUALS = re.compile(rb"(?:%(?:25)*3[Dd]|\\+u003[Dd])\Z")
_DIGIT, _UPPER, _LOWER = re.compile(rb"[0-9]"), re.compile(rb"[A-Z]"), re.compile(rb"[a-z]")
_DIGITS = re.compile(rb"[0-9][^0-9]*[0-9][^0-9]*[0-9]")
_BASIC = re.compile(r"[\x20-\x7e]*:[\x20-\x7e]*")
_ESCAPED = b"nrtbf"


class Found(NamedTuple):
    """Where a secret stands, and of what kind it is."""

    start: int
    end: int
    kind: str


def _by_start() -> tuple[dict[bytes, list[Shape]], dict[bytes, list[Shape]]]:
    """Shapes by their first two bytes, and by those up to a dot that ends the start."""
    plain: dict[bytes, list[Shape]] = {}
    dotted: dict[bytes, list[Shape]] = {}
    for shape in SHAPES:
        for start in dict.fromkeys(shape.starts):
            name = start.encode()
            found = dotted if name.endswith(b".") else plain
            of = found.setdefault(name if found is dotted else name[:2], [])
            if shape not in of:
                of.append(shape)
    return plain, dotted


_PLAIN, _DOTTED = _by_start()


class Redactor:
    """Replaces secrets by `[redacted:<kind>]` and counts what it replaced in `found`.

    *credentials* are (length, SHA-256 hex) of the credentials of this exchange.
    """

    def __init__(self, credentials: Iterable[tuple[int, str]] = ()) -> None:
        self._digests: dict[int, set[str]] = {}
        for length, digest in credentials:
            if length >= _SHORTEST_CREDENTIAL:
                self._digests.setdefault(length, set()).add(digest.lower())
        self.found: Counter[str] = Counter()

    def data(self, data: bytes) -> bytes:
        """*data* without secrets; the same object when there are none."""
        return self._without(data, self._secrets(data))

    def _without(self, data: bytes, found: list[Found]) -> bytes:
        if not found:
            return data
        pieces, at = [], 0
        for start, end, kind in found:
            pieces += [data[at:start], b"[redacted:", kind.encode(), b"]"]
            self.found[kind] += 1
            at = end
        return b"".join([*pieces, data[at:]])

    def text(self, text: str) -> str:
        """*text* without secrets."""
        if len(text) < _SHORTEST_CREDENTIAL:
            return text
        data = text.encode("utf-8", "surrogatepass")
        clean = self.data(data)
        return text if clean is data else clean.decode("utf-8", "surrogatepass")

    def json(self, value: Json) -> Json:
        """*value* without secrets in strings or keys; the same object when there are none."""
        if value is None or isinstance(value, int | float):
            return value
        try:
            encoded = msgspec.json.encode(value)
        except (TypeError, ValueError):  # bytes inside, lone surrogates, odd keys: walk it
            return self._walk(value)
        if not self._secrets(encoded):
            return value
        return self._walk(value)

    def is_clean(self, value: Json) -> bool:
        """True when *value* holds no secret anywhere; false as well where that is hard to tell."""
        try:
            return not self._secrets(msgspec.json.encode(value))
        except (TypeError, ValueError):
            return False

    def _walk(self, value: Json, path: Sequence[str] = (), name: str = "") -> Json:
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.data(value)
            case list() | tuple():
                items = self._words(value) if lines.is_command(value) else value
                return type(value)(self._item(item, path, name) for item in items)
            case dict():
                inside = (*path, members.plain(name)) if name else path
                expires = members.has_expiry(filter(_is_text, value))
                return {
                    self._key(key): self._item(item, inside, str(key), expires=expires)
                    for key, item in value.items()
                }
            case _:
                return value

    def _words(self, words: Sequence[Json]) -> Json:
        """*words* of a command, without the secrets that only the words before them tell."""
        text = json.dumps(words, ensure_ascii=False)
        data = text.encode("utf-8", "surrogatepass")
        clean = self._without(data, _apart([Found(*marked) for marked in lines.in_bytes(data)]))
        return json.loads(clean.decode("utf-8", "surrogatepass"))

    def _key(self, key: Json) -> Json:
        return self.text(key) if isinstance(key, str) else key

    def _item(self, value: Json, path: Sequence[str], name: str, *, expires: bool = False) -> Json:
        """*value* without secrets, where it is that of the member *name* or in its list."""
        if not isinstance(value, str):
            return self._walk(value, path, name)
        if members.is_secret(path, name, value, expires=expires):
            self.found["named_secret"] += 1
            return "[redacted:named_secret]"
        clean = self.text(value)
        bare = name.lower() in BARE_NAMES
        if clean is value and (bare or SECRET_NAME.fullmatch(name)):
            data = value.encode("utf-8", "surrogatepass")
            looks = members.is_random(value) if bare else _is_value(data, quoted=True)
            looks = looks or (name.lower().endswith("password") and lines.is_password(data))
            if b" " not in data and looks:
                self.found["named_secret"] += 1
                return "[redacted:named_secret]"
        return clean

    def _secrets(self, data: bytes) -> list[Found]:
        """All secrets of *data*, in order, without overlaps."""
        found = [*_blocks(data), *self._in_runs(data), *self._short_credentials(data)]
        found += [Found(*span, "named_secret") for span in members.in_bytes(data)]
        found += [Found(*marked) for marked in lines.in_bytes(data)]
        return _apart(found)

    def _in_runs(self, data: bytes) -> Iterator[Found]:
        classes = data.translate(_CLASSES)
        wide: list[bytes] = []
        in_paths: bool | None = None
        start = classes.find(_LONG)
        while start >= 0:
            end = classes.find(b" ", start)
            if end < 0:
                end = len(data)
            before = data[start - 1] if start else 0
            if before in b"\\%":
                start += _escape(data, start)
            found = None
            # Nearly all runs are nothing: these looks spare the calls.
            if before == _DOT or data[start : start + 2] in _PLAIN or data[end - 2 : end] in _EY:
                found = _shaped(data, start, end)
            if found is None and self._digests:
                joined = data[start - 1 : start] in _JOINTS or data[end : end + 1] in _JOINTS
                if joined or end - start in self._digests:
                    found = self._credential(data, wide, start, end)
            if found is None and before in _BEFORE_VALUE:
                if in_paths is None and before == _SLASH:  # looking costs more than most runs do
                    in_paths = any(word in data for word in PATH_WORDS)
                found = _named(data, start, end, in_paths=bool(in_paths))
            if found is not None:
                yield found
                end = max(end, found.end)
            start = classes.find(_LONG, end)

    def _credential(self, data: bytes, wide: list[bytes], start: int, end: int) -> Found | None:
        """A credential of this exchange that holds the run from *start* to *end*.

        *wide* remembers the classes of *data* in the wider alphabets.
        """
        if self._is_credential(data[start:end]):
            return Found(start, end, "credential")
        if data[start - 1 : start] not in _JOINTS and data[end : end + 1] not in _JOINTS:
            return None
        if not wide:
            wide += [data.translate(classes) for classes in _WIDER_CLASSES]
        shortest, longest = min(self._digests), max(self._digests) + 1
        for classes in wide:
            left = classes.rfind(b" ", max(0, start - longest), start) + 1
            right = classes.find(b" ", end, start + longest + 1)
            if right < 0 and start + longest >= len(data):
                right = len(data)
            if right < 0 or (not left and start > longest):
                continue  # longer than any credential: base64, mostly
            if right + 2 - left < shortest:
                continue
            for begin, stop in _ends(data, left, right):
                if self._is_credential(data[begin:stop]):
                    return Found(begin, stop, "credential")
        return None

    def _is_credential(self, token: bytes) -> bool:
        digests = self._digests.get(len(token))
        return digests is not None and hashlib.sha256(token).hexdigest() in digests

    def _short_credentials(self, data: bytes) -> Iterator[Found]:
        """Credentials that may have no long run: dummy keys of tests, mostly."""
        lengths = [length for length in self._digests if length < 2 * SHORTEST]
        if not lengths:
            return
        # What joins a token: a JSON escape (`\nKEY`, `\u0022KEY`), `%20`, slashes, a full stop.
        joined = [(0, 0), (1, 0), (0, 1), (1, 1)]
        joined += [(before, 0) for sign, before in ((b"%", 2), (b"\\u", 5)) if sign in data]
        joined += [(0, 3)] if b"..." in data else []
        tried: set[bytes] = set()
        for alphabet in (_CLASSES, *_WIDER_CLASSES):
            classes = b" %b " % data.translate(alphabet)
            for length in lengths:
                for before, behind in joined:
                    marker = b" %b " % (b"a" * (before + length + behind))
                    at = classes.find(marker)
                    while at >= 0:
                        token = data[at + before : at + before + length]
                        if token not in tried and self._is_credential(token):
                            for start in _each(data, token):
                                yield Found(start, start + length, "credential")
                        tried.add(token)
                        at = classes.find(marker, at + len(marker) - 1)


class _Clean(Redactor):
    """For values that were found to be clean: gives all of them back as they are."""

    def data(self, data: bytes) -> bytes:
        return data

    def text(self, text: str) -> str:
        return text

    def json(self, value: Json) -> Json:
        return value

    def is_clean(self, value: Json) -> bool:
        return True


CLEAN: Redactor = _Clean()


def _apart(found: list[Found]) -> list[Found]:
    """*found* in order, those that overlap as one."""
    if len(found) < 2:
        return found
    found.sort(key=lambda one: (one.start, -one.end))
    apart = [found[0]]
    for one in found[1:]:
        last = apart[-1]
        if one.start >= last.end:
            apart.append(one)
        elif one.end > last.end:
            apart[-1] = Found(last.start, one.end, last.kind)
    return apart


def _is_text(key: Json) -> bool:
    return isinstance(key, str)


def _ends(data: bytes, left: int, right: int) -> Iterator[tuple[int, int]]:
    """Where a token may begin and end: an escape or joint before it, joints or padding behind."""
    padding = len(data[right : right + 2]) - len(data[right : right + 2].lstrip(b"="))
    rights = [right + more for more in range(padding + 1)]
    inside = data[left:right]
    rights.append(left + len(inside.rstrip(_JOINING)))
    before = data[left - 1] if left else 0
    lefts = {left, right - len(inside.lstrip(_JOINING))}
    if before in b"\\%":
        lefts.add(left + _escape(data, left))
    for begin in sorted(lefts):
        yield from ((begin, stop) for stop in rights)


def _escape(data: bytes, start: int) -> int:
    """How much of the run that begins at *start* belongs to an escape before it."""
    if data[start - 1] == ord("%"):
        return 2
    if data[start] == ord("u"):
        return 5
    return 1 if data[start] in _ESCAPED else 0


def _shaped(data: bytes, start: int, end: int) -> Found | None:
    for shape in _PLAIN.get(data[start : start + 2], ()):
        if found := shape.pattern.match(data, start):
            return Found(start, found.end(), shape.kind)
    if data.endswith(AWS_SECRET_NAMES, start, end) and (found := AWS_SECRET.match(data, end)):
        return Found(*found.span(1), "aws_secret")
    if start > 2 and data[start - 1] == ord("."):
        for name, shapes in _DOTTED.items():
            left = start - len(name)
            if left >= 0 and data.startswith(name, left) and not _joined(data, left):
                for shape in shapes:
                    if found := shape.pattern.match(data, left):
                        return Found(left, found.end(), shape.kind)
    return None


def _joined(data: bytes, at: int) -> bool:
    """True when a token goes on to the left of *at*, a JSON escape aside."""
    if not at or data[at - 1] not in _TOKEN:
        return False
    return not (at > 1 and data[at - 2] == ord("\\") and data[at - 1] in _ESCAPED)


def _named(data: bytes, start: int, end: int, *, in_paths: bool) -> Found | None:
    """A value that its name or its Authorization scheme marks as a secret, or *in_paths* a URL."""
    joint = data[start - 1 : start]
    if in_paths and joint == b"/" and IN_PATH.search(data[max(0, start - 96) : start]):
        return Found(start, end, "url_token")
    if joint in _PATHS or data[start - 3 : start].lower() in _ENCODED_JOINTS:
        # The value may begin before its first long run.
        first = max(0, start - _LONGEST_NAMED)
        space = data[first:start].translate(_JOINED_CLASSES).rfind(b" ")
        if space < 0:
            return None
        start = first + space + 1
    before = data[max(0, start - 64) : start]
    name = before.rstrip(_BEFORE_QUOTE)
    if name[-2:] in _BYTES:
        name = name[:-1].rstrip(_BEFORE_QUOTE)
    if name.endswith((b"3D", b"3d")):
        name = _ENCODED_EQUALS.sub(b"", name)
    ending = name[-3:].lower()
    if ending in NAME_ENDS:
        if ending in LONG_ENDS and not name[-13:].lower().endswith(LONG_ENDS[ending]):
            return None
        if not _is_value(data[start:end], quoted=True):
            return None
        if (said := NAMED.search(before)) and _is_value(data[start:end], _is_quoted(said)):
            lone = said["bare"] or said["line"] or said["paired"]
            if lone and not members.is_random(data[start:end].decode("latin-1")):
                return None
            return Found(start, _value_end(data, start), "named_secret")
    elif ending in (b"rer", b"sic") and (said := BEARER.search(before)):
        return _authorizing(data, start, said[1].lower())
    return None


def _authorizing(data: bytes, start: int, scheme: bytes) -> Found | None:
    """What stands behind the *scheme* of an Authorization header, where it is no word."""
    end = _value_end(data, start)
    value = data[start:end]
    if scheme == b"basic":
        return Found(start, end, "basic_auth") if _is_basic(value) else None
    return Found(start, end, "bearer_token") if _DIGIT.search(value) else None


def _is_quoted(said: re.Match[bytes]) -> bool:
    return bool(said["quote"] or said["paired"])


def _value_end(data: bytes, start: int) -> int:
    found = _VALUE.match(data, start)
    return found.end() if found else start


def _is_value(value: bytes, quoted: bool) -> bool:
    """True when *value* is rather a secret than a name: it has several digits, or mixed ones."""
    if len(value) < SHORTEST:
        return False
    if _DIGITS.search(value):
        return True
    return quoted and all(kind.search(value) for kind in (_DIGIT, _UPPER, _LOWER))


def _is_basic(value: bytes) -> bool:
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return _BASIC.fullmatch(decoded) is not None


def _blocks(data: bytes) -> Iterator[Found]:
    """Secrets that are not one run: PEM keys, passwords in URLs, AWS secret keys."""
    for at in _each(data, b"-----BEGIN "):
        if found := PRIVATE_KEY.match(data, at):
            yield Found(at, found.end(), "private_key")
    for at in _each(data, b"@"):
        scheme = data.rfind(b"://", max(0, at - 400), at)
        if scheme >= 0 and (found := URL_PASSWORD.match(data, scheme)):
            yield Found(*found.span(1), "url_password")
    for at in _each(data, AWS_SHORT_NAME):
        if found := AWS_SECRET.match(data, at + len(AWS_SHORT_NAME)):
            yield Found(*found.span(1), "aws_secret")
    for marker in SIGNATURES:
        more = len(marker)
        for at in _each(data, marker):
            if data[at + more : at + more + 1] in _EQUALS:
                yield from _signature(data, at, at + more)
    if data.startswith(b"--"):
        for at in _each(data, b"form-data; "):
            if (found := FORM_FIELD.match(data, at)) and _is_in_form(found[1]):
                yield Found(*found.span(2), "named_secret")


def _signature(data: bytes, start: int, end: int) -> Iterator[Found]:
    """The value of a parameter by which a URL is signed; its name ends from *start* to *end*."""
    sign = EQUALS.match(data, end)
    if (
        sign
        and SIGNED.search(data[max(0, start - 48) : sign.end()])
        and (found := SIGNATURE.match(data, sign.end()))
        and _is_signature(found[0])
    ):
        yield Found(*found.span(), "url_signature")


def _is_signature(value: bytes) -> bool:
    """True for base64 or hexadecimal digits rather than words with dashes."""
    if re.fullmatch(rb"[0-9a-fA-F]{32,}", value):
        return True
    return all(kind.search(value) for kind in (_DIGIT, _UPPER, _LOWER))


def _is_in_form(name: bytes) -> bool:
    """True for a form's field that holds a credential; its `key` is the name of an object."""
    return name != b"key" and is_credential_parameter(name.decode())


def _each(data: bytes, marker: bytes) -> Iterator[int]:
    at = data.find(marker)
    while at >= 0:
        yield at
        at = data.find(marker, at + len(marker))
