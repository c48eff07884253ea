"""What each runtime needs to use a proxy and to trust it: one file each, one line below.

A runtime is a function from the context and the variables so far to variables to set.  It merges
with what the user has; it never drops the user's own proxies, roots, options or hooks.
"""

from collections.abc import Mapping
from typing import Protocol

from . import deno, grpc, java, node, openssl, php, proxy, python, tools, wget
from .context import Context

__all__ = ["RUNTIMES", "Context", "Runtime"]


class Runtime(Protocol):
    """A module with one function."""

    def variables(self, context: Context, environ: Mapping[str, str]) -> dict[str, str]:
        """What to set."""


RUNTIMES: tuple[Runtime, ...] = (proxy, openssl, python, node, grpc, deno, java, php, wget, tools)
