"""Where programs have their roots from, and what to do about one that does not trust ours.

What a client is, is told by the name of its process, and by how it turned our certificate down:
each way was seen with the program that is named beside it.
"""

import re

RUN = "agenttrace-mitm run -- CMD"
TRANSPARENT = "agenttrace-mitm run --transparent -- CMD"
LOCAL = "mitmdump -s addons/agenttrace.py --mode local:NAME"
OWN_ROOTS = (
    "Start it with `run`; if its roots are compiled in (rustls with webpki-roots) or it pins its"
    " certificates, no variable helps: set its base URL (docs/capture.md)"
)
_JAVA = "Java trusts its own store: start it with `run`, or agenttrace-mitm ca install --java"
_NODE = "Node has its own roots and reads NODE_EXTRA_CA_CERTS as it starts: start it with `run`"
_PYTHON = (
    "Python's clients have roots of their own (certifi): start it with `run`; a verify=FILE or an"
    " SSL context in the program wins over that"
)
_GO = "Go reads SSL_CERT_FILE as it starts: start it with `run`; one with RootCAs in its code pins"
_GO_ON_A_MAC = "Go on macOS asks the keychain and no variable: agenttrace-mitm ca install --system"
_BY_NAME = (
    (re.compile(r"java|.+\.(java|jar)"), _JAVA),
    (re.compile(r"node|nodejs|.+\.[cm]?[jt]sx?"), _NODE),
    (re.compile(r"python[\d.]*|.+\.py"), _PYTHON),
)


def distrust(client: str, reason: str, system: str) -> str:
    """What to do for a *client* (`127.0.0.1 name`) that refused our certificate for *reason*.

    *system* is `linux`, `darwin` or `win32`.
    """
    name = client.rpartition(" ")[2]
    for known, said in _BY_NAME:
        if known.fullmatch(name):
            return said
    if "bad certificate" in reason:  # Go; OpenSSL and rustls say `unknown ca`
        return _GO_ON_A_MAC if system == "darwin" else _GO
    return OWN_ROOTS


def unproxied(system: str) -> str:
    """What to do for a program that does not use the proxy."""
    if system == "linux":
        return f"Try: {TRANSPARENT}; or set its base URL (docs/capture.md)"
    return f"Set its base URL, or let mitmproxy redirect it: {LOCAL} (docs/capture.md)"


def in_order(system: str) -> str:
    """What to try for a program that goes unseen, the least trouble first."""
    transparent = TRANSPARENT if system == "linux" else LOCAL
    return f"1. {RUN}  2. {transparent}  3. its base URL (docs/capture.md)"


def is_about_trust(complaint: str) -> bool:
    """Whether what a program says at its end is about a certificate, not about a connection."""
    return re.search(r"certificate|PKIX|self.signed|unknown ?issuer", complaint, re.I) is not None
