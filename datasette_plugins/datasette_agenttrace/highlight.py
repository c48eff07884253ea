"""Code with its words marked: for pages that show what agents read, wrote, ran and said.

A language is known by a file's name, a fence's word, or that something is a command; nothing is
guessed from what stands there.  Pygments says what the words are, and we say so in six classes.
What is recorded may be made to do harm, so its lexers are few, what they are given is bounded, and
what they give back must be the same text, which is escaped here.  A thread does that: other pages
go on meanwhile.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Literal, Name, Number, Operator, String

BLOCK_LINES = 400
BLOCK_CHARS = 20_000
LINE_CHARS = 500
BLOCK_SECONDS = 0.2  # of the processor: text can be made for which a lexer takes many times that
PAGE_CHARS = 40_000  # of code that is marked on a page: what comes after is plain
FILE_CHARS = 200_000  # the same of a shared file
REMEMBERED_CHARS = 4_000_000

_LANGUAGES = {
    "bash": "sh bash zsh ksh shell console", "c": "c h", "cpp": "cpp cc cxx hpp hh c++",
    "csharp": "cs csharp c#", "css": "css", "dart": "dart", "diff": "diff patch",
    "docker": "dockerfile docker", "elixir": "ex exs elixir", "go": "go golang",
    "html": "html htm", "ini": "ini cfg conf", "java": "java",
    "javascript": "js mjs cjs jsx javascript", "json": "json jsonc jsonl webmanifest",
    "kotlin": "kt kts kotlin", "lua": "lua", "make": "makefile mk make", "perl": "pl pm perl",
    "php": "php", "python": "py pyi python python3", "r": "r", "ruby": "rb ruby gemfile rakefile",
    "rust": "rs rust", "scala": "scala", "scss": "scss", "sql": "sql", "swift": "swift",
    "toml": "toml", "typescript": "ts mts cts tsx typescript", "xml": "xml svg xsd",
    "yaml": "yml yaml",
}  # fmt: skip
_BY_WORD = {word: name for name, words in _LANGUAGES.items() for word in words.split()}
# The first that a token's type is in.
_CLASSES = (
    (Comment, "at-cm"), (String, "at-st"), (Number, "at-nu"), (Literal, "at-st"),
    (Keyword.Type, "at-ty"), (Keyword, "at-kw"), (Operator.Word, "at-kw"),
    (Name.Function, "at-fn"), (Name.Class, "at-fn"), (Name.Decorator, "at-fn"),
    (Name.Tag, "at-kw"), (Name.Attribute, "at-ty"), (Name.Builtin, "at-ty"),
    (Name.Exception, "at-ty"), (Name.Variable, "at-nu"), (Name.Constant, "at-nu"),
    (Generic.Inserted, "at-plus"), (Generic.Deleted, "at-minus"),
)  # fmt: skip
_NUMBERED = re.compile(r" *\d+(?:→|\t)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([A-Za-z0-9+#_.-]{0,30})")


def language_of(path: str) -> str | None:
    """The language of a file by its name."""
    name = re.split(r"[/\\]", path.strip().lower())[-1]
    return _BY_WORD.get(name.rpartition(".")[2])


class Highlighter:
    """Marks the code of one page, *chars* of it at most.

    What was read is folded away: half of that is for what is in sight.
    """

    def __init__(self, chars: int = PAGE_CHARS) -> None:
        self._left = chars
        self._in_sight = chars // 2

    async def command(self, text: str) -> Markup:
        """A command of a shell."""
        return Markup("\n").join(await self._lines(text, "bash"))

    async def file(self, text: str, path: str) -> Markup:
        """What was read of the file at *path*, with or without the numbers that tools put there."""
        return await self._numbered(text, language_of(path))

    async def diff(self, lines: Sequence[str], path: str) -> list[tuple[str, Markup]]:
        """Each line of a change of the file at *path*, plain and marked.

        A hunk is read twice, as it was and as it is: a string that one side opens ends there.
        """
        told = [escape(line) for line in lines]
        language = language_of(path)
        for hunk in _hunks(lines) if language else ():
            for side, kept in (("-", "-"), ("+", " +")):
                ours = [n for n in hunk if lines[n][:1] in (" ", side)]
                if not any(lines[n][:1] in kept for n in ours):
                    continue
                marked = await self._lines("\n".join(lines[n][1:] for n in ours), language)
                for n, line in zip(ours, marked, strict=True):
                    if lines[n][0] in kept:
                        told[n] = escape(lines[n][0]) + line
        return list(zip(lines, told, strict=True))

    async def said(self, text: str) -> AsyncIterator[tuple[bool, str | Markup]]:
        """Words in turn with what stands between fences, for which the first is True."""
        for language, block in _blocks(text):
            if language is None:
                yield False, block
            else:
                yield True, Markup("\n").join(await self._lines(block, _BY_WORD.get(language)))

    async def _numbered(self, text: str, language: str | None) -> Markup:
        lines = text.split("\n")
        if not language or not _NUMBERED.match(lines[0]):
            return Markup("\n").join(await self._lines(text, language, self._in_sight))
        found = [_NUMBERED.match(line) for line in lines]
        ends = [match.end() if match else 0 for match in found]
        code = "\n".join(line[end:] for line, end in zip(lines, ends, strict=True))
        marked = await self._lines(code, language, self._in_sight)
        return Markup("\n").join(
            Markup('<span class="at-line-place">{}</span>{}').format(line[:end], shown)
            if end else shown
            for line, end, shown in zip(lines, ends, marked, strict=True)
        )  # fmt: skip

    async def _lines(self, text: str, language: str | None, spared: int = 0) -> list[Markup]:
        """The lines of *text*, marked as far as they may be with *spared* characters to spare."""
        lines = text.split("\n")
        end = _bounded(lines) if language else 0
        head = "\n".join(lines[:end])
        if not language or not head or len(head) > self._left - spared:
            return [escape(line) for line in lines]
        self._left -= len(head)
        html = await _REMEMBERED.marked(head, language)
        marked = [Markup(line) for line in html.split("\n")]  # noqa: S704 - escaped below
        return marked + [escape(line) for line in lines[end:]]


def _bounded(lines: Sequence[str]) -> int:
    """How many of *lines* are given to a lexer."""
    size = 0
    for n, line in enumerate(lines[:BLOCK_LINES]):
        size += len(line) + 1
        if size > BLOCK_CHARS or len(line) > LINE_CHARS:
            return n
    return min(len(lines), BLOCK_LINES)


def _hunks(lines: Sequence[str]) -> list[list[int]]:
    """The numbers of the lines of each hunk, its head left out."""
    hunks: list[list[int]] = [[]]
    for n, line in enumerate(lines):
        if line.startswith("@@"):
            hunks.append([])
        else:
            hunks[-1].append(n)
    return hunks


def _blocks(text: str) -> Iterator[tuple[str | None, str]]:
    """Words, for which the first is None, and what stands between fences, with its language."""
    held: list[str] = []
    fence, language = "", None
    for line in text.split("\n"):
        found = _FENCE.match(line)
        closes = found and found[1].startswith(fence) and not line[found.end(1) :].strip()
        if found is None or (fence and not closes):
            held.append(line)
            continue
        if held:
            yield language, "\n".join(held)
        held = []
        fence, language = ("", None) if fence else (found[1], found[2].lower())
    if held:
        yield language, "\n".join(held)


class _Remembered:
    """What was marked lately: pages are looked at again, and grow at their end."""

    def __init__(self, most: int) -> None:
        self._found: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._left = most

    async def marked(self, text: str, language: str) -> str:
        """*text* as HTML."""
        key = language, text
        if key in self._found:
            self._found.move_to_end(key)
            return self._found[key]
        html = await asyncio.get_running_loop().run_in_executor(_THREAD, _marked, text, language)
        if key not in self._found:  # another page may have asked for it meanwhile
            self._keep(key, html)
        return html

    def _keep(self, key: tuple[str, str], html: str) -> None:
        self._found[key] = html
        self._left -= len(key[1]) + len(html)
        while self._left < 0:
            (_, old), shown = self._found.popitem(last=False)
            self._left += len(old) + len(shown)


_REMEMBERED = _Remembered(REMEMBERED_CHARS)
# One: lexers make their tables when they are first used, which two at once might spoil.
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="highlight")


def _marked(text: str, language: str) -> str:
    """*text* as HTML; every line stands alone, no element goes on to the next."""
    pieces: list[str] = []
    begun, at, name, lexer = 0, 0, "", _lexer(language)
    until = time.thread_time() + BLOCK_SECONDS
    for _, kind, said in lexer.get_tokens_unprocessed(text):
        if not text.startswith(said, at) or time.thread_time() > until:
            break
        now = _class_of(kind)
        if now != name:
            pieces.append(_element(name, text[begun:at]))
            begun, name = at, now
        at += len(said)
    return "".join([*pieces, _element(name, text[begun:at]), escape(text[at:])])


def _element(name: str, said: str) -> str:
    if not name:
        return escape(said)
    lines = [escape(line) for line in said.split("\n")]
    return "\n".join(f'<span class="{name}">{line}</span>' if line else "" for line in lines)


@lru_cache
def _lexer(language: str) -> Any:
    return get_lexer_by_name(language)


@lru_cache(maxsize=512)
def _class_of(kind: Any) -> str:
    return next((name for of, name in _CLASSES if kind in of), "")
