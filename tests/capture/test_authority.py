"""The authority can sign for provider hosts, and cannot be made to sign for anybody else."""

import asyncio
import contextlib
import os
import shutil
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from agenttrace_mitm.capture import authority
from agenttrace_mitm.errors import CaptureError
from tests.support.fake_upstream import TestAuthority, leaf

NAMES = ["api.openai.com", "api.anthropic.com"]


@pytest.fixture
def folder(tmp_path):
    """An authority for `NAMES`."""
    assert authority.ensure(tmp_path / "ca", NAMES)
    return tmp_path / "ca"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def certificates(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_only_the_key_of_the_intermediate_is_kept(folder):
    """Readable by its owner; the root's is nowhere."""
    assert (mode(folder), mode(folder / "mitmproxy-ca.pem")) == (0o700, 0o600)
    assert mode(folder / "root.pem") == 0o644
    text = (folder / "mitmproxy-ca.pem").read_bytes()
    assert text.count(b"PRIVATE KEY") == 2  # its beginning and its end
    key = serialization.load_pem_private_key(text, None)
    intermediate, root = certificates(folder / "mitmproxy-ca.pem")
    assert key.public_key() == intermediate.public_key() != root.public_key()
    assert [root] == certificates(folder / "root.pem")
    for path in folder.iterdir():
        if path.name != "mitmproxy-ca.pem":
            assert b"PRIVATE" not in path.read_bytes()


def test_both_certificates_are_constrained(folder):
    """Critical, to these names, to no address at all."""
    for certificate in certificates(folder / "mitmproxy-ca.pem"):
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        assert [n.value for n in constraints.value.permitted_subtrees or ()] == sorted(NAMES)
        excluded = {str(n.value) for n in constraints.value.excluded_subtrees or ()}
        assert excluded == {"0.0.0.0/0", "::/0"}
        left = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert 364 < left.days <= 366


def test_it_stays_until_it_has_to_go(folder, monkeypatch):
    """The same names keep it; other names, or an end that comes near, replace it."""
    first = authority.describe(folder)
    assert not authority.ensure(folder, reversed(NAMES))
    assert authority.describe(folder) == first
    assert authority.ensure(folder, [*NAMES, "api.mistral.ai"])
    second = authority.describe(folder)
    assert second.fingerprint != first.fingerprint
    assert second.names == ("api.anthropic.com", "api.mistral.ai", "api.openai.com")
    monkeypatch.setattr(authority, "RENEW_BEFORE", authority.VALID_FOR)
    assert authority.ensure(folder, second.names)
    assert authority.rotate(folder, NAMES).names == tuple(sorted(NAMES))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "mitmproxy-ca.pem").write_bytes(b""),
        lambda folder: (folder / "mitmproxy-ca.pem").unlink(),
        lambda folder: os.truncate(folder / "mitmproxy-ca.pem", 700),
        lambda folder: shutil.copy(folder / "other" / "root.pem", folder / "root.pem"),
        lambda folder: (folder / "mitmproxy-ca.pem").write_bytes(
            (folder / "other" / "mitmproxy-ca.pem").read_bytes()[:240]
            + (folder / "mitmproxy-ca.pem").read_bytes()[240:]
        ),
    ],
    ids=["empty", "gone", "half", "foreign-root", "foreign-key"],
)
def test_a_damaged_one_is_not_replaced_silently(folder, damage):
    """Somebody trusts its root: they are told what to do, and then it works again."""
    authority.ensure(folder / "other", NAMES)
    damage(folder)
    left = {path.name: path.read_bytes() for path in folder.glob("*.pem")}
    with pytest.raises(CaptureError) as caught:
        authority.ensure(folder, NAMES)
    assert "ca rotate" in caught.value.remedy
    assert {path.name: path.read_bytes() for path in folder.glob("*.pem")} == left
    authority.rotate(folder, NAMES)
    assert not authority.ensure(folder, NAMES)


def test_a_creation_that_was_cut_is_completed(folder):
    """The key file is written first and is what counts."""
    (folder / "root.pem").unlink()
    assert not authority.ensure(folder, NAMES)
    assert certificates(folder / "root.pem") == certificates(folder / "mitmproxy-ca.pem")[1:]


def test_two_at_once_agree(tmp_path):
    """Processes that start together end up with one authority, made by one of them."""
    script = (
        "import sys; from pathlib import Path; from agenttrace_mitm.capture import authority;"
        "sys.stdin.read(1);"
        "print(authority.ensure(Path(sys.argv[1]), sys.argv[2:]),"
        " authority.describe(Path(sys.argv[1])).fingerprint)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "ca"), *NAMES]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin
        process.stdin.write("x")
        process.stdin.flush()
    said = [process.communicate()[0].split() for process in started]
    assert sorted(made for made, _ in said) == ["False", "False", "False", "True"]
    assert len({fingerprint for _, fingerprint in said}) == 1


def test_the_bundle_holds_what_the_user_trusts(folder, tmp_path):
    """Their variable, certifi, one more file and our root; their file is only read."""
    corporate, extra = TestAuthority(tmp_path / "a", "Corporate"), TestAuthority(tmp_path / "b")
    before = corporate.ca.read_bytes()
    environ = {"SSL_CERT_FILE": str(corporate.ca), "REQUESTS_CA_BUNDLE": "/nowhere.pem"}
    bundle = authority.write_bundle(folder, environ, extra.ca)
    assert bundle == folder / "bundle.pem"
    held = certificates(bundle)
    assert corporate.ca.read_bytes() == before
    for path in (corporate.ca, extra.ca, folder / "root.pem"):
        assert certificates(path)[0] in held
    assert len(held) == len(set(held)) > len(certificates(Path(certifi.where())))
    # A program that was started with our bundle starts another one: it does not grow.
    assert authority.write_bundle(folder, {"SSL_CERT_FILE": str(bundle)}) == bundle


def test_a_bundle_that_says_the_same_is_not_written_again(folder):
    """Each start would wait for the disk.  One that others may write, or that was cut, is."""
    bundle = authority.write_bundle(folder, {})
    first, content = bundle.stat().st_ino, bundle.read_bytes()
    assert authority.write_bundle(folder, {}).stat().st_ino == first
    bundle.chmod(0o666)
    assert authority.write_bundle(folder, {}).stat().st_mode & 0o777 == 0o644
    bundle.write_bytes(content[:-100])
    assert authority.write_bundle(folder, {}).read_bytes() == content


def test_upstream_nobody_can_be_us(folder, tmp_path):
    """What verifies servers does not trust our own root, whatever the environment holds."""
    bundle = authority.write_bundle(folder, {})
    extra = TestAuthority(tmp_path / "x")
    target = authority.write_upstream_roots(
        tmp_path / "roots.pem", {"SSL_CERT_FILE": str(bundle)}, extra.ca
    )
    names = [
        attribute.value
        for certificate in certificates(target)
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    assert "Test root" in names
    assert not [name for name in names if "AgentTrace" in str(name)]
    with pytest.raises(CaptureError, match="upstream_ca"):
        authority.write_upstream_roots(target, {}, tmp_path / "missing.pem")


# A thief with the key: what clients say to certificates it signs.


@pytest.fixture
async def thief(folder, tmp_path):
    """Serves localhost and a provider host with certificates signed by the stolen key."""
    text = (folder / "mitmproxy-ca.pem").read_bytes()
    key = serialization.load_pem_private_key(text, None)
    intermediate = certificates(folder / "mitmproxy-ca.pem")[0]
    ports = {}
    servers = []

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        writer.close()

    for host in ("other.example.com", "api.openai.com", "127.0.0.1"):
        target = tmp_path / f"{host}.pem"
        leaf(target, [host], key, intermediate, intermediate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(target)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ports[host] = server.sockets[0].getsockname()[1]
        servers.append(server)
    yield ports
    for server in servers:
        server.close()


async def accepts(command: list[str], **environ: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environ},
    )
    said, _ = await process.communicate()
    text = said.decode()
    # Refused for the certificate and for nothing else, or the test would prove nothing.
    words = ("certificate", "constraint", "permitted", "CERT", "verify")
    assert process.returncode == 0 or any(word in text for word in words), text
    return process.returncode == 0


PYTHON = (
    "import socket, ssl, sys\n"
    "host, port, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]\n"
    "context = ssl.create_default_context(cafile=root)\n"
    "context.verify_flags |= ssl.VERIFY_X509_STRICT\n"
    "context.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname=host)\n"
)
NODE = (
    "const [host, port] = process.argv.slice(1);"
    "const s = require('tls').connect({host: '127.0.0.1', port, servername:"
    " require('net').isIP(host) ? '' : host, checkServerIdentity: (_, c) =>"
    " require('tls').checkServerIdentity(host, c)}, () => process.exit(0));"
    "s.on('error', e => { console.error('certificate', e.message); process.exit(1) });"
)
JAVA = """
import java.io.*; import java.net.*; import java.security.*; import java.security.cert.*;
import javax.net.ssl.*;
class Dial {
    public static void main(String[] a) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        store.setCertificateEntry("root", CertificateFactory.getInstance("X.509")
            .generateCertificate(new FileInputStream(a[2])));
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        Socket raw = new Socket("127.0.0.1", Integer.parseInt(a[1]));
        SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(raw, a[0], 0, true);
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        socket.setSSLParameters(parameters);
        socket.startHandshake();
    }
}
"""


def client(name: str, host: str, port: int, root: Path, tmp_path: Path) -> tuple[list[str], dict]:
    if name != "python" and not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    match name:
        case "python":
            return [sys.executable, "-c", PYTHON, host, str(port), str(root)], {}
        case "curl":
            url = f"https://{host}:{port}/"
            there = f"{host}:{port}:127.0.0.1"
            return ["curl", "-sS", "--noproxy", "*", "--cacert", root, "--resolve", there, url], {}
        case "node":
            return ["node", "-e", NODE, host, str(port)], {"NODE_EXTRA_CA_CERTS": str(root)}
        case _:
            source = tmp_path / "Dial.java"
            source.write_text(JAVA)
            return ["java", str(source), host, str(port), str(root)], {}


@pytest.mark.parametrize("name", ["python", "curl", "node", "java"])
async def test_a_stolen_key_is_good_for_provider_hosts_only(folder, thief, tmp_path, name):
    """Clients take a provider's name from it, and refuse any other and every address."""
    verdicts = {}
    for host, port in thief.items():
        command, environ = client(name, host, port, folder / "root.pem", tmp_path)
        verdicts[host] = await accepts(command, **environ)
    assert verdicts == {"api.openai.com": True, "other.example.com": False, "127.0.0.1": False}
