"""Python: roots for requests and pip, and a hook for clients that ignore proxy variables.

aiohttp, bare urllib3 and `trust_env=False` never look at HTTPS_PROXY; the hook, a
`sitecustomize` in front of any other, has their connections to recorded hosts dialled at ours.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from .context import Context

HOOKS = Path(__file__).parent.parent / "hooks" / "python"


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """Bundles for requests, pip and httplib2; PYTHONPATH with our hook first."""
    roots = context.replacing(environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE"))
    chosen = {
        "REQUESTS_CA_BUNDLE": roots,
        "PIP_CERT": context.replacing(environ.get("PIP_CERT")),
        "HTTPLIB2_CA_CERTS": context.replacing(environ.get("HTTPLIB2_CA_CERTS")),
    }
    if context.sni_port:
        path = [str(HOOKS), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
        chosen["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    return chosen
