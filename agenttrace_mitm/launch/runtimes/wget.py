"""wget built with GnuTLS reads its roots from a configuration file only."""

from collections.abc import Mapping
from pathlib import Path

from .context import Context


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """WGETRC with what the user's file says, and our bundle."""
    users = Path(environ.get("WGETRC") or Path(environ.get("HOME") or "/") / ".wgetrc")
    try:
        text = users.read_text(encoding="utf-8").rstrip() + "\n"
    except (OSError, UnicodeDecodeError):
        text = ""
    roots = context.replacing(environ.get("SSL_CERT_FILE"))
    return {"WGETRC": str(context.kept(f"{text}ca_certificate = {roots}\n", ".wgetrc"))}
