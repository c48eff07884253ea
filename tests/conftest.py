"""What every test may use."""

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home folder of AgentTrace, in force for this test."""
    folder = tmp_path / "agenttrace"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("AGENTTRACE_HOME", str(folder))
    return folder
