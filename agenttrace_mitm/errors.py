"""The errors that are ours to explain: each says what happened and what to do about it.

The CLI turns them into one sentence and a remedy, exit code 1.  A traceback is a bug.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class AgentTraceError(Exception):
    """Something went wrong that the user can understand and act on.

    `problem` is one sentence without a final full stop; `remedy` says what to run or change.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}".strip() if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class SettingsError(AgentTraceError):
    """A setting has a wrong value: names the setting and the place it came from."""


class CaptureError(AgentTraceError):
    """The proxy cannot run: certificate authority, port, namespace."""


class StoreError(AgentTraceError):
    """The database or the spool cannot be used; says where the data waits."""


def no_database(path: "Path") -> StoreError:
    """What whoever wants to read the database at *path* says where there is none."""
    return StoreError(
        f"There is no database at {path}",
        "Record something (agenttrace-mitm start, or run), or name another file with --db",
    )
