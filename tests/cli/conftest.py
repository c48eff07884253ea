"""The command line as a user has it: a process, a home of its own, providers on loopback."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from agenttrace_mitm.demo.certificates import server_context
from agenttrace_mitm.demo.provider import HOSTS, answer
from agenttrace_mitm.demo.server import serve

OTHER_PATH = os.pathsep.join(
    folder
    for folder in os.environ["PATH"].split(os.pathsep)
    if not Path(folder, "agenttrace-mitm").exists()
)
COMMAND = [sys.executable, "-m", "agenttrace_mitm"]


@pytest.fixture(scope="session")
def providers(tmp_path_factory):
    """Settings that send provider traffic to a fake one."""
    context, root = server_context(tmp_path_factory.mktemp("provider"), HOSTS)
    loop = asyncio.new_event_loop()
    server, port = loop.run_until_complete(serve(context, answer))
    thread = threading.Thread(target=loop.run_forever, name="provider", daemon=True)
    thread.start()
    yield {
        "upstream_ca": str(root),
        "upstream_map": dict.fromkeys(HOSTS, f"https://127.0.0.1:{port}"),
        "proxy_port": 0,
        "port": 0,
    }
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


class User:
    """Somebody at a terminal, with a home folder for AgentTrace."""

    def __init__(self, home, config):
        self.home = home
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("AGENTTRACE_")}
        self.environ |= {"AGENTTRACE_HOME": str(home), "NO_COLOR": "1"}
        # As where the package is installed; `OTHER_PATH` is of a terminal that does not know it.
        self.environ["PATH"] = f"{Path(sys.executable).parent}:{OTHER_PATH}"
        home.mkdir(mode=0o700)
        (home / "config.json").write_text(json.dumps(config))

    def types(self, *arguments, timeout=60, **environ):
        """Run a command to its end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def starts(self, *arguments, **environ):
        """Run a command that goes on."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def starts_on(self, terminal, *arguments):
        """Run a command whose output is a terminal."""
        return subprocess.Popen(
            [*COMMAND, *arguments], env=self.environ, stdin=subprocess.DEVNULL, stdout=terminal
        )


@pytest.fixture
def user(tmp_path, providers):
    somebody = User(tmp_path / "home", providers)
    yield somebody
    somebody.types("stop", "--now")


@pytest.fixture
def temporary(user):
    """A folder for temporary files, so that other programs' are not ours to judge."""
    folder = tempfile.mkdtemp(prefix="at-")  # short: sockets have short names
    user.environ["TMPDIR"] = folder
    yield
    shutil.rmtree(folder)
