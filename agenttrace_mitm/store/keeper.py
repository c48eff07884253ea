"""Retention beside the writer: what is written waits for a lock now and then, and for nothing else.

A step reads what it will delete, deletes it, gives pages back and brings the log home.  Only for
deleting and giving back does it hold the lock; on a slow disk the rest takes longer.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from ..clock import now_us
from .keeping import Keeping
from .opening import Identity, identity, open_again

log = logging.getLogger(__name__)

BETWEEN_STEPS_S = 0.05
"""A breath for those who wait for the database."""


class Keeper:
    """Lets go what *keeping* does not keep, on a thread and a connection of its own.

    *forgotten* is called on that thread after each step that may have removed something.
    """

    def __init__(self, database: Path, keeping: Keeping, forgotten: Callable[[], None]) -> None:
        self._path = database
        self._keeping = keeping
        self._forgotten = forgotten
        self._halt = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def at_work(self) -> bool:
        """Whether there may be something left to let go."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, file: Identity) -> None:
        """Let go of what is in *file*, the one that the writer has open, until nothing is left."""
        if not self.at_work:
            self._halt.clear()
            self._thread = threading.Thread(
                target=self._run, args=(file,), name="agenttrace-keeper", daemon=True
            )
            self._thread.start()

    def halt(self) -> None:
        """Stop after the step under way; returns when the file is closed."""
        self._halt.set()
        if self._thread:
            self._thread.join()

    def _run(self, file: Identity) -> None:
        # Once another file has the name, it has the log too, of which ours is not done.
        try:
            if identity(self._path) != file:
                return
            with contextlib.closing(open_again(self._path)) as db:
                while identity(self._path) == file and self._keeping.step(db, now_us()):
                    self._forgotten()
                    if self._halt.wait(BETWEEN_STEPS_S):
                        break
        except sqlite3.Error as error:
            log.warning("old content stays for now (%s)", error)
