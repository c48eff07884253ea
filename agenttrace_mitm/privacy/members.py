"""Secrets that are known by where they stand in JSON, whatever they look like.

A tool's `authorization`, the headers that an MCP server is called with, the key of a data source,
a client secret that a reply hands out.  `in_bytes` finds them in JSON, lines of JSON, events,
JSON inside strings, and what a cut left of them; `is_secret` judges one member of a value.
"""

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec

from ..secret_names import is_credential_header
from .headers import is_kept

type Span = tuple[int, int]
"""Where a value begins and ends, its quotes aside."""

_DEFINITIONS = frozenset(
    ("connectors", "datasources", "mcpservers", "oauth", "serviceauth", "servers", "tools")
)
"""Members under which a client says what to call and how: what names a secret there, holds one."""

_SCHEMAS = frozenset(
    (
        *("$defs", "definitions", "inputschema", "jsonschema", "outputschema", "properties"),
        *("arguments", "examples", "input", "inputexamples", "parameterdefinitions", "schema"),
    )
)
"""Members below which a definition speaks about values instead of giving them."""

_DATA_SOURCES = "datasources"
_HEADERS = frozenset(
    f"{whose}headers" for whose in ("", "custom", "default", "extra", "http", "request", "static")
)
_AUTHORIZATIONS = frozenset(("authorization", "proxyauthorization", "authorizationtoken"))
_HOLDERS = frozenset(
    (
        *("auth", "authentication", "clientsecret", "credentials", "domainsecrets", "oauth"),
        "serviceauth",
    )
)
_HELD = frozenset(("key", "secret", "token", "value"))
_ENDINGS = (
    *("accesskey", "accountkey", "apikey", "apikeystring", "authorization", "connectionstring"),
    "passphrase",
    *("password", "privatekey", "secret", "secretkey", "token"),
)
_EXPIRY = "expiresat"

_SAYS_NOTHING = re.compile(
    # An authorization scheme, and instead of what follows it: a variable, a template, a mask.
    r"(?:(?i:basic|bearer|token|api-?key)(?:\s+|\Z))?"
    r"(?:\$\w+|\$\{[^{}]*\}|\$?\{\{[^{}]*\}\}|\{[\w.]*\}|<[^<>]*>|%\w+%"
    r"|\[redacted:\w+\]|(?i:redacted|null|none|true|false)|[\W_]*)\s*"
)
_SCHEMES = ("AWS4-", "Digest ", "OAuth ", "Signature ")
_RANDOM, _WORD = re.compile(r"[\w.~+/=-]{16,}"), re.compile(r"[a-z]{7}")
_SHORTEST = 6
"""Characters of what is called a secret where such are given; less is the name of a way."""
_DIGIT, _UPPER, _LOWER = re.compile(r"[0-9]"), re.compile(r"[A-Z]"), re.compile(r"[a-z]")

_MARKERS = (b"uth", b"eaders", b"ecret", b"xpires", b"ataSources", b"ata_sources")
"""All that is judged here stands under or beside a member of which this is a part."""

_MEMBER = re.compile(
    rb"(?:uth(?=[\\\"]|oriz|entic|_?[Tt]oken|_?[Cc]onfig)|eaders|ecret|xpires_?[Aa]t|ata_?[Ss]ources)\w{0,40}"
    rb"\\{0,16}(?:\"|u0022)\s{0,99}:\s{0,99}[\\\"{\[0-9]"
)
_TOKEN = re.compile(
    # A JSON string has no line end in it, so that a stray quote spoils no more than its line.
    # It may be cut: looking for its end again from each quote in it would take for ever.
    rb"\"([^\"\\\r\n]*+(?:\\[^\r\n][^\"\\\r\n]*+)*+)\\?+(?:\"|(?=[\r\n])|\Z)(\s*+:)?|[{}\[\]]"
)
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|[^\r\n])")
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_LIST = "["
_NAMELESS = frozenset(("", _LIST))
_LONG, _MOST_KNOWN = 4096, 2000
_KNOWN: dict[tuple[bytes, int], Sequence[Span]] = {}
"""What was found in long strings, by their digest and how deep they lay."""
_NEAR = 64
_DEEPEST = 4
"""JSON in a string in JSON, and so on: deeper is nobody's wire."""


def is_secret(path: Sequence[str], name: str, value: str, *, expires: bool = False) -> bool:
    """True when *value* of the member *name* is a secret.

    *path* has the names of the members around it, the outermost first, each as `plain` gives it.
    *expires*: beside it stands when it does.
    """
    of, parent = plain(name), path[-1] if path else ""
    in_headers = parent in _HEADERS
    if not (in_headers or _may_name_secret(of)):
        return False
    if len(value) < 512 and _SAYS_NOTHING.fullmatch(value):
        return False
    defined = _is_definition(path)
    if in_headers:
        if defined and of != "name":
            return not is_kept(name)
        return is_credential_header(name.lower()) and _is_opaque(value)
    if of in _AUTHORIZATIONS or (parent in _HOLDERS and of in _HELD):
        return (defined and len(value) >= _SHORTEST) or _is_opaque(value)
    if defined and (of.endswith(_ENDINGS) or (of == "key" and _DATA_SOURCES in path)):
        return True
    return expires and of == "value" and is_random(value)


@lru_cache(4096)
def plain(name: str) -> str:
    """*name* as all its spellings compare: `mcpServers`, `mcp_servers`, `MCP-Servers`."""
    return name.replace("_", "").replace("-", "").lower()


def has_expiry(names: Iterable[str]) -> bool:
    """True when a member of these *names* says when the others end."""
    return any(plain(name) == _EXPIRY for name in names)


def in_bytes(data: bytes) -> list[Span]:
    """Where the secrets of *data* stand, in no particular order."""
    marks = _marks(data)
    return _Reading(data, marks).found() if marks else []


class _Reading:
    """The members of JSON in *data*, one after the other; *marks* are where those of note stand."""

    def __init__(self, data: bytes, marks: list[int], depth: int = 0) -> None:
        self._data, self._marks, self._depth = data, marks, depth
        self._found: list[Span] = []
        self._around: list[str] = []  # what the open objects are the value of, and lists
        self._in_headers = 0  # how many of them
        self._name = ""
        self._pending: dict[int, Span] = {}  # by depth: a `value`, a secret if it expires
        self._dated: set[int] = set()

    def found(self) -> list[Span]:
        for token in _TOKEN.finditer(self._data):
            if token.start(1) < 0:
                self._pass(token[0])
            elif token[2]:
                self._name = _text(token[1])
                if plain(self._name) == _EXPIRY:
                    self._dated.add(len(self._around))
            else:
                self._value(token[1], token.span(1))
        while self._around:  # a body that was cut ends in the middle
            self._pass(b"}")
        return self._found

    def _pass(self, sign: bytes) -> None:
        """A bracket."""
        around = self._around
        match sign:
            case b"{":
                around.append(plain(self._name))
                self._in_headers += around[-1] in _HEADERS
                self._name = ""
            case b"[":
                around.append(_LIST)
            case _ if around:
                expiring = self._pending.pop(len(around), None)
                if expiring and len(around) in self._dated:
                    self._found.append(expiring)
                self._dated.discard(len(around))
                name = around.pop()
                self._in_headers -= name in _HEADERS
                self._name = name if self._in_list() and name != _LIST else ""

    def _in_list(self) -> bool:
        """True where more than one value may belong to a name."""
        return bool(self._around) and self._around[-1] == _LIST

    def _value(self, content: bytes, span: Span) -> None:
        """A string that is a value."""
        name = self._name
        if not self._in_list():
            self._name = ""
        if self._in_headers or _may_name_secret(plain(name)):
            # Of hostile nesting the nearest: looking through all of it at each value takes minutes.
            near = self._around[-_NEAR:]
            path, value = [one for one in near if one not in _NAMELESS], _text(content)
            if is_secret(path, name, value):
                self._found.append(span)
                return
            if is_secret(path, name, value, expires=True):
                self._pending[len(self._around)] = span
        first, last = (bisect_left(self._marks, at) for at in span)
        if first < last and self._depth < _DEEPEST:
            start = span[0]
            within = _within(content, self._depth + 1)
            self._found += [(start + left, start + right) for left, right in within]


def _within(content: bytes, depth: int) -> Sequence[Span]:
    """Where in the string of *content* secrets of the JSON stand that it is.

    A conversation brings its long strings again with each turn: they are read once.
    """
    if len(content) < _LONG:
        return _read_within(content, depth)
    key = hashlib.blake2b(content, digest_size=16).digest(), depth
    found = _KNOWN.get(key)
    if found is None:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        found = _KNOWN[key] = _read_within(content, depth)
    return found


def _read_within(content: bytes, depth: int) -> Sequence[Span]:
    said = bytearray()
    ends, longer = [0], [0]  # up to here in `said`, `content` is so much longer
    at = 0
    for escape in _ESCAPE.finditer(content):
        said += content[at : escape.start()]
        said += _unescaped(escape[0])
        at = escape.end()
        ends.append(len(said))
        longer.append(at - len(said))
    said += content[at:]
    inner = bytes(said)
    marks = _marks(inner)
    if not marks:
        return ()

    def place(at: int) -> int:
        return at + longer[bisect_right(ends, at) - 1]

    return [(place(left), place(right)) for left, right in _Reading(inner, marks, depth).found()]


def _marks(data: bytes) -> list[int]:
    """Where members stand that a secret may be in, or beside."""
    return sorted(
        at for marker in _MARKERS for at in _each(data, marker) if _MEMBER.match(data, at)
    )


def _each(data: bytes, marker: bytes) -> Iterator[int]:
    at = data.find(marker)
    while at >= 0:
        yield at
        at = data.find(marker, at + len(marker))


def _unescaped(escape: bytes) -> bytes:
    """The one byte that *escape* stands for; any byte for what is not ASCII."""
    if len(escape) == 6:
        code = int(escape[2:], 16)
        return bytes((code,)) if code < 128 else b"?"
    return _ESCAPED.get(escape[1:], escape[1:])


def _text(content: bytes) -> str:
    """What the JSON string of *content* says."""
    if b"\\" in content:
        try:
            return msgspec.json.decode(b'"%b"' % content, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return content.decode("utf-8", "replace")


def _is_definition(path: Sequence[str]) -> bool:
    """True where a client says what to call, and how."""
    return not _DEFINITIONS.isdisjoint(path) and _SCHEMAS.isdisjoint(path)


@lru_cache(4096)
def _may_name_secret(of: str) -> bool:
    return of in _HELD or of.endswith(_ENDINGS)


def is_random(value: str) -> bool:
    """True for a value that looks like a secret itself: no date, no name and no words."""
    if not _RANDOM.fullmatch(value) or not _DIGIT.search(value) or _WORD.search(value):
        return False
    return len(value) >= 32 or bool(_UPPER.search(value) and _LOWER.search(value))


def _is_opaque(value: str) -> bool:
    """True when *value* is rather a credential than words: digits in it, or both cases."""
    scheme, _, credential = value.strip().partition(" ")
    credential = credential.strip() if scheme.isalpha() and credential else value
    if len(credential) < 8 or (
        " " in credential and "=" not in credential and not value.startswith(_SCHEMES)
    ):
        return False
    if _DIGIT.search(credential):
        return True
    return len(credential) >= 16 and bool(_UPPER.search(credential) and _LOWER.search(credential))
