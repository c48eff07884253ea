"""Pictures of the pages, from made-up data, by a headless chromium.

    scripts/screenshots [FOLDER]

Our own server runs on a database of a month, then on that of the demo, and one browser profile
logs in with a one-time link and then visits page after page.
"""

import sqlite3
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from agenttrace_mitm import clock
from agenttrace_mitm.alerts.checking import check
from agenttrace_mitm.alerts.making import made
from agenttrace_mitm.store.alerting import AlertStore
from datasette_agenttrace.pages import PAGES

from . import sample_db
from .web import browser, chromium, demo, signed_in, web

SIZES = {"": (1440, 1000), "-phone": (360, 1000)}
DAY_US = 86_400_000_000
RULES = (
    ("weekly budget", "budget", {"limit_usd": 20, "period": "week"}),
    ("errors", "error_rate", {"per": "agent", "window_minutes": 1440, "threshold_percent": 3}),
    ("slow answers", "latency", {"per": "model", "window_minutes": 1440, "threshold_ms": 30_000}),
    ("no price", "unpriced", {"min_calls": 5}),
    ("rate limits", "rate_limited", {"window_minutes": 60}),
)
DRAWN_MS = 400  # what a script takes to draw the charts


def main(folder: Path) -> int:
    """Make all pictures in *folder*."""
    if chromium() is None:
        sys.stderr.write("chromium is not installed: apt install chromium\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir(mode=0o700)
        sample_db.build(home / "data.db", end_us=clock.now_us())
        _alerts(home / "data.db")
        played = demo(Path(place) / "demo")
        with browser() as opened:
            _visit(opened, home, folder, _month(home / "data.db"))
            _visit(opened, played, folder, _demo(played / "data.db"))
    return 0


def _visit(opened: Browser, home: Path, folder: Path, pages: dict[str, str]) -> None:
    """Take a picture in *folder* of each of *pages* of the database in *home*."""
    with web(home) as server:
        page = signed_in(opened, server).new_page()
        for suffix, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for name, path in pages.items():
                page.goto(server.url + path)
                page.wait_for_timeout(DRAWN_MS)
                page.screenshot(path=folder / f"{name}{suffix}.png")


def _alerts(database: Path) -> None:
    """Rules of which some fire and some did; nobody is told."""
    now_us = clock.now_us()
    store = AlertStore(database)
    for name, type_, params in RULES:
        store.put_rule(made(now_us - 3 * DAY_US, name=name, type=type_, params=params))
    for days in (3, 2, 1, 0):
        check(store, now_us - days * DAY_US, None, "")
    store.close()


def _month(database: Path) -> dict[str, str]:
    with sqlite3.connect(database) as db:
        call = db.execute(
            "select id from llm_calls where n_tool_calls = 1 order by started_us desc limit 1"
        ).fetchone()[0]
    return {
        **{page.name: page.path for page in PAGES},
        "costs-by-agent": "/-/agenttrace/costs?by=agent",
        "agent": "/-/agenttrace/agents?agent=claude-code",
        "savings": "/-/agenttrace/costs/savings?instead=gpt-5-mini",
        "call": f"/-/agenttrace/calls/{call}",
    }


def _demo(database: Path) -> dict[str, str]:
    with sqlite3.connect(database) as db:
        session, trace = db.execute(
            "select session_id, trace_id from llm_calls group by trace_id"
            " order by sum(n_tool_calls) desc limit 1"
        ).fetchone()
    return {
        "sessions": "/-/agenttrace/sessions",
        "traces": "/-/agenttrace/traces",
        "session": f"/-/agenttrace/sessions/{session}",
        "trace": f"/-/agenttrace/traces/{trace}",
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
