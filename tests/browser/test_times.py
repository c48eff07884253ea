"""Times are the reader's own, with UTC for who points at them; the server's where that is UTC."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agenttrace_mitm.model import Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from tests.support import records
from tests.support.web import browser, chromium, signed_in, web
from tests.traces.talks import Recording, says, user

# The system's browser, which .ci/run installs: a package of tests must not download one.
pytestmark = pytest.mark.skipif(chromium() is None, reason="chromium is not installed")
AT_US = 1_767_222_000_000_000  # 2025-12-31 23:00:00 UTC
RANGE = "from=2025-12-01&to=2026-01-31"


@pytest.mark.parametrize(
    ("zone", "shown"), [("Asia/Tokyo", "2026-01-01 08:00"), ("UTC", "2025-12-31 23:00")]
)
def test_times_are_the_readers(tmp_path: Path, zone: str, shown: str) -> None:
    database = tmp_path / "home" / "data.db"
    database.parent.mkdir(mode=0o700)
    db = open_database(database)
    talk = Recording(db.conn, 3, at_us=AT_US)
    talk.call([user("hello")], says("good evening"))
    db.conn.commit()
    db.close()
    with web(database.parent) as server, browser() as opened:
        context = signed_in(opened, server, timezone_id=zone)
        page = context.new_page()
        page.goto(f"{server.url}/-/agenttrace/calls?{RANGE}")
        time = page.locator("main tbody time").first
        assert (time.text_content() or "")[:16] == shown
        assert (time.get_attribute("title") or "").startswith("2025-12-31 23:00:")
        assert page.locator("th .at-utc").first.is_visible() == (zone == "UTC")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(42, "42 s"), (99, "99 s"), (125, "2 m 5 s"), (4_320, "1 h 12 m"), (183_700, "2 d 3 h")],
)
def test_a_running_call_says_for_how_long(tmp_path: Path, seconds: int, shown: str) -> None:
    database = tmp_path / "home" / "data.db"
    database.parent.mkdir(mode=0o700)
    db = open_database(database)
    under_way = records.call(started_us=AT_US, ended_us=None, outcome="in_flight")
    write_record(db.conn, Record(call=under_way))
    db.conn.commit()
    db.close()
    with web(database.parent) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        began = datetime.fromtimestamp(AT_US / 1e6, UTC)
        page.clock.set_fixed_time(began + timedelta(seconds=seconds))
        page.goto(f"{server.url}/-/agenttrace/calls?{RANGE}")
        assert page.locator("main tbody [data-since]").inner_text() == f"{shown} …".replace(
            " ", "\N{NO-BREAK SPACE}"
        )
