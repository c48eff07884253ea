"""What the user's environment says about the way out: a company's proxy.

Programs that used it before go through us now, so we have to use it in their place.  (Their
roots are capture's business: `capture.authority` reads SSL_CERT_FILE itself.)
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..detours import proxy_of

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def upstream_proxy(environ: Mapping[str, str], own_port: int) -> str | None:
    """The proxy that *environ* names, unless it is ours from an earlier `env`."""
    said = environ.get("HTTPS_PROXY") or environ.get("https_proxy") or ""
    parts = urlsplit(said if "://" in said else f"http://{said}")
    try:
        proxy_of(said)
    except ValueError:
        return None
    ours = parts.port == own_port and parts.hostname in LOOPBACK
    return parts.geturl() if said and parts.scheme == "http" and not ours else None
