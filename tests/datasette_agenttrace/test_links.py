"""Every link of every page leads to what it names, whatever that is called."""

import re
import sqlite3
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from markupsafe import escape

from tests.support import hostile_content
from tests.support.pages import addresses

SESSIONS, CALLS, AGENTS = (f"/-/agenttrace/{name}" for name in ("sessions", "calls", "agents"))


class Links(HTMLParser):
    """The addresses that a page links to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.to: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.to += [value or "" for name, value in attrs if name == "href"]


def followed(page: str, html: str) -> Iterator[str]:
    """What a browser that shows *html* at *page* asks for, link by link."""
    for link in Links(html).to:
        assert link.isprintable(), link
        parts = urlsplit(urljoin(page, link))
        assert parts.scheme == parts.netloc == "", link
        # To a browser these are `.` and `..`, and go before anything is asked.
        assert not {"%2e", "%2e%2e", ".", ".."} & set(parts.path.lower().split("/")), link
        yield parts._replace(fragment="").geturl()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("hostile") / "data.db"
    hostile_content.build(path, megabytes=0)
    return path


async def test_links_lead_to_what_they_name(
    hostile: Path, headers: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where rich is installed Datasette fails at a page that is not there; our server leaves it out.
    monkeypatch.setattr("datasette.handle_exception.rich", None)
    client = serve(hostile).client
    found: dict[str, str] = {}
    for page in addresses(hostile):
        answer = await client.get(page, headers=headers)
        shown = answer.headers.get("content-type", "").startswith("text/html")
        if shown and "attachment" not in answer.headers.get("content-disposition", ""):
            found |= dict.fromkeys(followed(page, answer.text), page)
    ours = {link: page for link, page in found.items() if link.startswith("/-/agenttrace")}
    answers = {link: await client.get(link, headers=headers) for link in ours}
    wrong = {
        link: (answer.status_code, ours[link])
        for link, answer in answers.items()
        if answer.status_code != 200
    }
    assert wrong == {}

    db = sqlite3.connect(hostile)
    sessions = {id_ for (id_,) in db.execute("select session_id from sessions")}
    agents = {id_ for (id_,) in db.execute("select agent_id from llm_calls group by 1") if id_}
    calls = {id_ for (id_,) in db.execute("select id from llm_calls")}
    db.close()
    replays = [link for link in ours if re.fullmatch(f"{SESSIONS}/[^/?.]+", link)]
    told = [(await client.get(f"{link}.json", headers=headers)).json() for link in replays]
    assert {one["session_id"] for one in told} == sessions
    for link, answer in answers.items():
        parts = urlsplit(link)
        given = parse_qs(parts.query, keep_blank_values=True)
        if parts.path == AGENTS and "agent" in given:
            agents.discard(given["agent"][0])
            assert str(escape(given["agent"][0])) in answer.text
        calls.discard(parts.path.removeprefix(f"{CALLS}/"))
    assert agents == set()
    assert calls == set()
