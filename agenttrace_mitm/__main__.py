"""`python -m agenttrace_mitm`, and the console scripts: the command line."""

import sys


def main() -> None:
    """Run the command that was typed; an early Ctrl-C ends it as a later one does."""
    try:
        from .cli import main as cli  # noqa: PLC0415 - it takes a while, in which somebody may leave
    except KeyboardInterrupt:
        print("\nAborted!", file=sys.stderr)
        sys.exit(1)
    cli()


if __name__ == "__main__":
    main()
