"""Marked code is the code that was there, escaped, in the language that its name tells."""

import asyncio
import re
import threading
from html import unescape

import pytest
from markupsafe import escape
from pygments.lexers import get_lexer_by_name

from datasette_agenttrace import highlight
from datasette_agenttrace.highlight import _LANGUAGES, Highlighter, language_of
from tests.support.hostile_content import ODD, SCRIPTS

HOSTILE = "\n".join((*SCRIPTS, ODD, "'''", '"""', "/*", "<!--", "\\", "\r\n\t<b>&amp;"))
TAG = re.compile(r'<span class="at-[a-z-]+">|</span>')


def text_of(html: str) -> str:
    """What a browser shows, and nothing but our own elements in it."""
    bare = TAG.sub("", html)
    assert "<" not in bare
    assert html.count("<span") == html.count("</span>")
    return unescape(bare)


@pytest.mark.parametrize("language", _LANGUAGES)
async def test_hostile_text_stays_text_in_every_language(language):
    path = f"x.{_LANGUAGES[language].split()[0]}"
    assert language_of(path) == language
    assert get_lexer_by_name(language)
    for text in (HOSTILE, *HOSTILE.split("\n"), "", "\n", "\n\n x \n"):
        shown = await Highlighter().file(text, path)
        assert text_of(shown) == text
        for line in shown.split("\n"):
            text_of(line)  # each is whole in itself


@pytest.mark.parametrize(
    "path, language",
    [
        ("/a/b.PY", "python"), ("C:\\x\\y.ts", "typescript"), ("Dockerfile", "docker"),
        ("a.svg", "xml"), (".json", "json"), ("README", None), ("", None), ("a.py/b", None),
        ("x.unheard", None),
    ],
)  # fmt: skip
def test_a_file_is_known_by_its_name(path, language):
    assert language_of(path) == language


async def test_words_are_marked():
    shown = await Highlighter().file("def f():\n    return 'a<b'  # why", "a.py")
    for part in (
        '<span class="at-kw">def</span>', '<span class="at-fn">f</span>',
        '<span class="at-st">&#39;a&lt;b&#39;</span>',
        '<span class="at-cm"># why</span>',
    ):  # fmt: skip
        assert part in shown
    assert '<span class="at-ty">echo</span>' in await Highlighter().command("echo $HOME && ls")


async def test_what_nobody_named_is_not_guessed():
    for text in ("#!/bin/sh\nexport A=1", "<?php echo 1;", "import os"):
        assert await Highlighter().file(text, "notes") == escape(text)


async def test_numbers_that_a_tool_put_before_lines_are_not_code():
    text = "    1→def f():\n    2→    '''\n    3→    '''\nA note after the file."
    shown = await Highlighter().file(text, "a.py")
    assert text_of(shown) == text
    assert '<span class="at-line-place">    1→</span><span class="at-kw">def</span>' in shown


async def test_a_change_is_marked_on_both_sides():
    """A string that only the old side opens does not swallow the new one."""
    lines = ("@@ -1,3 +1,2 @@", "-'''", " def f():", "-'''", "+    return 1", "\\ No newline")
    told = dict(await Highlighter().diff(lines, "a.py"))
    assert [text_of(html) for html in told.values()] == list(told)
    assert told[lines[4]] == '+    <span class="at-kw">return</span> <span class="at-nu">1</span>'
    assert '<span class="at-kw">def</span>' in told[lines[2]]
    assert '<span class="at-st">' in told[lines[1]]
    assert dict(await Highlighter().diff(lines, "notes"))[lines[2]] == " def f():"


async def test_code_between_fences_is_found():
    text = "Look:\n```python title=x\nimport os\n```\nor\n~~~\nplain <b>\n```\n~~~\n\n````js\nlet a"
    told = [one async for one in Highlighter().said(text)]
    assert [is_code for is_code, _ in told] == [False, True, False, True, False, True]
    assert told[0][1] == "Look:"
    assert told[1][1].startswith('<span class="at-kw">import</span>')
    assert told[3][1] == "plain &lt;b&gt;\n```"
    assert '<span class="at-kw">let</span>' in told[5][1]
    told = [one async for one in Highlighter().said("no `code` ``` here")]
    assert told == [(False, "no `code` ``` here")]


async def test_only_so_much_is_marked():
    """Of a block, of a line and of a page; the rest is there, and plain."""
    lines = "\n".join(["x = 1"] * (highlight.BLOCK_LINES + 5))
    shown = await Highlighter().file(lines, "a.py")
    assert text_of(shown) == lines
    assert shown.count("at-nu") == highlight.BLOCK_LINES
    assert "at-nu" not in await Highlighter().file("x = 1" + " " * highlight.LINE_CHARS, "a.py")
    page = Highlighter(chars=16)
    assert ["at-nu" in await page.file("x = 1", "a.py") for _ in range(3)] == [True, False, False]
    assert "at-ty" in await page.command("echo 1234"), "half of it is for what is in sight"
    assert "at-ty" not in await page.command("echo 1234")


def test_text_that_keeps_a_lexer_busy_is_left_plain(monkeypatch):
    """From where its time is over."""
    ticks = iter(range(1_000))
    monkeypatch.setattr(highlight.time, "thread_time", lambda: next(ticks))
    monkeypatch.setattr(highlight, "BLOCK_SECONDS", 4)
    text = "1 1 1 1 1 1 1 1 <b>"
    shown = highlight._marked(text, "python")
    assert text_of(shown) == text
    assert 0 < shown.count("at-nu") < 8


async def test_other_pages_go_on_while_code_is_marked(monkeypatch):
    """A lexer here ends when the event loop lets it, which therefore must not wait for it."""
    monkeypatch.setattr(highlight, "_REMEMBERED", highlight._Remembered(1_000))
    begun, may_end = threading.Event(), threading.Event()

    def marked(text, language):
        begun.set()
        assert may_end.wait(20)
        return f"{language}: {text}"

    monkeypatch.setattr(highlight, "_marked", marked)
    page = asyncio.create_task(Highlighter().command("make pages"))
    assert await asyncio.to_thread(begun.wait, 20)
    may_end.set()
    assert await page == "bash: make pages"
    assert await Highlighter().command("make pages") == "bash: make pages", "remembered"


async def test_what_is_remembered_is_bounded():
    kept = highlight._Remembered(1_000)
    for number in range(50):
        assert "at-nu" in await kept.marked(f"x = {number}", "python")
    assert 0 < len(kept._found) < 50
    assert "at-nu" in await kept.marked("x = 1" * 1_000, "python")
    assert len(kept._found) == 0
