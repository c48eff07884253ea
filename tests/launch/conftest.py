"""A supervisor over stand-in children, in a home of its own."""

import os
from pathlib import Path

import pytest

from agenttrace_mitm.launch import state
from agenttrace_mitm.launch.children import Program
from agenttrace_mitm.settings import Settings

STANDINS = Path(__file__).parent / "standins"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTTRACE_HOME", str(tmp_path / "home"))
    found = Settings(proxy_port=0, port=0)
    state.prepare(found)
    return found


@pytest.fixture
def events(tmp_path):
    """What the stand-ins did, as a function that reads it."""
    log = tmp_path / "events"
    log.touch()
    return lambda: [line.split(" ")[:2] for line in log.read_text().splitlines()]


@pytest.fixture
def environ(tmp_path):
    return {**os.environ, "PYTHONPATH": str(STANDINS), "STANDIN_LOG": str(tmp_path / "events")}


@pytest.fixture
def programs():
    return (
        Program("recorder", "standin_recorder"),
        Program("capture", "standin_capture"),
        Program("web", "standin_web", after=("recorder",)),
    )
