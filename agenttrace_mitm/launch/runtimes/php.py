"""PHP: its roots are a setting, so it gets one more folder of .ini files."""

import os
from collections.abc import Mapping

from .. import trust
from .context import Context


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """PHP_INI_SCAN_DIR with our folder last; an empty entry stands for the built-in folder."""
    roots = context.replacing(environ.get("SSL_CERT_FILE"))
    folder = context.folder / "php"
    # PHP puts quoted pieces together, and means nothing by what is between single quotes.
    quoted = "'" + roots.replace("'", "'\"'\"'") + "'"
    text = f"curl.cainfo = {quoted}\nopenssl.cafile = {quoted}\n"
    trust.placed(folder / "agenttrace.ini", text.encode())
    return {"PHP_INI_SCAN_DIR": environ.get("PHP_INI_SCAN_DIR", "") + os.pathsep + str(folder)}
