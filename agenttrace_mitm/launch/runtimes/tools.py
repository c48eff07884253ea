"""Command line tools and SDKs with a roots variable of their own, all of which replace."""

from collections.abc import Mapping

from .context import Context

NAMES = (
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "BUNDLE_SSL_CA_CERT",
    "CODEX_CA_CERTIFICATE",
    "NIX_SSL_CERT_FILE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
)


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """For each, the user's roots and ours."""
    return {name: context.replacing(environ.get(name)) for name in NAMES}
