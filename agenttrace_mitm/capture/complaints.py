"""The first promise: a failure of ours costs the recording, and never the request."""

import functools
import logging
import os
from collections.abc import Callable

log = logging.getLogger(__name__)

MAX_COMPLAINTS = 20


class Complaints:
    """Our own failures, said in the log a few times and no more."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, where: str) -> None:
        """Note the exception being handled."""
        self.count += 1
        if self.count <= MAX_COMPLAINTS:
            log.error("recording failed in %s; traffic goes on", where, exc_info=True)


complaints = Complaints()


def harmless[**P](hook: Callable[P, None]) -> Callable[P, None]:
    """A hook whose failure costs the recording and never the request."""
    where = hook.__qualname__

    @functools.wraps(hook)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception:  # the first promise: the request is never broken by us
            if "PYTEST_CURRENT_TEST" in os.environ:
                raise
            complaints.add(where)

    return guarded
