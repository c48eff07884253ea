"""The pages of every single call, trace, session and agent: no kind of them was forgotten.

`test_every_address` asks for every page, each of a few things.  What a page says of a thing
depends on what else there is: a second attempt, an agent that called it, no answer yet.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from agenttrace_mitm import clock
from benchmarks import bulk
from datasette_agenttrace.page import in_path
from tests.support import hostile_content, web

CALL_PAGES = ("", "/changes", "/share?tier=3")
SHARED = ("", "/share?tier=3")
HERE = "/-/agenttrace"


def demo(home: Path) -> None:
    (web.demo(home.parent) / "data.db").rename(home / "data.db")


def hostile(home: Path) -> None:
    hostile_content.build(home / "data.db", 3, megabytes=0)


def many(home: Path) -> None:
    bulk.build(home / "data.db", 80, days=20, end_us=clock.now_us())


def of_everything(database: Path) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(database)) as db:
        named = [
            ("calls", "select id from llm_calls", CALL_PAGES),
            ("traces", "select trace_id from traces", SHARED),
            ("sessions", "select session_id from sessions", SHARED),
        ]
        for folder, sql, pages in named:
            for (name,) in db.execute(sql):
                yield from (f"{HERE}/{folder}/{in_path(name)}{page}" for page in pages)
        for page in ("calls", "traces", "sessions", "agents", "costs", "latency"):
            for (agent,) in db.execute(
                "select distinct agent_id from llm_calls where agent_id is not null"
            ):
                yield f"{HERE}/{page}?{urlencode({'agent': agent})}"
        for before, after in db.execute(
            "select retry_of, id from llm_calls where retry_of <> id"
            " union select continues_call_id, id from llm_calls where continues_call_id is not null"
        ):
            yield f"{HERE}/calls/{in_path(after)}/changes?{urlencode({'since': before})}"


@pytest.mark.parametrize("made", [demo, hostile, many])
async def test_pages_of_everything_answer(
    made: Callable[[Path], None], home: Path, headers: Any, serve: Any
) -> None:
    made(home)
    client = serve(home / "data.db").client
    asked = list(of_everything(home / "data.db"))
    assert len(asked) > 100
    wrong = {}
    for address in asked:
        answer = await client.get(address, headers=headers)
        if answer.status_code != 200:
            wrong[address] = answer.status_code
    assert wrong == {}
