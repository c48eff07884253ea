"""What the bytes of an exchange meant: one file for each wire dialect.

Comes in: an `Exchange`.  Goes out: an `Understood`.  `ADAPTERS` is the list of dialects; what
none of them claims is read by `other`.  Redaction, prices and traces are left to others.
"""

from ..hosts import (
    HOSTS,
    certificate_names,
    hosts,
    known_providers,
    permitted_names,
    provider_among,
    provider_of,
    speaking,
)
from ..profiles import PROFILES
from .adapter import Adapter, ReplyStream, Route
from .clients import attempt_of, client_of, is_library
from .headers import rate_limits, request_ids
from .sockets import turns_of
from .turns import Turn, Turns
from .understanding import ADAPTERS, spoken_at, understand
from .within import calls_within

__all__ = [
    "ADAPTERS",
    "HOSTS",
    "PROFILES",
    "Adapter",
    "ReplyStream",
    "Route",
    "Turn",
    "Turns",
    "attempt_of",
    "calls_within",
    "certificate_names",
    "client_of",
    "hosts",
    "is_library",
    "known_providers",
    "permitted_names",
    "provider_among",
    "provider_of",
    "rate_limits",
    "request_ids",
    "speaking",
    "spoken_at",
    "turns_of",
    "understand",
]
