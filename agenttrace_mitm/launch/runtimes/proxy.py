"""The proxy variables that most programs read, in both spellings.

Ruby sends https through HTTP_PROXY; wget and gRPC read lower case only; so all of them.
"""

from collections.abc import Mapping

from .context import Context

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """Proxy for everything but loopback and what the user keeps away from proxies."""
    if not context.proxied:
        return {}
    proxies = dict.fromkeys((*NAMES, *map(str.lower, NAMES)), context.proxy_url)
    users = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    kept = [item.strip() for item in users.split(",") if not _hides(item.strip(), context.hosts)]
    no_proxy = ",".join(dict.fromkeys([*kept, *LOOPBACK]))
    return {**proxies, "NO_PROXY": no_proxy, "no_proxy": no_proxy}


def hidden_by(no_proxy: str, host: str) -> str:
    """The item of a NO_PROXY that keeps *host* away from a proxy, empty when none does."""
    items = filter(None, map(str.strip, no_proxy.split(",")))
    return next((item for item in items if _hides(item, (host,))), "")


def _hides(item: str, hosts: tuple[str, ...]) -> bool:
    """Whether a NO_PROXY item would keep a recorded host away from us."""
    if item.count(":") > 1:
        return False  # an IPv6 address, and no host with its port
    domain = item.partition(":")[0].lstrip("*").lstrip(".")
    return not domain or any(host == domain or host.endswith("." + domain) for host in hosts)
