"""Which hosts are whose: data, and nothing but exact names.

A host that is not here is tunnelled untouched.  Profiles are hosts that are somebody's LLM API
too, but are only decrypted when the user asked for it.
"""

from collections.abc import Collection, Iterable, Mapping

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

PROFILES: Mapping[str, Mapping[str, str]] = {
    "chatgpt": {"chatgpt.com": "openai"},
    "cloudcode": {"cloudcode-pa.googleapis.com": "google"},
}


def provider_of(host: str) -> str | None:
    """Whose API *host* is, by exact name; None when it is nobody's."""
    return HOSTS.get(_plain(host))


def hosts(
    added: Mapping[str, str] | None = None,
    disabled: Collection[str] = (),
    enabled: Iterable[str] = (),
) -> dict[str, str]:
    """The hosts in force: ours, those of the *enabled* profiles, *added*, without *disabled*.

    The arguments are the settings `hosts_added`, `hosts_disabled` and `hosts_enabled`; a name
    that is no profile is ignored.
    """
    known = dict(HOSTS)
    for name in enabled:
        known |= PROFILES.get(name, {})
    known |= {_plain(host): provider for host, provider in (added or {}).items()}
    unwanted = {_plain(host) for host in disabled}
    return {host: provider for host, provider in known.items() if host not in unwanted}


def provider_among(host: str, known: Mapping[str, str]) -> str | None:
    """Whose API *host* is among the hosts in force."""
    return known.get(_plain(host))


def permitted_names(profiles: Iterable[str] = ()) -> list[str]:
    """The exact names that a certificate authority of ours may vouch for."""
    return sorted(hosts(enabled=profiles))


def _plain(host: str) -> str:
    """*host* without port, case and the root's dot."""
    return host.rpartition("@")[2].partition(":")[0].rstrip(".").lower()
