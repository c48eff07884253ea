"""The environment in which a program sends its LLM calls through the proxy and trusts it.

`variables` asks every runtime what it needs and merges the answers with what the user has; it
also notes the old values, so that the change can be undone exactly and never piles up.
"""

import base64
import binascii
import json
from collections.abc import Mapping

from .runtimes import RUNTIMES, Context
from .runtimes.proxy import NAMES

SAVED = "AGENTTRACE_SAVED_ENV"


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """What to set, given the user's own *environ* (see `original`)."""
    chosen: dict[str, str] = {}
    for runtime in RUNTIMES:
        chosen |= runtime.variables(context, {**environ, **chosen})
    old = {name: environ.get(name) for name in chosen}
    return {**chosen, SAVED: base64.b64encode(json.dumps(old).encode()).decode()}


def without_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """*environ* for a program that is to dial its servers itself."""
    proxies = {name.upper() for name in (*NAMES, "grpc_proxy")}
    return {name: value for name, value in environ.items() if name.upper() not in proxies}


def saved(environ: Mapping[str, str]) -> dict[str, str | None]:
    """The values from before `variables` was applied; empty when it was not."""
    try:
        old = json.loads(base64.b64decode(environ.get(SAVED, ""), validate=True) or b"{}")
    except (binascii.Error, ValueError):
        return {}
    return {str(name): value for name, value in old.items()} if isinstance(old, dict) else {}


def original(environ: Mapping[str, str]) -> dict[str, str]:
    """*environ* as the user had it, without anything that we set."""
    restored = {name: value for name, value in environ.items() if name != SAVED}
    for name, value in saved(environ).items():
        if value is None:
            restored.pop(name, None)
        else:
            restored[name] = value
    return restored
