"""Our own web server as a process on a home folder, and a browser that is signed in to it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenttrace_mitm import access
from agenttrace_mitm.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

FULL = os.environ.get("AGENTTRACE_BROWSER") == "full"
"""Whether browser tests ask everything, and how long it takes."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    # Whatever a page may try, no name leads anywhere.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip


def chromium() -> str | None:
    """Where the system's own browser is; None is downloaded, ever."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(frozen=True, slots=True)
class Web:
    """A server that answers at *url*."""

    home: Path
    url: str
    process: subprocess.Popen[str]

    @property
    def token(self) -> str:
        """What programs show it."""
        return access.read_or_create_token(self.home / "token")

    def login(self, after: str = "/-/settings") -> str:
        """A link that signs a browser in, once, and leads to *after*."""
        code = access.login_code(self.token, time.time())
        return f"{self.url}/-/agenttrace/login?code={code}&next={after}"


def demo(home: Path) -> Path:
    """The home folder of the demo, played below *home*."""
    subprocess.run(
        [sys.executable, "-m", "agenttrace_mitm", "demo", "--exit", "--no-open"],
        env=os.environ | {"AGENTTRACE_HOME": str(home)}, cwd=home.parent, check=True,
        capture_output=True, timeout=120,
    )  # fmt: skip
    return home / "demo"


@contextlib.contextmanager
def web(home: Path, host: str | None = None) -> Iterator[Web]:
    """Our server on *home*, on a free port, of loopback unless *host* is given."""
    settings = Settings(home=home, port=0, **({"host": host} if host else {}))
    process = subprocess.Popen(
        [sys.executable, "-m", "datasette_agenttrace"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(settings.told()) + "\n")
        process.stdin.flush()
        port = json.loads(process.stdout.readline())["port"]
        yield Web(home, f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextlib.contextmanager
def browser() -> Iterator["Browser"]:
    """The system's chromium."""
    from playwright.sync_api import sync_playwright  # only tests have it

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        try:
            yield opened
        finally:
            opened.close()


def signed_in(
    opened: "Browser", server: Web, scripts: bool = True, **more: Any
) -> "BrowserContext":
    """A window of *opened* that *server* knows, with or without *scripts*."""
    size: Any = {"width": 1440, "height": 1000}
    context = opened.new_context(
        color_scheme="light", viewport=size, java_script_enabled=scripts, **more
    )
    page = context.new_page()
    page.goto(server.login())
    page.close()
    return context
