"""Where provider traffic goes instead: what the settings `upstream_map` and `upstream_proxy` say.

Text in, values out, for whoever judges settings and for capture, which connects.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?")


@dataclass(frozen=True, slots=True)
class Target:
    """Where connections to a provider host go instead."""

    scheme: Literal["http", "https"]
    host: str
    port: int


def is_host(name: str) -> bool:
    """Whether *name* can be a host's: a name or an address, without a port."""
    if _NAME.fullmatch(name):
        return True
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return True


def target_of(said: str) -> Target:
    """The target that *said* names.  Raises `ValueError` when it names none."""
    parts = _parts(said, "https")
    if parts is None or parts.path.strip("/") or parts.query:
        shown = said.rpartition("@")[2].partition("?")[0]  # no login, and no key behind it
        raise ValueError(f"{shown!r} is neither host:port nor a URL without a path")
    if parts.scheme == "http":
        return Target("http", parts.hostname or "", parts.port or 80)
    return Target("https", parts.hostname or "", parts.port or 443)


def proxy_of(said: str) -> tuple[str, str | None]:
    """Address and login of the proxy *said*.  Raises `ValueError`, which repeats no password."""
    parts = _parts(said, "http")
    if parts is None:
        raise ValueError("expected a proxy's URL, such as http://user:password@example.com:3128")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    login = None
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{host}:{port}", login


def _parts(said: str, scheme: str) -> SplitResult | None:
    """The parts of an HTTP URL, *scheme* where it says none; None for what is no such URL."""
    try:
        parts = urlsplit(said if "://" in said else f"{scheme}://{said}")
        parts.port  # noqa: B018  # raises when it is not a number
    except ValueError:
        return None
    known = parts.scheme in ("http", "https") and is_host(parts.hostname or "")
    return parts if known else None
