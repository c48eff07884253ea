"""A Datasette on one of our databases, and ways to ask it something."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from datasette.plugins import pm

import datasette_agenttrace
from agenttrace_mitm import access, clock
from agenttrace_mitm.store import open_database
from tests.datasette_agenttrace.asked import Api
from tests.datasette_agenttrace.scene import CALLS, NOON, fill
from tests.traces.talks import Recording


@pytest.fixture(autouse=True)
def _plugin():
    """The plugin, whether it is installed or only lies in the checkout."""
    absent = not pm.is_registered(datasette_agenttrace) and not pm.has_plugin("agenttrace")
    if absent:
        pm.register(datasette_agenttrace, name="agenttrace")
    yield
    if absent:
        pm.unregister(datasette_agenttrace)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, in force."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("AGENTTRACE_HOME", str(folder))
    return folder


@pytest.fixture
def database(home: Path) -> Path:
    """An AgentTrace database without calls."""
    path = home / "data.db"
    open_database(path).close()
    return path


@pytest.fixture
def token(home: Path) -> str:
    return access.read_or_create_token(home / "token")


@pytest.fixture
def headers(token: str) -> dict[str, str]:
    """What a program sends."""
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def serve() -> Callable[..., Datasette]:
    """A Datasette on some files."""

    def made(*files: Path, **options: Any) -> Datasette:
        return Datasette([str(file) for file in files], **options)

    return made


@pytest.fixture
def get(database: Path, headers: dict[str, str], serve: Callable[..., Datasette]) -> Any:
    """Asks for a path of a server on the database."""
    served = serve(database)

    async def got(path: str) -> Any:
        return await served.client.get(path, headers=headers)

    return got


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noon, and stays it."""
    monkeypatch.setattr(clock, "now_us", lambda: NOON)


@pytest.fixture
def recorded(database: Path) -> Path:
    """The database, with the calls of the scene."""
    fill(database, *CALLS)
    return database


@pytest.fixture
def ask(recorded: Path, get: Any) -> Any:
    """Asks for a path of a server on the calls of the scene."""
    return get


@pytest.fixture
def api(database: Path, headers: dict[str, str], serve: Callable[..., Datasette]) -> Api:
    """The API of a server on the database."""
    return Api(serve(database).client, headers)


@pytest.fixture
def talk(database: Path) -> Iterator[Recording]:
    """A recorder that writes into the database, from an hour before the tests' noon."""
    db = open_database(database)
    recording = Recording(db.conn)
    recording._now = NOON - 3_600_000_000
    yield recording
    db.close()
