"""Short secrets in lines of text that agents write and read: a command's user, a YAML's password.

Comes in: bytes, in which the lines may be those of JSON strings, at any depth.  Goes out: where a
value stands that is rather a secret than a word, and of what kind it is.
"""

import re
from collections.abc import Iterator

type Marked = tuple[int, int, str]
"""Where a secret begins and ends, and its kind."""

_LONGEST_COMMAND = 500
_END = re.compile(rb"(\\*)(?:\n|(?<=\\)[nr])|\||;|&(?=[&\s])")
"""Where a command ends, unless backslashes say that its line goes on."""
_USER = re.compile(
    rb"[\s\\](?:-[a-zA-Z]{0,6}u|--user)(?:[ =]|\\*[\"']){0,3}(?:\\*[\"'])?"
    rb"(?P<user>[\w.@+-]{1,64}):(?P<password>[^\s\"'\\<>{}]{3,256})"
)
_PLACEHOLDER = re.compile(
    rb"(?i)[$%*\[`].*|x+|\.+|[a-z_-]*(?:pass|password|passwd|pwd|secret|token|key)[a-z_-]*[,.:)]*"
)
"""A variable, a mask, what is said instead of a password."""

_SECRET = rb"[\w#][\w!#%&*+@^?~-]{7,63}"
_PASSWORD = re.compile(
    rb"assword(?:\\*[\"']:[ \t]{0,4}|:[ \t]{1,4})(?P<quote>\\*[\"'])?(?P<value>%b)"
    rb"(?(quote)\\*[\"']|(?=\s|\\+[nr]|\\*\"|\Z))" % _SECRET
)
_WHOLE = re.compile(_SECRET)
_KINDS = tuple(re.compile(kind) for kind in (rb"[0-9]", rb"[A-Z]", rb"[a-z]", rb"[!#%&*+@^?~]"))


def in_bytes(data: bytes) -> Iterator[Marked]:
    """The secrets of *data*."""
    for at in _each(data, b"curl "):
        if found := _USER.search(data, at, _end(data, at)):
            user, password = found["user"], found["password"]
            ids = user.isdigit() and password.isdigit()
            if not ids and not _PLACEHOLDER.fullmatch(password):
                yield *found.span("password"), "basic_auth"
    for at in _each(data, b"assword"):
        found = _PASSWORD.match(data, at)
        if found and is_password(found["value"]):
            yield *found.span("value"), "named_secret"


def is_password(value: bytes) -> bool:
    """True for what no name of a variable and no word is: digits, both cases, and a sign."""
    return bool(_WHOLE.fullmatch(value)) and all(kind.search(value) for kind in _KINDS)


def _end(data: bytes, at: int) -> int:
    """Where the command ends that begins *at*."""
    last = min(len(data), at + _LONGEST_COMMAND)
    for end in _END.finditer(data, at, last):
        # A line that goes on ends in a backslash; where JSON escapes both, in three times as many
        # as its line end alone has.
        escapes = len(end[1] or b"")
        goes_on = escapes and (end[0].endswith(b"\n") or escapes % 3 == 0)
        if not goes_on:
            return end.start()
    return last


def _each(data: bytes, marker: bytes) -> Iterator[int]:
    at = data.find(marker)
    while at >= 0:
        yield at
        at = data.find(marker, at + len(marker))
