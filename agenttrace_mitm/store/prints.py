"""Fingerprints in 16 characters, where there were 32.

A call stores some ten of them, indexes included: half of the length is 160 bytes a call.  96 bits
are as good as unique: a billion messages meet in one of 10^11 databases.
"""

import base64
import sqlite3

_PRINTS = {
    "messages": ("fingerprint",),
    "tool_calls": ("fingerprint",),
    "llm_calls": ("turn_print", "reply_print", "request_chain"),
}


def shorten(db: sqlite3.Connection) -> None:
    """Rewrite those that are stored as `traces.fingerprints` makes them now."""
    db.create_function("short_print", 1, _short, deterministic=True)
    for table, columns in _PRINTS.items():
        changed = ", ".join(f"{column} = short_print({column})" for column in columns)
        wanted = " or ".join(f"length({column}) = 32" for column in columns)
        db.execute(f"update {table} set {changed} where {wanted}")


def _short(print_: str | None) -> str | None:
    if print_ is None or len(print_) != 32:
        return print_
    return base64.urlsafe_b64encode(bytes.fromhex(print_)[:12]).decode()
