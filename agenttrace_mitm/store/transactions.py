"""What is written as a whole or not at all.

A transaction takes the lock when it begins: one that reads first and writes then would have to
give up when somebody else wrote in between.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Literal


@contextlib.contextmanager
def writing(
    db: sqlite3.Connection,
    how: Literal["immediate", "exclusive"] = "immediate",
    *,
    keep: bool = True,
) -> Iterator[None]:
    """A transaction of its own; whatever is raised undoes it, and so does its end unless *keep*."""
    db.execute(f"begin {how}")
    try:
        yield
        db.execute("commit" if keep else "rollback")
    except BaseException:  # Ctrl-C as well: nothing is half written
        if db.in_transaction:  # SQLite may have rolled back by itself: the first error is told
            db.rollback()
        raise


@contextlib.contextmanager
def joining(db: sqlite3.Connection) -> Iterator[None]:
    """`writing`, or part of the transaction in which *db* is already, which decides on both."""
    with contextlib.nullcontext() if db.in_transaction else writing(db):
        yield
