"""Which hosts are whose: data.

A host that is not here is tunnelled untouched.  `profiles` are hosts that are somebody's LLM API
too, but are only decrypted when the user asked for it.  Outside `providers`, so that capture and
commands that only ask whose a host is do not load what reads every dialect.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from ipaddress import ip_address

from .profiles import PROFILES
from .settings import AddedHost

HOSTS: Mapping[str, str] = {
    "api.openai.com": "openai",
    "us.api.openai.com": "openai",
    "eu.api.openai.com": "openai",
    "ae.api.openai.com": "openai",
    "au.api.openai.com": "openai",
    "in.api.openai.com": "openai",
    "jp.api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
    "api.mistral.ai": "mistral",
    "api.eu.mistral.ai": "mistral",
    "api.us.mistral.ai": "mistral",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
}


FAMILIES = ("openai", "anthropic", "google", "mistral", "cohere", "ollama", "bedrock", "vertex")
"""Whose dialects there are.  Everybody else speaks one of these at paths that tell which."""


def provider_of(host: str) -> str | None:
    """Whose API *host* is, by exact name; None when it is nobody's."""
    return HOSTS.get(_plain(host))


def hosts(
    added: Mapping[str, str | AddedHost] | None = None,
    disabled: Collection[str] = (),
    enabled: Iterable[str] = (),
) -> dict[str, str]:
    """The hosts in force: ours, those of the *enabled* profiles, *added*, without *disabled*.

    The arguments are the settings `hosts_added`, `hosts_disabled` and `hosts_enabled`; a name
    that is no profile is ignored, and so is a host that is an address.
    """
    known = dict(HOSTS)
    for name in enabled:
        known |= PROFILES.get(name, {})
    known |= {
        _name(host): _whose(one) for host, one in (added or {}).items() if not is_address(host)
    }
    unwanted = {_name(host) for host in disabled}
    return {host: provider for host, provider in known.items() if host not in unwanted}


def is_address(host: str) -> bool:
    """Whether *host* is an address, other than a port of this machine, which speaks plain HTTP.

    Our certificates vouch for names only (the authority's constraints exclude every address): who
    calls an address would refuse them.
    """
    for bare in (host.strip("[]"), _name(host)):
        with contextlib.suppress(ValueError):
            ip_address(bare)
            return True
    return False


def speaking(added: Mapping[str, str | AddedHost]) -> dict[str, str]:
    """Whose dialect those of the *added* hosts speak that go by another name."""
    return {_name(host): one.speaks for host, one in added.items() if isinstance(one, AddedHost)}


def _whose(added: str | AddedHost) -> str:
    return added if isinstance(added, str) else added.provider


def provider_among(host: str, known: Mapping[str, str]) -> str | None:
    """Whose API *host* is among the hosts in force: by its name, or by a wildcard's label."""
    plain = _plain(host)
    return known.get(_name(host)) or known.get(plain) or known.get(wildcard_of(plain))


def wildcard_of(host: str) -> str:
    """The wildcard that *host* falls under, one label for another; empty for a bare name."""
    _, dot, domain = host.partition(".")
    return f"*.{domain}" if dot else ""


def certificate_names(known: Iterable[str]) -> list[str]:
    """The names that a certificate authority of ours has to be allowed to vouch for.

    A wildcard needs its domain; servers that speak plain HTTP need nothing.
    """
    return sorted({host.removeprefix("*.") for host in known if ":" not in host})


@cache
def known_providers() -> tuple[str, ...]:
    """Everybody whose hosts we know: what a further host may be said to speak like."""
    known = {provider for members in PROFILES.values() for provider in members.values()}
    return tuple(sorted(known | set(HOSTS.values())))


def permitted_names(profiles: Iterable[str] = ()) -> list[str]:
    """The names that a certificate authority for these *profiles* may vouch for."""
    return certificate_names(hosts(enabled=profiles))


def _name(host: str) -> str:
    """*host* as it is listed: with its port where it is a server on this machine."""
    name = host.rpartition("@")[2].rstrip(".").lower()
    return name if name.startswith(("localhost:", "127.0.0.1:")) else _plain(host)


def _plain(host: str) -> str:
    """*host* without port, case and the root's dot."""
    return host.rpartition("@")[2].partition(":")[0].rstrip(".").lower()
