"""Where messages go, from the text of a target.

`https://...` (JSON, signed), `slack:`, `discord:` or `teams:` before an address, `mailto:a@b.c`,
`command:program arguments`.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from ..errors import SettingsError

TIMEOUT_S = 10.0

type How = Literal["webhook", "slack", "discord", "teams", "mail", "command"]

_PREFIXES: dict[str, How] = {
    "slack": "slack",
    "discord": "discord",
    "teams": "teams",
    "webhook": "webhook",
}
_HOSTS: dict[str, How] = {
    "hooks.slack.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
}


class NotDelivered(Exception):
    """The message did not arrive, or nobody said that it did."""


@dataclass(frozen=True, slots=True)
class Target:
    """How a message is sent, and where."""

    how: How
    where: str


def target_of(text: str) -> Target:
    """The target that *text* names.  Raises `SettingsError` when it names none."""
    prefix, _, rest = text.partition(":")
    if prefix == "mailto" and "@" in rest and not any(sign in rest for sign in "\r\n <>,"):
        return Target("mail", rest)
    if prefix == "command" and rest.strip():
        return Target("command", rest.strip())
    address = rest if prefix in _PREFIXES else text
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        parts.port  # noqa: B018  # raises when it is not a number
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or not address.isprintable():
        raise SettingsError(
            f"{text!r} is not a target",
            "Targets: https://..., slack:https://..., discord:https://..., teams:https://...,"
            " mailto:me@example.com, command:notify-send AgentTrace",
        )
    return Target(_PREFIXES.get(prefix) or _HOSTS.get(host, "webhook"), address)


def shown(text: str) -> str:
    """*text* for people who may look over a shoulder: a webhook's path is its password."""
    try:
        target = target_of(text)
    except SettingsError:
        return "(not a target)"
    if target.how in ("mail", "command"):
        return f"{target.how}: {target.where}"
    parts = urlsplit(target.where)
    hidden = "/..." if len(parts.path) > 1 or parts.query else ""
    return f"{target.how}: {parts.scheme}://{parts.hostname}{hidden}"
