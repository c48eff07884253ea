"""Time and identity, in one place, so that tests can replace them.

Times are integer microseconds since the epoch, UTC.  Ids are UUIDv7 text: they sort by time.
"""

import hashlib
import os
import time
import uuid

NAME_FROM = 15
"""The first character of an id, counted from 1, that is not of its moment."""


def now_us() -> int:
    """The wall clock, in microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def new_id(at_us: int | None = None) -> str:
    """A UUIDv7 (RFC 9562) for the moment *at_us*, now when not given."""
    return _id(now_us() if at_us is None else at_us, int.from_bytes(os.urandom(10), "big"))


def derived_id(at_us: int, name: str) -> str:
    """The UUIDv7 of the moment *at_us* that *name* always gets."""
    tail = int.from_bytes(hashlib.sha256(name.encode()).digest()[:10], "big")
    return _id(at_us, tail)


def name_in(id_: str) -> str:
    """What a derived id has of its name: the same at every moment."""
    return id_[NAME_FROM - 1 :]


def _id(at_us: int, tail: int) -> str:
    value = (at_us // 1000 & 0xFFFFFFFFFFFF) << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"  # as `uuid.UUID` writes them, in a third of the time
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def oldest_id(at_us: int) -> str:
    """The smallest UUIDv7 of the moment *at_us*: ids from before it compare as less."""
    return str(uuid.UUID(int=(at_us // 1000 & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | 0x2 << 62))


def moment_of(id_: str) -> int:
    """When a UUIDv7 was made, to the millisecond; 0 for another kind of id."""
    try:
        return (uuid.UUID(id_).int >> 80) * 1000
    except ValueError:
        return 0
