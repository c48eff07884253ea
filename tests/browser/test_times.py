"""Times are the reader's own, with UTC for who points at them; the server's where that is UTC."""

from pathlib import Path

import pytest

from agenttrace_mitm.store import open_database
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
