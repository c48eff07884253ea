"""Which header fields and query parameters are credentials, and what is left of them.

What the recorder gets holds `REDACTED` instead, and a digest by which an echo of the credential
in a body can be recognised.  What goes upstream is never changed here.
"""

import base64
import binascii
import hashlib
from functools import lru_cache
from urllib.parse import unquote_plus

REDACTED = "REDACTED"
SHORTEST_DIGEST = 8  # shorter values would be found everywhere

EXACT = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
    )
)
ENDINGS = ("-key", "-token")
PARTS = ("secret", "password", "authorization")
# They end like a key and are none: one repeats a request safely, one is a handshake's nonce.
NOT_SECRET = frozenset(("idempotency-key", "x-idempotency-key", "sec-websocket-key"))
QUERY = frozenset(("key", "api_key", "access_token", "token"))

type Digest = tuple[int, str]


@lru_cache(maxsize=1024)
def is_credential(name: str) -> bool:
    """Whether the field *name* (lower case) carries a credential."""
    if name in NOT_SECRET:
        return False
    return name in EXACT or name.endswith(ENDINGS) or any(part in name for part in PARTS)


def digests(name: str, value: str) -> list[Digest]:
    """(length, SHA-256) of each secret in the field *name* with *value*."""
    return [
        (len(secret), hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest())
        for secret in _secrets(name, value)
        if len(secret) >= SHORTEST_DIGEST
    ]


def without_secrets(target: str) -> tuple[str, list[Digest]]:
    """A request target with its query's secrets replaced, and their digests."""
    path, mark, query = target.partition("?")
    if not mark or "=" not in query:
        return target, []
    found: list[Digest] = []
    pieces = []
    for piece in query.split("&"):
        name, equals, value = piece.partition("=")
        if equals and unquote_plus(name).lower() in QUERY:
            found += digests("query", unquote_plus(value))
            piece = f"{name}={REDACTED}"  # noqa: PLW2901 - the piece, made harmless
        pieces.append(piece)
    return f"{path}?{'&'.join(pieces)}", found


def basic(value: str) -> tuple[str, str]:
    """User and password of a Basic credential, both empty when it is something else."""
    scheme, _, coded = value.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(coded.strip(), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def _secrets(name: str, value: str) -> list[str]:
    if name in ("authorization", "proxy-authorization"):
        _, _, token = value.strip().partition(" ")
        return [token.strip() or value.strip(), basic(value.strip())[1]]
    if name == "cookie":
        return [part.partition("=")[2].strip() for part in value.split(";")]
    return [value.strip()]
