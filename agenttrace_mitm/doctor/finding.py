"""What a check found, and what it is told about whom it examines."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..launch.changes import Machine
from ..launch.runtimes import Context
from ..settings import Settings

type State = Literal["ok", "note", "wrong", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, what to do about it.

    `note` is worth knowing and no fault; `fix` mends it, and says in a word what it did.
    """

    check: str
    state: State
    said: str
    remedy: str = ""
    fix: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom we examine."""

    settings: Settings
    machine: Machine
    environ: Mapping[str, str]
    """The environment as the user has it, including what `env` set."""
    plain_environ: Mapping[str, str]
    """The same without what `env` set."""
    context: Callable[[Settings, dict[str, Any]], Context]
    """What programs are told, for settings and a pair of ports."""


type Check = Callable[[Patient], Iterable[Finding]]
