"""Another proxy behind us."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..detours import proxy_of
from ..errors import CaptureError


def behind(upstream_proxy: str) -> tuple[str, str | None]:
    """Address and login of the proxy behind us.  Raises `CaptureError` when it is no URL of one."""
    try:
        return proxy_of(upstream_proxy)
    except ValueError as error:
        raise CaptureError(f"The setting upstream_proxy is wrong: {error}", "Correct it") from None


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
