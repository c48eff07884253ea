"""The table of endpoints in `docs/api.md`."""

from . import ENDPOINTS


def endpoints() -> str:
    """A line for each endpoint."""
    lines = ["| endpoint | scope | what |", "|---|---|---|"]
    lines += [f"| `{e.method} {e.path}` | {e.scope} | {e.summary} |" for e in ENDPOINTS]
    return "\n".join(lines)
