"""How many clients may be connected: as many as the system gives us open files for."""

import contextlib
import sys

MOST_FILES = 65_536
SPARE_FILES = 128
"""For everything that is no client: listeners, the recorder's link, certificates, logs."""
FILES_A_CLIENT = 2
"""Its connection, and the one to the provider."""
WITHOUT_LIMITS = 4_000
"""Where the system does not say how many files it gives (Windows)."""


def most_clients() -> int:
    """Raise the limit of open files as far as it may go; the number of clients that it allows."""
    if sys.platform == "win32":
        return WITHOUT_LIMITS
    import resource  # noqa: PLC0415 - Unix

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    given = MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, MOST_FILES)
    return max(1, (given - SPARE_FILES) // FILES_A_CLIENT)
