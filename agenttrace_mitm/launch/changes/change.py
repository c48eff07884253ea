"""What a change to the machine is, whatever it changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from .machine import Machine

type Facts = Mapping[str, str]
"""What a change has to know to find its place again: stored in the journal."""
type Values = Mapping[str, str | None]
"""Settings by name, as their tool writes them; None where the system's default holds."""


class Change(Protocol):
    """Something of this machine that we alter, and can put back.

    Files are put back byte for byte by `work`; what a change does itself is the part that has to
    go through a tool, and that must work on a machine that others have changed meanwhile.
    """

    kind: ClassVar[str]
    facts: Facts

    def __init__(self, machine: Machine, facts: Facts) -> None: ...

    @property
    def name(self) -> str:
        """What it is called for people."""
        ...

    @property
    def will(self) -> list[str]:
        """What `apply` is about to do, a line each."""
        ...

    def files(self) -> list[Path]:
        """The files whose bytes change."""
        ...

    def values(self) -> Values:
        """The settings that change, as they are now."""
        ...

    def is_applied(self) -> bool:
        """Whether the machine is as `apply` leaves it."""
        ...

    def apply(self) -> None:
        """Make the change.  Raises `AgentTraceError`."""
        ...

    def revert(self, before: Values) -> None:
        """Take it back, as far as it was made: also half of it.  Raises `AgentTraceError`."""
        ...

    def is_same(self, now: Path, before: Path) -> bool:
        """Whether two files say the same, so that the old bytes lose nothing that was added."""
        ...
