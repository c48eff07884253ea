"""Pictures of the pages, from made-up data, by a headless chromium.

    scripts/screenshots [FOLDER]

Our own server runs on a database of a month, then on that of the demo, and one browser profile
logs in with a one-time link and then visits page after page.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agenttrace_mitm import access
from agenttrace_mitm.settings import Settings

from . import sample_db

SIZES = {"": (1440, 1000), "-phone": (500, 1000)}
BROWSER = "chromium"


def main(folder: Path) -> int:
    """Make all pictures in *folder*."""
    browser = shutil.which(BROWSER)
    if browser is None:
        sys.stderr.write("chromium is not installed: apt install chromium\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir(mode=0o700)
        sample_db.build(home / "data.db", end_us=time.time_ns() // 1000)
        _visit(browser, home, folder, _month(home / "data.db"))
        demo = Path(place) / "demo"
        subprocess.run(
            [sys.executable, "-m", "agenttrace_mitm", "demo", "--exit", "--no-open"],
            env=os.environ | {"AGENTTRACE_HOME": str(demo)}, cwd=place, check=True,
            capture_output=True, timeout=120,
        )  # fmt: skip
        _visit(browser, demo / "demo", folder, _demo(demo / "demo" / "data.db"))
    return 0


def _visit(browser: str, home: Path, folder: Path, pages: dict[str, str]) -> None:
    """Take a picture in *folder* of each of *pages* of the database in *home*."""
    token = access.read_or_create_token(home / "token")
    server = _serve(home)
    try:
        assert server.stdout
        port = json.loads(server.stdout.readline())["port"]
        visit = _Visitor(browser, home.parent / "profile", f"http://127.0.0.1:{port}")
        code = access.login_code(token, time.time())
        # Not to the Overview: while its stream is open, the browser's virtual time stands.
        login = f"/-/agenttrace/login?code={code}&next=/-/agenttrace/costs"
        visit(login, home.parent / "login.png", (800, 600))
        for name, path in pages.items():
            for suffix, size in SIZES.items():
                visit(path, folder / f"{name}{suffix}.png", size)
    finally:
        server.terminate()
        server.wait()


def _month(database: Path) -> dict[str, str]:
    with sqlite3.connect(database) as db:
        call = db.execute(
            "select id from llm_calls where n_tool_calls = 1 order by started_us desc limit 1"
        ).fetchone()[0]
    return {
        "overview": "/-/agenttrace?nolive",
        "costs": "/-/agenttrace/costs",
        "calls": "/-/agenttrace/calls?nolive",
        "agents": "/-/agenttrace/agents",
        "latency": "/-/agenttrace/latency",
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
        "session": f"/-/agenttrace/sessions/{session}",
        "trace": f"/-/agenttrace/traces/{trace}",
    }


def _serve(home: Path) -> subprocess.Popen[str]:
    settings = Settings(home=home, port=0)
    server = subprocess.Popen(
        [sys.executable, "-m", "datasette_agenttrace"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin
    server.stdin.write(json.dumps(settings.model_dump(mode="json")) + "\n")
    server.stdin.flush()
    return server


class _Visitor:
    """A browser that remembers its login from one picture to the next."""

    def __init__(self, browser: str, profile: Path, base: str) -> None:
        self._base = base
        self._command = [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={profile}", "--virtual-time-budget=5000",
        ]  # fmt: skip

    def __call__(self, path: str, picture: Path, size: tuple[int, int]) -> None:
        subprocess.run(
            [*self._command, f"--window-size={size[0]},{size[1]}",
             f"--screenshot={picture.absolute()}", self._base + path],
            check=True, capture_output=True, timeout=90,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
