"""Everything that asks OpenSSL, or follows its variables: Python's ssl, httpx, Go, Ruby, rustls."""

from collections.abc import Mapping

from .context import Context


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """SSL_CERT_FILE with the user's roots and ours.  SSL_CERT_DIR adds, so it stays as it is."""
    return {"SSL_CERT_FILE": context.replacing(environ.get("SSL_CERT_FILE"))}
