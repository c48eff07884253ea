"""What came of a session in git: commits, branches, pull requests."""

from typing import Literal

from .json import Json
from .row import Row


class StoredCommit(Row):
    """A row of `commits`.  `call_id` and `position` name the tool call that made it, if one did.

    `sha` is short where the repository could not be read; then only the command's answer is known.
    Times are None there, too, and counts where it gave none.
    """

    sha: str
    session_id: str
    repository: str = ""
    branch: str | None = None
    message: str | None = None
    author_us: int | None = None
    committed_us: int | None = None
    files: int | None = None
    lines_added: int | None = None
    lines_removed: int | None = None
    numstat: Json = None
    call_id: str | None = None
    position: int | None = None
    how: Literal["output", "time", "meanwhile"]
    confidence: float = 1.0
    found_us: int


class StoredRef(Row):
    """A row of `git_refs`: a branch or pull request that a command's output names."""

    session_id: str
    kind: Literal["branch", "pull_request"]
    name: str
    made: bool
    call_id: str
    position: int
    at_us: int
