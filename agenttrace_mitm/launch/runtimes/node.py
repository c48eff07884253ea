"""Node: its fetch reads proxy variables since 24 (22.21 with a flag), older ones need a hook.

`NODE_OPTIONS=--use-env-proxy` would keep Node 20 from starting, so it is the variable instead.
Bun reads NODE_EXTRA_CA_CERTS and the proxy variables too.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from .context import Context

HOOK = Path(__file__).parent.parent / "hooks" / "node" / "agenttrace.cjs"


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """Our root beside the user's extra ones; the hook after the user's own options."""
    chosen = {
        "NODE_USE_ENV_PROXY": "1",
        "NODE_EXTRA_CA_CERTS": context.adding(environ.get("NODE_EXTRA_CA_CERTS")),
    }
    if context.sni_port:
        # Node reads a quoted value with backslash escapes, which is what JSON writes.
        hook = f"--require={json.dumps(str(HOOK), ensure_ascii=False)}"
        users = environ.get("NODE_OPTIONS", "")
        chosen["NODE_OPTIONS"] = users if hook in users else f"{users} {hook}".strip()
        chosen["AGENTTRACE_SNI"] = f"{context.proxy_host}:{context.sni_port}"
        chosen["AGENTTRACE_HOSTS"] = ",".join(context.hosts)
    return chosen
