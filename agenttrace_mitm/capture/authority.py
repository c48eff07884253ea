"""The certificate authority: a root without a key, and an intermediate bound to provider hosts.

The root's key is destroyed while the root is made.  The intermediate's key, the only one on
disk, can sign for the permitted names and for nothing else: Name Constraints stand on both
certificates, because the JDK ignores those of a trust anchor (measured on Java 17).

`mitmproxy-ca.pem` (0600) holds key, intermediate and root and is what counts; `root.pem` and
`bundle.pem` are derived from it.  Nothing here touches a trust store of the system.
"""

import contextlib
import datetime
import ipaddress
import os
import re
import ssl
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import CaptureError
from ..files import alone, put

VALID_FOR = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=30)
BACKDATED = datetime.timedelta(hours=1)  # for clocks that are a little behind ours

KEY_FILE = "mitmproxy-ca.pem"  # the name mitmproxy looks for
ROOT_FILE = "root.pem"
BUNDLE_FILE = "bundle.pem"

ROTATE = "Run: agenttrace-mitm ca rotate"

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
USER_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

_PEM = serialization.Encoding.PEM
_CERTIFICATE = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----"
)


@dataclass(frozen=True, slots=True)
class Authority:
    """What the files of an authority say."""

    folder: Path
    fingerprint: str
    """SHA-256 of the root, as trust stores show it."""
    names: tuple[str, ...]
    """DNS names it can sign for, subdomains included."""
    expires: datetime.datetime

    @property
    def root(self) -> Path:
        """The root certificate, the file that others have to trust."""
        return self.folder / ROOT_FILE

    @property
    def key(self) -> Path:
        """Key, intermediate and root."""
        return self.folder / KEY_FILE

    @property
    def bundle(self) -> Path:
        """Everything the user trusts, and our root."""
        return self.folder / BUNDLE_FILE


@dataclass(frozen=True, slots=True)
class _Pair:
    """A freshly made authority, or one read from its file."""

    key: ec.EllipticCurvePrivateKey
    intermediate: x509.Certificate
    root: x509.Certificate

    def pem(self) -> bytes:
        key = self.key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + self.intermediate.public_bytes(_PEM) + self.root.public_bytes(_PEM)


def ensure(folder: Path, names: Iterable[str]) -> bool:
    """Make sure that *folder* holds an authority for exactly *names*; True when the root is new.

    A missing one is made, one that is close to its end or for other names is replaced: whoever
    trusted the old root has to be told.  Raises `CaptureError` when what is there is damaged.
    """
    wanted = _normal(names)
    with _alone(folder):
        if not (folder / KEY_FILE).exists():
            if (folder / ROOT_FILE).exists():
                raise CaptureError(f"The key of the authority in {folder} is missing", ROTATE)
            _write(folder, _create(wanted))
            return True
        pair = _read(folder)
        if _expires(pair) - _now() < RENEW_BEFORE or _names(pair.intermediate) != wanted:
            _write(folder, _create(wanted))
            return True
        _complete(folder, pair)
        return False


def rotate(folder: Path, names: Iterable[str]) -> Authority:
    """A new authority in place of whatever *folder* holds, damaged or not."""
    with _alone(folder):
        pair = _create(_normal(names))
        _write(folder, pair)
    return _described(folder, pair)


def describe(folder: Path) -> Authority:
    """What is in *folder*.  Raises `CaptureError` when there is none or it is damaged."""
    if not (folder / KEY_FILE).exists():
        raise CaptureError(f"There is no certificate authority in {folder}", ROTATE)
    return _described(folder, _read(folder))


def write_bundle(folder: Path, environ: Mapping[str, str], extra: Path | None = None) -> Path:
    """`bundle.pem` in *folder*: what a program of the user trusts already, *extra*, and our root.

    Variables such as SSL_CERT_FILE replace a program's roots, so the bundle holds them all.  The
    user's own files are only read.
    """
    target = folder / BUNDLE_FILE
    _keep(target, _merged([*trusted(environ, target), extra, folder / ROOT_FILE]), 0o644)
    return target


def write_upstream_roots(target: Path, environ: Mapping[str, str], extra: Path | None) -> Path:
    """*target* with what we trust upstream: the user's roots and *extra*, but never our own."""
    if extra is not None and not extra.is_file():
        raise CaptureError(
            f"The file {extra} of the setting upstream_ca does not exist", "Correct the setting"
        )
    _keep(target, _merged([*trusted(environ), extra], without=_is_ours), 0o600)
    return target


def trusted(environ: Mapping[str, str], ours: Path | None = None) -> list[Path]:
    """The files with the user's roots: their variables, the system's bundle, certifi's."""
    named = [Path(environ[name]) for name in USER_BUNDLES if environ.get(name)]
    default = ssl.get_default_verify_paths().openssl_cafile
    system = [Path(name) for name in (default, *SYSTEM_BUNDLES) if Path(name).is_file()][:1]
    files = [*named, *system, Path(certifi.where())]
    return [path for path in files if path.is_file() and path != ours]


def _merged(files: Iterable[Path | None], without: Callable[[bytes], bool] | None = None) -> bytes:
    """The certificates in *files*, each once."""
    seen: dict[bytes, bytes] = {}
    for path in files:
        if path is None:
            continue
        try:
            text = path.read_bytes()
        except OSError:
            continue  # a stale variable of the user's must not stop the proxy
        for block in _CERTIFICATE.findall(text):
            seen.setdefault(b"".join(block.split()), block)
    kept = [block for block in seen.values() if without is None or not without(block)]
    return b"\n".join(kept) + b"\n"


def _is_ours(block: bytes) -> bool:
    """Whether a certificate came from us: an upstream that shows one is ourselves."""
    try:
        return b"AgentTrace root" in ssl.PEM_cert_to_DER_cert(block.decode("ascii"))
    except ValueError:
        return False


def _normal(names: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(sorted({name.lower().strip(".") for name in names}))
    if not wanted:
        raise CaptureError("There is no host left to decrypt", "Enable a provider host")
    return wanted


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _expires(pair: _Pair) -> datetime.datetime:
    return min(pair.root.not_valid_after_utc, pair.intermediate.not_valid_after_utc)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    return tuple(sorted(str(name.value) for name in constraints.permitted_subtrees or ()))


def _described(folder: Path, pair: _Pair) -> Authority:
    fingerprint = pair.root.fingerprint(hashes.SHA256()).hex(":").upper()
    return Authority(folder, fingerprint, _names(pair.intermediate), _expires(pair))


def _create(names: tuple[str, ...]) -> _Pair:
    """A root whose key dies here, and the intermediate that it signed."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = _subject("AgentTrace root")
    root = _certificate(root_name, root_key, root_name, root_key, names=names, below=1)
    key = ec.generate_private_key(ec.SECP256R1())
    intermediate = _certificate(
        _subject("AgentTrace intermediate"), key, root_name, root_key, names=names, below=0
    )
    return _Pair(key, intermediate, root)


def _subject(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "AgentTrace"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...],
    below: int,
) -> x509.Certificate:
    now = _now()
    no_address = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(name) for name in names],
        excluded_subtrees=[x509.IPAddress(network) for network in no_address],
    )
    issuer_id = x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_MAY_SIGN, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )


_MAY_SIGN = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _read(folder: Path) -> _Pair:
    """The authority in *folder*.  Raises `CaptureError` when its file is not whole and sound."""
    path = folder / KEY_FILE
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CaptureError(
            f"The certificate authority {path} cannot be read ({error.strerror})",
            "Check its owner and mode",
        ) from None
    try:
        key = serialization.load_pem_private_key(text, None)
        intermediate, root = x509.load_pem_x509_certificates(text)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("not our kind of key")
        if key.public_key() != intermediate.public_key():
            raise ValueError("key and certificate do not belong together")
        intermediate.verify_directly_issued_by(root)
        _names(intermediate)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise CaptureError(
            f"The certificate authority {path} is damaged ({str(error) or 'bad signature'})",
            ROTATE,
        ) from None
    return _Pair(key, intermediate, root)


def _complete(folder: Path, pair: _Pair) -> None:
    """Make `root.pem` agree with the key file: it is written second and may be missing."""
    path = folder / ROOT_FILE
    root = pair.root.public_bytes(_PEM)
    if not path.exists():
        put(path, root, 0o644)
    elif path.read_bytes().strip() != root.strip():
        raise CaptureError(f"{path} does not belong to the authority beside it", ROTATE)
    if os.name == "posix" and (folder / KEY_FILE).stat().st_mode & 0o077:
        (folder / KEY_FILE).chmod(0o600)


def _write(folder: Path, pair: _Pair) -> None:
    put(folder / KEY_FILE, pair.pem())
    put(folder / ROOT_FILE, pair.root.public_bytes(_PEM), 0o644)


def _keep(target: Path, content: bytes, mode: int) -> None:
    """Like `put`, where it is not there already: each start would wait for the disk."""
    with contextlib.suppress(OSError):
        if stat.S_IMODE(target.stat().st_mode) == mode and target.read_bytes() == content:
            return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    put(target, content, mode)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of *folder*, made if it is not there, private in any case."""
    held = contextlib.ExitStack()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        held.enter_context(alone(folder))
    except OSError as error:
        raise CaptureError(
            f"The folder {folder} cannot be used ({error.strerror})", "Check its owner and mode"
        ) from None
    with held:
        yield
