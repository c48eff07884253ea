"""Short secrets in lines of text that agents write and read: a command's user, a YAML's password.

Comes in: bytes, in which the lines may be those of JSON strings, at any depth.  Goes out: where a
value stands that is rather a secret than a word, and of what kind it is.
"""

import re
from collections.abc import Iterator, Sequence

from ..model import Json

type Marked = tuple[int, int, str]
"""Where a secret begins and ends, and its kind."""

_NAME = b"curl"
_FLAGS = (b"-u", b"--user", b"-U", b"--proxy-user")
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
_BLANKS = rb"(?:\s|\\+[nrt])*"
_HEAD = re.compile(
    rb"curl(?:\.exe|:[\w.-]{1,32})?"
    rb"(?:(?P<item>\\*[\"'])%b,%b(?P=item)|(?P<quote>\\*[\"'])? )" % (_BLANKS, _BLANKS)
)
"""The command up to its first argument: also Windows' file, an image's tag, a list's item."""
_ARGUMENT = re.compile(
    rb"(?:(?:\\\r?\n|(?:\\{3})+[nr])%b)? *(?:\\*[\"'])?"
    rb"(?:--?[\w#]|[$<{%%]|[a-zA-Z]+://|[\w-]{1,64}[.:/][\w/$])" % _BLANKS
)
"""What a sentence rarely has behind the name: an option, an address, a variable."""
_LETTER = re.compile(rb"\w")
_WORD = re.compile(r"(?s:.*[/\\])?curl(?:\.exe)?")

_PARTS = rb"(?<!\\)(\\*+)(?:(?P<quote>[\"'])|(?P<line>\n|(?<=\\)[nr])|\||;|&(?=[&\s])%b)"
_WITHIN = re.compile(_PARTS % b"")
"""A quote, or where a command may end: its line's end, or what puts another one behind it."""
_WITHIN_TEXT = re.compile(_PARTS % rb"|`|[ \t][a-z]+,?[ \t](?!localhost\b)[a-z]+(?=[0-9.,]*[ \t])")
"""The same, and where a text goes on: its mark of code, two plain words in a row."""
_STRING_ENDS = re.compile(_BLANKS + rb"[,}\]]")
"""What JSON has behind a quote that closes, and a command not behind one that opens."""
_LIST_ENDS = re.compile(rb"(?<!\\)(\\*+[\"']),?%b[)}\]]" % _BLANKS)

_OPTION = rb"(?:-[a-zA-Z]{0,6}[uU]|--(?:proxy-)?user)"
_PAIR = rb"(?P<user>[\w.@+-]{1,64}):(?P<password>[^\s\"'\\<>{}]{3,256})"
_USER = re.compile(rb"[\s\\]%b(?:[ =]|\\*[\"']){0,3}(?:\\*[\"'])?%b" % (_OPTION, _PAIR))
_USER_ITEM = re.compile(
    rb"[\"']%b(?:=|\\*[\"']%b,%b\\*[\"'])?%b" % (_OPTION, _BLANKS, _BLANKS, _PAIR)
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
    for user_of, start, end in _commands(data):
        for found in user_of.finditer(data, start, end):
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


def is_command(words: Sequence[Json]) -> bool:
    """True for a command as the list of its words: `["sudo", "curl", ...]`."""
    texts = [word for word in words if isinstance(word, str)]
    return len(texts) == len(words) and any(_WORD.fullmatch(word) for word in texts)


def _commands(data: bytes) -> Iterator[tuple[re.Pattern[bytes], int, int]]:
    """What finds the user of each command, and where that begins and ends.

    However many commands there are, a byte is in two of them at most.
    """
    at = data.find(_NAME)
    while at >= 0:
        head = _HEAD.match(data, at)
        begins = head is not None and _begins(data, head)
        if head is None or not (begins or _is_run(data, head)):
            at = data.find(_NAME, at + len(_NAME))
            continue
        if head["item"]:
            end, is_whole = _list_end(data, head)
        else:
            end, is_whole = _end(data, head, _WITHIN if begins else _WITHIN_TEXT)
        yield _USER_ITEM if head["item"] else _USER, at, end
        # What is in a command, is scanned with it; what its longest cuts off, goes on behind it.
        last = -1 if is_whole else data.rfind(_NAME, head.end(), end)
        at = last if last >= 0 else data.find(_NAME, max(end, head.end()) - len(_NAME) + 1)


def _begins(data: bytes, head: re.Match[bytes]) -> bool:
    """True where a command begins at *head*, and not a word of a sentence or of another command."""
    if head["item"]:
        return False
    at = head.start()
    before = data[max(0, at - _BEFORE) : at].rstrip(b" +-")
    if not before or before.endswith(_STARTS):
        return True
    # In a sentence too, what stands straight behind it tells.
    if data.startswith(_FLAGS, head.end()):
        return True
    return before.endswith(_LEADS) and data[at - 1 : at] == b" "


def _is_run(data: bytes, head: re.Match[bytes]) -> bool:
    """True where the first argument behind *head* tells that it is run, whatever runs it.

    `time`, `if` and `docker exec app` stand before a command and in sentences alike.
    """
    before = data[max(0, head.start() - 1) : head.start()]
    return not _LETTER.match(before) and _ARGUMENT.match(data, head.end()) is not None


def _end(data: bytes, head: re.Match[bytes], parts: re.Pattern[bytes]) -> tuple[int, bool]:
    """Where the command of *head* ends, at one of *parts*, and whether that is its end.

    What separates commands separates none in quotes, when these are closed on the line.
    """
    at = head.end() - 1
    around = b"" if head["quote"] else _quote_before(data, head.start())
    within, hidden = b"", 0
    last = min(len(data), at + _LONGEST_COMMAND)
    for found in parts.finditer(data, at, last):
        if found["quote"]:
            if found[0] == around:
                return (hidden or found.start()), True
            if not within:
                opens = data[found.start() - 1] in b" \t="
                if not around and not opens and _STRING_ENDS.match(data, found.end()):
                    return found.start(), True
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


def _list_end(data: bytes, head: re.Match[bytes]) -> tuple[int, bool]:
    """Where the list ends that *head* is an item of, and whether that is its end."""
    last = min(len(data), head.end() + _LONGEST_COMMAND)
    for found in _LIST_ENDS.finditer(data, head.end(), last):
        if found[1] == head["item"]:
            return found.start(), True
    return last, last == len(data)


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
