"""A git repository whose commits bear the times that a test says, whatever the user's settings."""

import os
import subprocess
from pathlib import Path

SECOND = 1_000_000
_SETTINGS = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


class Git:
    """The repository in *folder*, made with a branch `main`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self("init", "-q", "-b", "main")

    def __call__(self, *words: str, at_us: int | None = None) -> str:
        """What git says to *words*, at a moment of its own."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environ = clean | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        if at_us is not None:
            moment = f"@{at_us // SECOND} +0000"
            environ |= {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
        done = subprocess.run(
            ["git", *_SETTINGS, *words],
            cwd=self.folder, env=environ, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def commit(self, message: str, at_us: int, /, **files: str) -> str:
        """Commit *files* (`a_py` is a.py); what git answers."""
        for name, text in files.items():
            (self.folder / name.replace("_", ".")).write_text(text)
        self("add", "-A")
        return self("commit", "-m", message, at_us=at_us)

    @property
    def head(self) -> str:
        return self("rev-parse", "HEAD").strip()
