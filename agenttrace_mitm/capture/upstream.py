"""Another proxy behind us."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import CaptureError


def behind(upstream_proxy: str) -> tuple[str, str | None]:
    """Address and login of the proxy behind us.  Raises `CaptureError` when it is no URL of one."""
    wrong = CaptureError(
        "The setting upstream_proxy is not a proxy's URL",
        "Use for example http://user:password@proxy.example.com:3128",
    )
    try:
        parts = urlsplit(upstream_proxy if "://" in upstream_proxy else f"http://{upstream_proxy}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login = None
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"{parts.scheme}://{host}:{port}", login


def via(spec: str) -> Any:
    """The same as mitmproxy wants it for a server: scheme and address."""
    parts = urlsplit(spec)
    return parts.scheme, (parts.hostname, parts.port)


def check_combination(upstream_proxy: str | None, targets: Mapping[str, object]) -> None:
    """Raise `CaptureError` for settings that contradict each other."""
    if upstream_proxy and targets:
        raise CaptureError(
            "upstream_proxy and upstream_map cannot be used together", "Unset one of them"
        )
