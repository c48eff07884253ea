"""Short secrets in lines of text that agents write and read: a command's user, a YAML's password.

Comes in: bytes, in which the lines may be those of JSON strings, at any depth.  Goes out: where a
value stands that is rather a secret than a word, and of what kind it is.
"""

import re
from collections.abc import Iterator

type Marked = tuple[int, int, str]
"""Where a secret begins and ends, and its kind."""

_COMMAND = b"curl "
_FLAGS = (b"-u", b"--user")
_LONGEST_COMMAND = 500
_BEFORE = 64
"""Bytes before a command in which it shows that one begins."""
_STARTS = (
    *(b"\n", b"\r", b"\\n", b"\\r", b"\t", b"\\t", b"\xe2\x86\x92", b"\\u2192"),
    *(b";", b"|", b"&", b"(", b"{", b"!", b"`", b'"', b"'"),
)
"""What a command begins behind: lines, numbered ones as well, other commands, quotes."""
_LEADS = (b"sudo", b"; do", b"; then", b"else", b"run:", b"RUN", b"CMD", b"$", b"#", b"%", b">")
"""Words and prompts that a command stands behind, and a space."""
_WITHIN = re.compile(rb"(?<!\\)(\\*+)(?:(?P<quote>[\"'])|(?P<line>\n|(?<=\\)[nr])|\||;|&(?=[&\s]))")
"""A quote, or where a command may end: its line's end, or what puts another one behind it."""
_USER = re.compile(
    rb"[\s\\](?:-[a-zA-Z]{0,6}u|--user)(?:[ =]|\\*[\"']){0,3}(?:\\*[\"'])?"
    rb"(?P<user>[\w.@+-]{1,64}):(?P<password>[^\s\"'\\<>{}]{3,256})"
)
_PLACEHOLDER = re.compile(
    rb"(?i)[$%*\[`].*|x+|\.+|[a-z_-]*(?:pass|password|passwd|pwd|secret|token|key)[a-z_-]*[,.:)]*"
)
"""A variable, a mask, what is said instead of a password."""

_SECRET = rb"[\w#][\w!#$%&*+.@^?~-]{7,63}"
_PASSWORD = re.compile(
    rb"(?:assword|ASSWORD)(?:\\*[\"']:[ \t]{0,4}|:[ \t]{1,4})(?P<quote>\\*[\"'])?(?P<value>%b)"
    rb"(?(quote)\\*[\"']|(?=\s|\\+[nr]|\\*\"|\Z))" % _SECRET
)
_MEMBER = re.compile(rb"[a-zA-Z_$][\w$]*(?:[?!]?\.[a-zA-Z_$][\w$]*)+[?!]?|\w*\$[A-Z_][A-Z0-9_]*")
"""What code reads a password from: a member of something, a variable."""
_WHOLE = re.compile(_SECRET)
_KINDS = tuple(re.compile(kind) for kind in (rb"[0-9]", rb"[A-Z]", rb"[a-z]", rb"[!#$%&*+@^?~]"))


def in_bytes(data: bytes) -> Iterator[Marked]:
    """The secrets of *data*."""
    for start, end in _commands(data):
        for found in _USER.finditer(data, start, end):
            user, password = found["user"], found["password"]
            ids = user.isdigit() and password.isdigit()
            if not ids and not _PLACEHOLDER.fullmatch(password):
                yield *found.span("password"), "basic_auth"
    for marker in (b"assword", b"ASSWORD"):
        for at in _each(data, marker):
            named = _PASSWORD.match(data, at)
            if named and is_password(named["value"]):
                yield *named.span("value"), "named_secret"


def is_password(value: bytes) -> bool:
    """True for what no name of a variable and no word is: digits, both cases, and a sign."""
    if not _WHOLE.fullmatch(value) or _MEMBER.fullmatch(value):
        return False
    return all(kind.search(value) for kind in _KINDS)


def _commands(data: bytes) -> Iterator[tuple[int, int]]:
    """Where commands begin and end; however many there are, a byte is in two of them at most."""
    at = data.find(_COMMAND)
    while at >= 0:
        if not _begins(data, at):
            at = data.find(_COMMAND, at + len(_COMMAND))
            continue
        end, is_whole = _end(data, at)
        yield at, end
        # What is in a command, is scanned with it; what its longest cuts off, goes on behind it.
        last = -1 if is_whole else data.rfind(_COMMAND, at + len(_COMMAND), end)
        at = last if last >= 0 else data.find(_COMMAND, max(end, at + len(_COMMAND)) - 4)


def _begins(data: bytes, at: int) -> bool:
    """True where a command begins *at*, and not a word of a sentence or of another command."""
    before = data[max(0, at - _BEFORE) : at].rstrip(b" +-")
    if not before or before.endswith(_STARTS):
        return True
    # In a sentence too, what stands straight behind it tells.
    if data.startswith(_FLAGS, at + len(_COMMAND)):
        return True
    return before.endswith(_LEADS) and data[at - 1 : at] == b" "


def _end(data: bytes, at: int) -> tuple[int, bool]:
    """Where the command ends that begins *at*, and whether that is its end.

    What separates commands separates none in quotes, when these are closed on the line.
    """
    around = _quote_before(data, at)
    within, hidden = b"", 0
    last = min(len(data), at + _LONGEST_COMMAND)
    for found in _WITHIN.finditer(data, at, last):
        if found["quote"]:
            if found[0] == around:
                return (hidden or found.start()), True
            if not within:
                within = found[0]
            elif found[0] == within:
                within, hidden = b"", 0
            continue
        # A line that goes on ends in a backslash; where JSON escapes both, in three times as many
        # as its line end alone has.
        escapes = len(found[1])
        if escapes and (found[0].endswith(b"\n") or escapes % 3 == 0):
            continue
        if found["line"] or not within:
            return (hidden or found.start()), True
        hidden = hidden or found.start()
    return (hidden or last), last == len(data) or bool(hidden)


def _quote_before(data: bytes, at: int) -> bytes:
    """The quote that the command at *at* stands in from its first letter on, with its escapes."""
    quote = data[at - 1 : at] if at else b""
    if quote not in (b'"', b"'"):
        return b""
    before = data[max(0, at - _BEFORE) : at - 1]
    return before[len(before.rstrip(b"\\")) :] + quote


def _each(data: bytes, marker: bytes) -> Iterator[int]:
    at = data.find(marker)
    while at >= 0:
        yield at
        at = data.find(marker, at + len(marker))
