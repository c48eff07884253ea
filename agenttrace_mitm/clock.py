"""Time and identity, in one place, so that tests can replace them.

Times are integer microseconds since the epoch, UTC.  Ids are UUIDv7 text: they sort by time.
"""

import os
import time
import uuid


def now_us() -> int:
    """The wall clock, in microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def new_id(at_us: int | None = None) -> str:
    """A UUIDv7 (RFC 9562) for the moment *at_us*, now when not given."""
    millis = (now_us() if at_us is None else at_us) // 1000
    value = (millis & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def oldest_id(at_us: int) -> str:
    """The smallest UUIDv7 of the moment *at_us*: ids from before it compare as less."""
    return str(uuid.UUID(int=(at_us // 1000 & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | 0x2 << 62))
