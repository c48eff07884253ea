"""Recognising messages: a keyed fingerprint each, and a chain over what came before.

Clients resend their history with every call.  Equal content has an equal fingerprint; equal
content after an equal history has an equal chain value.  Both are keyed with a local secret, so
that a stored fingerprint does not let anybody test guesses at the content behind it.
"""

import base64
import hashlib
from collections.abc import Iterable

import msgspec

from ..model import JsonObject, Message, TextPart
from .content import render

# Keys that clients change from call to call without changing what is said.
VOLATILE_KEYS = frozenset({"cache_control", "obfuscation"})

PRINT_BYTES = 12
"""Of a print, 16 characters as text: short, as a call stores some ten of them."""

REMEMBERED_CHARS = 4_000_000
"""Of messages whose print is remembered, in each of two generations."""
LONGEST_REMEMBERED = 200_000

_encode = msgspec.json.Encoder(order="deterministic").encode

type _Plain = tuple[str, str, str]


class Placed(msgspec.Struct, frozen=True):
    """A message at its place: rendered content, fingerprint of it, chain up to and including it."""

    message: Message
    content: list[JsonObject]
    fingerprint: str
    chain: str


class Fingerprinter:
    """Fingerprints and chains under one secret *key* (16 to 64 bytes)."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=16)
        self._recent: dict[_Plain, tuple[list[JsonObject], str]] = {}
        self._older: dict[_Plain, tuple[list[JsonObject], str]] = {}
        self._recent_chars = 0

    def place(self, messages: Iterable[Message], after: str = "") -> list[Placed]:
        """Each message with its fingerprint, chained onto *after*, a chain value or empty."""
        placed = []
        chain = after
        for message in messages:
            content, fingerprint = self._known(message)
            chain = self.chained(chain, fingerprint)
            placed.append(Placed(message, content, fingerprint, chain))
        return placed

    def chained(self, chain: str, fingerprint: str) -> str:
        """The chain value of a message after *chain*."""
        return self._digest(chain.encode() + fingerprint.encode())

    def of(self, *words: str) -> str:
        """A print of *words*: equal words, equal print."""
        return self._digest("\0".join(words).encode("utf-8", "surrogatepass"))

    def id(self, *words: str) -> str:
        """An id that follows from *words*, 32 hex digits: those of traces and spans are hex."""
        keyed = self._keyed.copy()
        keyed.update("\0".join(words).encode("utf-8", "surrogatepass"))
        return keyed.hexdigest()

    def _known(self, message: Message) -> tuple[list[JsonObject], str]:
        """The content of *message* and its print, from memory where it is words alone.

        Histories are resent with every call: comparing is ten times as fast as hashing anew.
        """
        plain = _plain(message)
        if plain is None:
            return self._printed(message)
        known = self._recent.get(plain)
        if known is None:
            known = self._older.get(plain) or self._printed(message)
            if len(plain[2]) <= LONGEST_REMEMBERED:
                self._remember(plain, known)
        return known

    def _printed(self, message: Message) -> tuple[list[JsonObject], str]:
        content = render(message)
        return content, self._digest(_encode([message.role, _lasting(content)]))

    def _remember(self, plain: _Plain, known: tuple[list[JsonObject], str]) -> None:
        self._recent_chars += len(plain[2])
        if self._recent_chars > REMEMBERED_CHARS:
            self._older, self._recent = self._recent, {}
            self._recent_chars = len(plain[2])
        self._recent[plain] = known

    def _digest(self, data: bytes) -> str:
        keyed = self._keyed.copy()
        keyed.update(data)
        return base64.urlsafe_b64encode(keyed.digest()[:PRINT_BYTES]).decode()


def _plain(message: Message) -> _Plain | None:
    """What a message of one text says; None for all others."""
    if len(message.parts) != 1:
        return None
    (part,) = message.parts
    return (message.role, part.kind, part.text) if isinstance(part, TextPart) else None


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
