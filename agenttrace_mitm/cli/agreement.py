"""Whether the running instance does what a command line asks for.

It runs by the settings of who started it, so an option that says otherwise would be passed over:
a call that was to leave no text would be kept whole.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AgentTraceError

if TYPE_CHECKING:
    from ..launch.control import Client
    from ..settings import Settings

COMMANDS_OWN = ("home", "open_browser")
"""Which instance is meant, and what the command does itself."""
UNTOLD = ("upstream_proxy", "smtp")
"""May have passwords in them."""
FLAGS = {"--git": "--no-git"}


def in_force(client: "Client") -> "Settings":
    """The settings by which the running instance runs, with the ports that it found."""
    from ..settings import heard

    return heard(client.ask(op="settings")["settings"])


def agreed(client: "Client", settings: "Settings", given: Mapping[str, Any]) -> "Settings":
    """The settings in force; *given* is the command line, *settings* what would be in force by it.

    Raises `AgentTraceError` where the command line or the environment says something else.
    """
    from ..settings import said_by

    running = in_force(client)
    said = {name: word for name, word in said_by(given).items() if name not in COMMANDS_OWN}
    differ = [name for name in said if not _same(name, running, settings)]
    if differ:
        told = "; ".join(_told(name, running, settings) for name in differ)
        words = ", ".join(FLAGS.get(said[name], said[name]) for name in differ)
        raise AgentTraceError(
            f"AgentTrace runs already, {told}",
            f"End it first (agenttrace-mitm stop), or leave {words} out",
        )
    return running


def _value(settings: "Settings", name: str) -> object:
    value: object = settings.database if name == "db" else getattr(settings, name)
    return value.resolve() if isinstance(value, Path) else value


def _same(name: str, running: "Settings", wanted: "Settings") -> bool:
    value = _value(wanted, name)
    any_port = name in ("proxy_port", "port") and value == 0
    return any_port or value == _value(running, name)


def _told(name: str, running: "Settings", wanted: "Settings") -> str:
    value = _value(running, name)
    if value is None:
        return f"without {name}"
    if name in UNTOLD or isinstance(value, dict | list):
        return f"with another {name}"
    return f"with {name} {_said(value)}, not {_said(_value(wanted, name))}"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) or "empty"
