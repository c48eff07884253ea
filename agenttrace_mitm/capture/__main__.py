"""`python -m agenttrace_mitm.capture`: see `worker`; this is how it is there soon."""

import gc

from . import lean


def main() -> None:
    """Run a worker."""
    # What modules make stays: looking for garbage among it finds none.  The worker looks again,
    # in its own way, once it listens.
    gc.disable()
    lean.apply()
    from .worker import main as work  # noqa: PLC0415 - imports mitmproxy, after the above

    work()


if __name__ == "__main__":
    main()
