"""Named tokens of the API: scoped, hashed at rest, revocable; and the audit of what they wrote.

A token is 32 random bytes, so a plain hash of it tells nobody anything.
"""

import contextlib
import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from ..clock import new_id, now_us
from ..errors import StoreError

Scope = Literal["read", "ingest", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "at_"
OWNER = "owner"
"""Who wrote with the access token of this home, for the audit."""
BUSY_S = 5.0
MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it may be shown."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_us: int
    used_us: int | None
    revoked_us: int | None


def create(database: Path, name: str, scopes: Sequence[str]) -> str:
    """A new token; it is shown this once.  Raises `StoreError`."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise StoreError(
            f"{', '.join(unknown) or 'nothing'} is not a scope", f"Scopes: {', '.join(SCOPES)}"
        )
    if not name.strip() or not name.isprintable():
        raise StoreError(f"{name!r} is not a name for a token", "Give it a short one")
    if name == OWNER:
        raise StoreError(
            f"{name!r} is what the audit calls the access token", "Choose another name"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    row = (new_id(), name, json.dumps(sorted(set(scopes))), _hash(token), now_us())
    with _open(database) as db:
        try:
            db.execute(
                "insert into api_tokens (id, name, scopes, sha256, created_us)"
                " values (?, ?, ?, ?, ?)",
                row,
            )
        except sqlite3.IntegrityError:
            raise StoreError(f"There is a token {name!r} already", "Revoke it first") from None
    return token


def revoke(database: Path, name: str) -> None:
    """The token *name* is good for nothing from now on.  Raises `StoreError`."""
    with _open(database) as db:
        done = db.execute(
            "update api_tokens set revoked_us = ? where name = ? and revoked_us is null",
            (now_us(), name),
        )
        if not done.rowcount:
            raise StoreError(f"There is no token {name!r}", "See: agenttrace-mitm token list")


def all_tokens(database: Path) -> list[Token]:
    """Every token there ever was, newest first."""
    with _open(database) as db:
        return [_token(row) for row in db.execute(f"{_SELECT} order by created_us desc")]


def find(database: Path, token: str) -> Token | None:
    """Whose *token* is; None for one that is not in force."""
    with _open(database) as db:
        sql = f"{_SELECT} where sha256 = ? and revoked_us is null"
        row = db.execute(sql, (_hash(token),)).fetchone()
        if row is None:
            return None
        found = _token(row)
        if (found.used_us or 0) < now_us() - MINUTE_US:
            with contextlib.suppress(sqlite3.Error):  # somebody writes: it was used all the same
                db.execute("update api_tokens set used_us = ? where id = ?", (now_us(), found.id))
        return found


class Write(NamedTuple):
    """What somebody wrote through the API."""

    who: str
    method: str
    path: str
    status_code: int
    detail: str = ""


def note_write(database: Path, write: Write) -> None:
    """A line for the audit."""
    with _open(database) as db:
        db.execute(
            "insert into audit (at_us, who, method, path, status_code, detail)"
            " values (?, ?, ?, ?, ?, ?)",
            (
                now_us(),
                write.who,
                write.method,
                write.path[:200],
                write.status_code,
                write.detail[:500],
            ),  # fmt: skip,
        )


_SELECT = "select id, name, scopes, created_us, used_us, revoked_us from api_tokens"


def _token(row: tuple[str, str, str, int, int | None, int | None]) -> Token:
    id_, name, scopes, created_us, used_us, revoked_us = row
    return Token(id_, name, tuple(json.loads(scopes)), created_us, used_us, revoked_us)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


@contextlib.contextmanager
def _open(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        # A file that is gone, or not there yet, is nobody's to make here.
        uri = f"{database.absolute().as_uri()}?mode=rw"
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            yield db
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"{database} cannot be used ({error})", "Try again") from error
