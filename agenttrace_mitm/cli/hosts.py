"""`hosts`: which hosts are decrypted and recorded.  All others pass through untouched."""

import re
from typing import TYPE_CHECKING, Any

import click

from ..errors import AgentTraceError
from . import options
from .typed import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..settings import Settings


_OTHERS = "or name a provider that `hosts list` shows, and the host is recorded as its"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_HOST = re.compile(
    r"(localhost|127\.0\.0\.1):\d{1,5}"
    # The last label of a name has a letter: 10.1 is an address as well.
    r"|(\*\.)?([a-z0-9-]+\.)*(?![0-9]+$)[a-z0-9][a-z0-9-]*"
)


@click.group()
def command() -> None:
    """Which hosts are recorded.  All others pass through untouched.

    \b
    agenttrace-mitm hosts list
    agenttrace-mitm hosts add llm.example.com openai
    """


@command.command("list")
def list_() -> None:
    """Show the recorded hosts, and the profiles that could be enabled."""
    from ..hosts import hosts, is_address
    from ..profiles import PROFILES
    from .text import table

    settings = options.load({})
    known = hosts(settings.hosts_added, settings.hosts_disabled, settings.hosts_enabled)
    rows = [(host, provider, "recorded") for host, provider in known.items()]
    rows += [
        (_abridged(members), "", f"off: hosts enable {profile}")
        for profile, members in PROFILES.items()
        if profile not in settings.hosts_enabled
    ]
    rows += [(host, "", "off") for host in settings.hosts_disabled if host not in known]
    rows += [(host, "", "passes: an address") for host in settings.hosts_added if is_address(host)]
    click.echo(table(("host", "provider", "state"), rows))


@command.command()
@click.argument("name")
def enable(name: str) -> None:
    """Record a profile, or a host that was disabled."""
    from ..hosts import hosts
    from ..profiles import PROFILES

    settings, name = options.load({}), name.lower()
    if name in PROFILES:
        _change(settings, hosts_enabled=sorted({*settings.hosts_enabled, name}))
    elif name in settings.hosts_disabled:
        _change(settings, hosts_disabled=[one for one in settings.hosts_disabled if one != name])
    elif name in hosts(settings.hosts_added, (), settings.hosts_enabled):
        click.echo(f"{name} is recorded already.")
    else:
        raise AgentTraceError(
            f"{name!r} is neither a profile nor a disabled host",
            f"Profiles: {', '.join(PROFILES)}; for another host use `hosts add`",
        )


@command.command()
@click.argument("name")
def disable(name: str) -> None:
    """Let a profile or a host pass through unrecorded."""
    from ..hosts import hosts

    settings, name = options.load({}), name.lower()
    if name in settings.hosts_enabled:
        _change(settings, hosts_enabled=[one for one in settings.hosts_enabled if one != name])
    elif name in hosts(settings.hosts_added, (), settings.hosts_enabled):
        _change(settings, hosts_disabled=sorted({*settings.hosts_disabled, name}))
    else:
        raise AgentTraceError(f"{name!r} is not recorded", "See `agenttrace-mitm hosts list`")


@command.command()
@click.argument("host")
@click.argument("dialect")
@click.option(
    "--provider",
    metavar="NAME",
    help="Record and price its calls under this name. Default: what the price list calls the"
    " host, else the host itself.",
)
def add(host: str, dialect: str, provider: str | None) -> None:
    """Record another host, and say whose dialect it speaks.

    A gateway of your own that speaks OpenAI's dialect is not OpenAI: its calls go by its own name,
    and have no cost unless you say whose prices they have, or give some in prices.json.

    \b
    agenttrace-mitm hosts add llm.example.com openai
    agenttrace-mitm hosts add llm.example.com anthropic --provider acme
    """
    from ..hosts import FAMILIES, is_address, known_providers

    settings = options.load({})
    if dialect not in known_providers():
        raise AgentTraceError(
            f"{dialect} is not a dialect we can read",
            f"Choose from {', '.join(FAMILIES)}; {_OTHERS}",
        )
    if is_address(host):
        raise AgentTraceError(
            f"{host} is an address, and our certificates vouch for names only: a program that calls"
            " it would refuse them",
            "Give it a name (in /etc/hosts or your DNS), let the program call that, and add the"
            " name; plain HTTP on this machine is added as 127.0.0.1:PORT",
        )
    if not _HOST.fullmatch(host.lower()) or not 0 < _port_of(host) < 65_536:
        raise AgentTraceError(
            f"{host!r} is not a host name",
            "Give the bare name, *.domain, or localhost:port for plain HTTP on this machine",
        )
    if provider is not None and not _NAME.fullmatch(provider):
        raise AgentTraceError(
            f"{provider!r} cannot be the name of a provider",
            "Use letters, digits, dots, dashes and underscores",
        )
    name = (provider or _named(host.lower(), dialect)).lower()
    speaks = dialect if dialect in FAMILIES else "openai"
    added = settings.told()["hosts_added"]
    added[host.lower()] = name if name == dialect else {"speaks": speaks, "provider": name}
    _change(settings, hosts_added=added)
    click.echo(f"Calls to {host.lower()} are recorded as {name}.")


def _named(host: str, dialect: str) -> str:
    """Under which name the calls to *host* go when nobody says."""
    from ..hosts import FAMILIES, hosts, provider_among
    from ..pricing.catalog import provider_at
    from ..profiles import PROFILES

    if dialect not in FAMILIES:  # a provider, and by that whose dialect it is
        return dialect
    bare = host.removeprefix("*.")
    return provider_among(bare, hosts(enabled=PROFILES)) or provider_at(bare) or bare


def _port_of(host: str) -> int:
    """The port of *host*, 443 where it names none."""
    return int(host.partition(":")[2] or 443)


def _abridged(members: "Mapping[str, str]") -> str:
    first, *others = members
    return f"{first} and {len(others)} more" if others else first


def _change(settings: "Settings", **values: Any) -> None:
    from ..launch import control
    from .config import change

    click.echo(f"Written to {change(settings, **values)}.")
    if client := control.connect(settings.run_folder):
        client.close()
        say("It takes effect after a restart: agenttrace-mitm stop, then start.")
