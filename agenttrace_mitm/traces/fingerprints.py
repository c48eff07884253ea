"""Recognising messages: a keyed fingerprint each, and a chain over what came before.

Clients resend their history with every call.  Equal content has an equal fingerprint; equal
content after an equal history has an equal chain value.  Both are keyed with a local secret, so
that a stored fingerprint does not let anybody test guesses at the content behind it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ..model import JsonObject, Message
from .content import render

# Keys that clients change from call to call without changing what is said.
VOLATILE_KEYS = frozenset({"cache_control", "obfuscation"})

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Placed:
    """A message at its place: rendered content, fingerprint of it, chain up to and including it."""

    message: Message
    content: list[JsonObject]
    fingerprint: str
    chain: str


class Fingerprinter:
    """Fingerprints and chains under one secret *key* (16 to 64 bytes)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def place(self, messages: Iterable[Message], after: str = "") -> list[Placed]:
        """Each message with its fingerprint, chained onto *after*, a chain value or empty."""
        placed = []
        chain = after
        for message in messages:
            content = render(message)
            fingerprint = self._digest(_encode([message.role, _lasting(content)]))
            chain = self._digest(chain.encode() + fingerprint.encode())
            placed.append(Placed(message, content, fingerprint, chain))
        return placed

    def of(self, *words: str) -> str:
        """A print of *words*: equal words, equal print."""
        return self._digest("\0".join(words).encode("utf-8", "surrogatepass"))

    def _digest(self, data: bytes) -> str:
        return hashlib.blake2b(data, key=self._key, digest_size=16).hexdigest()


def _lasting(content: list[JsonObject]) -> list[JsonObject]:
    """*content* without volatile keys; only unknown parts carry wire JSON that may hold some."""
    return [
        part | {"raw": _without_volatile(part["raw"])} if part["type"] == "unknown" else part
        for part in content
    ]


def _without_volatile(raw: object) -> object:
    if isinstance(raw, dict):
        return {k: _without_volatile(v) for k, v in raw.items() if k not in VOLATILE_KEYS}
    if isinstance(raw, list):
        return [_without_volatile(item) for item in raw]
    return raw
