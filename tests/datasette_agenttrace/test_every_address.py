"""Every address that the plugin registers answers at each tier, and nobody without a token."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from agenttrace_mitm.cli import cli
from datasette_agenttrace.page import PREFIX, Page
from datasette_agenttrace.pages import PAGES
from tests.support import hostile_content
from tests.support.pages import FORMS, addresses, core_addresses

BELOW = {"costs": (f"{PREFIX}/costs/savings", f"{PREFIX}/costs/caches")}


@pytest.fixture
def hostile(home: Path, request: Any) -> Path:
    path = home / "data.db"
    hostile_content.build(path, request.param, megabytes=0)
    return path


@pytest.mark.parametrize("hostile", [1, 2], indirect=True)
async def test_every_page_answers_at_every_tier(hostile: Path, headers: Any, serve: Any) -> None:
    """Bodies are not kept there, which their addresses say; all else is shown as far as it is."""
    client = serve(hostile).client
    for address in [*addresses(hostile), *core_addresses(hostile)]:
        answer = await client.get(address, headers=headers)
        raw = address.endswith(("/request", "/response", "nothing-here")) or "/messages/" in address
        assert answer.status_code in ((200, 404) if raw else (200,)), address
        if "text/html" in answer.headers["content-type"]:
            assert "<script>window.pwned" not in answer.text, address


@pytest.mark.parametrize("hostile", [3], indirect=True)
async def test_nobody_sees_a_page_without_a_token_or_from_elsewhere(
    hostile: Path, headers: Any, serve: Any
) -> None:
    datasette = serve(hostile)
    app = httpx.ASGITransport(app=datasette.app())
    asked = [*addresses(hostile), *core_addresses(hostile), *FORMS]
    assert len(asked) > 60
    async with httpx.AsyncClient(transport=app, base_url="http://localhost:8080") as stranger:
        for address in asked:
            refused = {
                "no token": await stranger.get(address),
                "a wrong one": await stranger.get(address, headers={"x-api-key": "wrong"}),
                "a page": await stranger.get(address, headers={"accept": "text/html"}),
            }
            for who, answer in refused.items():
                assert answer.status_code == 401, (who, address)
                assert "window.pwned" not in answer.text, (who, address)
            # With the token too: a name that leads here is not enough, nor is a page elsewhere.
            foreign = await stranger.get(address, headers={**headers, "host": "evil.example"})
            assert foreign.status_code == 421, address
            other = {**headers, "origin": "https://evil.example"}
            for method in ("GET", "POST"):
                answer = await stranger.request(method, address, headers=other)
                assert answer.status_code == 403, (method, address)
                assert "window.pwned" not in answer.text, (method, address)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize(
    "time",
    ["to=0001-01-01", "from=9999-12-31", "to=9999-12-31", "from=0001-01-01&to=9999-12-31"],
)
async def test_every_page_answers_for_every_date(ask: Any, page: Page, time: str) -> None:
    for filters in ("", "&agent=a", "&model=m1"):
        for path in (page.path, f"{PREFIX}/{page.name}.json", *BELOW.get(page.name, ())):
            assert (await ask(f"{path}?{time}{filters}")).status_code == 200, path


async def test_pages_of_an_older_database_say_what_brings_it_up_to_date(
    database: Path, headers: Any, serve: Any
) -> None:
    """A plain Datasette reads what a version before it wrote, and writes no tables."""
    address = "/-/agenttrace/costs?by=session&range=90d"
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("drop table rollup_spend")
        db.commit()
    # Of a current database that is a fault, and called one.
    answer = await serve(database).client.get(address, headers=headers)
    assert answer.status_code == 500
    assert "older version" not in answer.text
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("delete from _sqlite_migrations where name = 'm092_spend'")
        db.commit()
    answer = await serve(database).client.get(address, headers=headers)
    assert answer.status_code == 503
    assert f"agenttrace-mitm db verify --db {database}" in answer.text
    done = CliRunner().invoke(cli, ["db", "verify", "--db", str(database)])
    assert done.exit_code == 0, done.output
    answer = await serve(database).client.get(address, headers=headers)
    assert answer.status_code == 200
