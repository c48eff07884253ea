"""Where a setting comes from: command line, environment, file, default, in this order."""

import json
from pathlib import Path

import pytest

from agenttrace_mitm import settings


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTTRACE_HOME", str(tmp_path))
    return tmp_path / "config.json"


def test_the_nearest_wins(config, monkeypatch):
    assert settings.load().retention_days == 30
    config.write_text(json.dumps({"retention_days": 3, "port": 1}))
    assert settings.load().retention_days == 3
    monkeypatch.setenv("AGENTTRACE_RETENTION_DAYS", "2")
    assert settings.load().retention_days == 2
    found = settings.load({"retention_days": 1, "port": None})
    assert (found.retention_days, found.port) == (1, 1)


def test_lists_and_objects_in_the_environment_are_json(config, monkeypatch):
    monkeypatch.setenv("AGENTTRACE_HOSTS_ENABLED", '["groq"]')
    monkeypatch.setenv("AGENTTRACE_RETENTION_AGENTS", '{"eval": 1}')
    monkeypatch.setenv("AGENTTRACE_OPEN_BROWSER", "false")
    monkeypatch.setenv("AGENTTRACE_MAX_BYTES", "2GB")
    monkeypatch.setenv("AGENTTRACE_DB", "1.db")
    found = settings.load()
    assert found.hosts_enabled == ["groq"]
    assert found.retention_agents == {"eval": 1}
    assert found.open_browser is False
    assert found.max_bytes == 2_000_000_000
    assert found.db == Path("1.db")


def test_settings_made_by_hand_are_what_was_given(config, monkeypatch):
    """The recorder is given its settings: nothing changes them on the way."""
    config.write_text(json.dumps({"retention_days": 3}))
    monkeypatch.setenv("AGENTTRACE_PORT", "1")
    given = settings.Settings(retention_days=7)
    assert (given.retention_days, given.port) == (7, 8080)
