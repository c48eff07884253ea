"""The bar of filters says which rows are shown, whichever way the reader came."""

from pathlib import Path

import pytest

from agenttrace_mitm.model import Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from tests.support import records
from tests.support.web import browser, chromium, signed_in, web

# The system's browser, which .ci/run installs: a package of tests must not download one.
pytestmark = pytest.mark.skipif(chromium() is None, reason="chromium is not installed")
CHOSEN = "document.querySelector('#filters select[name=model]').value"
CAME_BACK = 'dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))'


def test_on_the_way_back_filters_are_those_of_the_address(tmp_path: Path) -> None:
    """Browsers restore what a form was left with, and keep whole pages as they were left."""
    database = tmp_path / "home" / "data.db"
    database.parent.mkdir(mode=0o700)
    db = open_database(database)
    for model in ("m1", "m2"):
        write_record(db.conn, Record(call=records.call(id=model, model=model, response_model=None)))
    db.conn.commit()
    since = db.conn.execute("select date(min(started_us) / 1000000, 'unixepoch') from llm_calls")
    address = f"/-/agenttrace/calls?from={since.fetchone()[0]}"
    db.close()
    with web(database.parent) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        page.goto(server.url + address)
        with page.expect_navigation():
            page.select_option("#filters select[name=model]", "m2")
        assert "model=m2" in page.url
        page.go_back()
        assert "model=" not in page.url
        assert page.locator("main tbody tr").count() == 2
        assert page.evaluate(CHOSEN) == ""
        assert page.evaluate(f"{CHOSEN} = 'm2'; {CAME_BACK}; {CHOSEN}") == ""
