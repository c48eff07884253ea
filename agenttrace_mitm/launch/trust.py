"""Bundles of certificates: what the user trusts already, and our root beside it.

Variables such as SSL_CERT_FILE replace a program's roots, so a bundle that held only ours would
break every connection that we do not touch.  Files are named after their content: concurrent
runs share them, and nothing has to be rewritten.
"""

import hashlib
import ssl
from pathlib import Path

from ..files import put

# Where systems keep their roots, when OpenSSL's own default does not exist.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_bundle() -> Path | None:
    """The file with the roots of this system."""
    default = ssl.get_default_verify_paths().openssl_cafile
    return next((Path(name) for name in (default, *SYSTEM_BUNDLES) if Path(name).is_file()), None)


def default_roots() -> list[Path]:
    """What programs trust when no variable says otherwise: the system's roots and certifi's."""
    import certifi  # noqa: PLC0415 - only programs that are started need it

    bundle = system_bundle()
    return [*([bundle] if bundle else []), Path(certifi.where())]


def merged(folder: Path, root: Path, others: list[Path]) -> Path:
    """A file in *folder* that holds *root* and the readable ones of *others*."""
    parts = [root.read_bytes()]
    for path in dict.fromkeys(others):
        try:
            parts.append(path.read_bytes())
        except OSError:
            continue  # a stale variable of the user's must not stop the program
    content = b"\n".join(part.strip() for part in parts) + b"\n"
    return kept(folder, content, ".pem")


def kept(folder: Path, content: bytes, suffix: str) -> Path:
    """The file in *folder* that holds *content*, written if it is not there yet."""
    target = folder / (hashlib.sha256(content).hexdigest()[:16] + suffix)
    return target if target.exists() else placed(target, content)


def placed(target: Path, content: bytes) -> Path:
    """*target*, after it was written at once: no reader sees half of it."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Others cannot look into the folder, whatever the umask; nor shall they where it is copied.
    return put(target, content, durable=False)
