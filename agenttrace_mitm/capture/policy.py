"""Which header fields and query parameters are credentials, and what is left of them.

What the recorder gets holds `REDACTED` instead, and a digest by which an echo of the credential
in a body can be recognised.  What goes upstream is never changed here.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from urllib.parse import unquote_plus

from ..secret_names import is_credential_header, is_credential_parameter

REDACTED = "REDACTED"
SHORTEST_DIGEST = 8  # shorter values would be found everywhere

SUBPROTOCOLS = "sec-websocket-protocol"
"""Browsers cannot send headers with a WebSocket, so keys go in its list of protocols."""

type Digest = tuple[int, str]


def is_credential(name: str) -> bool:
    """Whether the header field *name* (lower case) carries a credential."""
    return name == SUBPROTOCOLS or is_credential_header(name)


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
        if equals and is_credential_parameter(unquote_plus(name)):
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
    if name == SUBPROTOCOLS:
        return list(_in_subprotocols(value))
    return [value.strip()]


def _in_subprotocols(value: str) -> Iterator[str]:
    """The keys in a list such as `realtime, openai-insecure-api-key.KEY` or `token, KEY`."""
    before = ""
    for part in (one.strip() for one in value.split(",")):
        name, dot, key = part.partition(".")
        if dot and name.lower().endswith(("key", "token", "bearer", "authorization")):
            yield key
        elif before in ("authorization", "bearer", "token"):
            yield part
        before = part.lower()
