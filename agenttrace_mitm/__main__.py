"""`python -m agenttrace_mitm`: the command line."""

from .cli import main

if __name__ == "__main__":
    main()
