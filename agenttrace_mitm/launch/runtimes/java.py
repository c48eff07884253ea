"""Java: no variable for proxy or roots, but properties, and a trust store in PKCS #12.

A JVM that finds JAVA_TOOL_OPTIONS says so on stderr; that is the price of being seen at all.
It divides them at blanks, and reads quotes as a shell does, but for backslashes.
"""

import hashlib
import shlex
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path

from .. import trust
from .context import Context

PASSWORD = "changeit"  # noqa: S105 - Java's own default; the store holds public certificates


def variables(context: Context, environ: Mapping[str, str]) -> dict[str, str]:
    """JAVA_TOOL_OPTIONS after the user's own, where a `java` can be found."""
    path = environ.get("PATH")
    if not (environ.get("JAVA_HOME") or shutil.which("java", path=path)):
        return {}
    users = environ.get("JAVA_TOOL_OPTIONS", "")
    options = _proxy(context) if context.proxied else []
    if "javax.net.ssl.trustStore=" not in users:
        try:
            store = _store(context, Path(environ.get("SSL_CERT_FILE") or context.root))
        except ValueError:  # the user's bundle holds what is no certificate: Java stays as it is
            return {}
        options += [
            f"-Djavax.net.ssl.trustStore={shlex.quote(str(store))}",
            "-Djavax.net.ssl.trustStoreType=PKCS12",
            f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
        ]
    return {"JAVA_TOOL_OPTIONS": " ".join(filter(None, [users, *options]))}


def _proxy(context: Context) -> list[str]:
    options = [
        f"-Dhttp{s}.proxy{what}={value}"
        for s in ("", "s")
        for what, value in (("Host", context.proxy_host), ("Port", context.proxy_port))
    ]
    return [*options, "-Dhttp.nonProxyHosts=localhost|127.*|[::1]"]


def _store(context: Context, bundle: Path) -> Path:
    """A trust store with the certificates of *bundle*, made once for each content."""
    content = bundle.read_bytes()
    target = context.folder / (hashlib.sha256(content).hexdigest()[:16] + ".p12")
    return target if target.exists() else trust.placed(target, _pkcs12(content))


def _pkcs12(pem: bytes) -> bytes:
    from cryptography import x509  # noqa: PLC0415 - slow to import, needed once per bundle
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        BestAvailableEncryption,
        pkcs12,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd certificates of others: Java can judge them
        unique = dict.fromkeys(x509.load_pem_x509_certificates(pem))
    entries = [
        pkcs12.PKCS12Certificate(certificate, f"root-{number}".encode())
        for number, certificate in enumerate(unique)
    ]
    encryption = BestAvailableEncryption(PASSWORD.encode())
    return pkcs12.serialize_java_truststore(entries, encryption)
