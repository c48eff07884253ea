"""`run --transparent -- CMD`: programs that know no proxy, in a network of their own."""

import asyncio
import errno
import fcntl
import http.server
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agenttrace_mitm.launch.transparent import why_not
from tests.support.fake_upstream import TestAuthority
from tests.support.instance import select
from tests.support.providers import Played, played

from .test_sdks import REPLIES, answer

FORBIDDEN = why_not()
pytestmark = pytest.mark.skipif(bool(FORBIDDEN), reason=f"no namespaces here: {FORBIDDEN}")

URL = "https://api.openai.com/v1/chat/completions"
BODY = json.dumps({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]})

# As bare as a static binary: its own sockets, its own idea of trust, no proxies.
BARE = """
import http.client, ssl, sys
context = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
connection = http.client.HTTPSConnection("api.openai.com", context=context)
connection.request("POST", "/v1/chat/completions", sys.argv[1].encode())
sys.stdout.buffer.write(connection.getresponse().read())
"""
NODE = """
const response = await fetch(process.argv[2], {method: "POST", body: process.argv[3]});
process.stdout.write(await response.text());
"""
JAVA = """
import java.net.URI;
import java.net.http.*;
public class Call {
    public static void main(String[] given) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(given[0]))
            .POST(HttpRequest.BodyPublishers.ofString(given[1])).build();
        System.out.print(HttpClient.newHttpClient()
            .send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""


@pytest_asyncio.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Played]:
    async with played(tmp_path, answer) as found:
        yield found


def _command(*program: str) -> list[str]:
    return [sys.executable, "-m", "agenttrace_mitm", "run", "--transparent", "--", *program]


async def _run(providers: Played, *program: str, **environ: str) -> tuple[int, bytes, bytes]:
    child = await asyncio.create_subprocess_exec(
        *_command(*program),
        env=providers.environ | environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out, err


def _program(folder: Path, name: str) -> list[str]:
    """The command line that makes the call, without URL and body."""
    match name:
        case "python":
            return [sys.executable, "-E", "-c", BARE]
        case "curl":
            return ["curl", "-sSN", "--noproxy", "*", URL, "-d"]
        case "wget":
            return ["wget", "-q", "-O-", "--no-proxy", URL, "--post-data"]
        case "node":
            (folder / "call.mjs").write_text(NODE)
            return ["node", str(folder / "call.mjs"), URL]
        case _:
            (folder / "Call.java").write_text(JAVA)
            return ["java", str(folder / "Call.java"), URL]


@pytest.mark.parametrize("name", ["python", "curl", "wget", "node", "java"])
async def test_programs_that_ignore_proxies(tmp_path: Path, providers: Played, name: str) -> None:
    """Right bytes, one row, right process name; certificates are checked."""
    if name != "python" and not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    code, out, err = await _run(providers, *_program(tmp_path, name), BODY)
    *_, plain, _ = REPLIES["openai_chat"]
    assert (code, out) == (0, b"".join(plain())), err.decode()
    [row] = select(providers.home / "data.db", "select * from llm_calls")
    assert (row["outcome"], row["tokens_in"], row["tokens_out"]) == ("ok", 120, 30)
    assert row["process"].startswith({"node": "call.mjs", "java": "Call.java"}.get(name, name))
    assert row["pid"]
    assert row["session_id"].startswith("run-")


async def test_it_is_the_user_without_power(providers: Played) -> None:
    """Own uid and gid, no capabilities, the network cannot be changed."""
    program = (
        "import os, pathlib; print(os.getuid(), os.getgid());"
        "lines = pathlib.Path('/proc/self/status').read_text().splitlines();"
        "print([line.split()[1] for line in lines if line.startswith(('CapEff', 'CapPrm'))])"
    )
    code, out, err = await _run(providers, sys.executable, "-c", program)
    assert code == 0, err.decode()
    ids, capabilities = out.decode().splitlines()
    assert ids == f"{os.getuid()} {os.getgid()}"
    assert capabilities == str(["0" * 16] * 2)


@pytest.fixture
def local_service() -> Iterator[int]:
    """A service on this machine's loopback."""

    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello from the host")

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


async def test_services_of_the_host_are_reachable(providers: Played, local_service: int) -> None:
    """What listens on the host's loopback does so inside as well."""
    read = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
    url = f"http://localhost:{local_service}/"
    code, out, err = await _run(providers, sys.executable, "-c", read, url)
    assert (code, out) == (0, b"hello from the host\n"), err.decode()


async def test_servers_that_speak_first(providers: Played) -> None:
    """SSH and the like: their greeting comes through without a word from the client."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"SSH-2.0-greeting\r\n")

        threading.Thread(target=greet, daemon=True).start()
        read = (
            "import socket, sys;"
            "print(socket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(100).decode())"
        )
        port = str(server.getsockname()[1])
        code, out, err = await _run(providers, sys.executable, "-c", read, port)
    assert (code, out.strip()) == (0, b"SSH-2.0-greeting"), err.decode()


async def test_names_that_are_not_there(providers: Played) -> None:
    """A name that does not exist fails as a name, and at once."""
    look = (
        "import socket\n"
        "try: socket.getaddrinfo('nowhere.invalid', 443)\n"
        "except socket.gaierror: print('no such name')"
    )
    code, out, _ = await _run(providers, sys.executable, "-c", look)
    assert (code, out) == (0, b"no such name\n")


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (["false"], 1),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["/nowhere/at/all"], 127),
        (["/etc/passwd"], 126),
    ],
    ids=str,
)
async def test_exit_codes(providers: Played, program: list[str], code: int) -> None:
    """As a shell would say them."""
    assert (await _run(providers, *program))[0] == code


async def test_signals_are_passed_on(providers: Played) -> None:
    """SIGTERM to us is the program's to answer."""
    program = "import signal, sys; signal.signal(15, lambda *_: sys.exit(9)); print('up', flush=1)"
    child = await asyncio.create_subprocess_exec(
        *_command(sys.executable, "-c", f"{program}; signal.pause()"),
        env=providers.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert child.stdout
    assert await child.stdout.readline() == b"up\n"
    child.send_signal(signal.SIGTERM)
    assert await child.wait() == 9


async def test_a_terminal_is_a_terminal(providers: Played) -> None:
    """The program's input and output are the pty, and it may change its size and modes."""
    ours, theirs = pty.openpty()
    ask = "import os, sys; print(sys.stdin.isatty(), os.get_terminal_size().columns)"
    child = await asyncio.create_subprocess_exec(
        *_command("sh", "-c", 'stty cols 91 && "$0" -c "$1"', sys.executable, ask),
        env=providers.environ,
        stdin=theirs,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    _, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    assert os.read(ours, 1000) == b"True 91\r\n"
    os.close(ours)


async def test_other_hosts_keep_their_certificate(tmp_path: Path, providers: Played) -> None:
    """Their TLS ends at their server, not at us."""
    authority = TestAuthority(tmp_path / "other")
    context = authority.context(["other.example"])

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    there = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    # A server whose address means nothing to us, and which is out of reach of a test.
    mapped = json.dumps({**providers.upstream_map, "192.0.2.7": there})
    look = (
        "import socket, ssl, sys\n"
        "context = ssl.create_default_context(cafile=sys.argv[1])\n"
        "plain = socket.create_connection(('192.0.2.7', 443))\n"
        "tls = context.wrap_socket(plain, server_hostname='other.example')\n"
        "print(tls.getpeercert()['issuer'][0][0][1])"
    )
    command = [sys.executable, "-c", look, str(authority.ca)]
    code, out, err = await _run(providers, *command, AGENTTRACE_UPSTREAM_MAP=mapped)
    server.close()
    assert (code, out) == (0, b"Test root\n"), err.decode()


async def test_where_the_kernel_forbids_it(providers: Played) -> None:
    """One sentence says why, and the proxy in the environment does what it can."""
    without = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    child = await asyncio.create_subprocess_exec(
        *("unshare", "--user", "--map-root-user", "sh", "-c", without, "sh"),
        *_command("sh", "-c", "echo $HTTPS_PROXY; exit 3"),
        env=providers.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode == 3, err.decode()
    assert out.startswith(b"http://127.0.0.1:")
    first, second, *_ = err.splitlines()  # the first run says what is kept
    assert b"keeps tier 3" in first
    assert b"user namespaces are switched off" in second


AS_ANYBODY = """
import ctypes, encodings.ascii, encodings.idna, os, socket
from agenttrace_mitm.launch import namespace
if os.getuid() == 0:
    os.setgroups([]); os.setgid(12345); os.setuid(12345)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # readable to itself again, as after an exec
uid, gid = os.getuid(), os.getgid()
listeners = namespace.enter({"uid": uid, "gid": gid, "mounts": []})
namespace.drop_privileges(uid, gid)
assert (os.getuid(), os.getgid()) == (uid, gid)
socket.create_connection(("192.0.2.1", 443)).close()
"""


def test_no_root_is_needed() -> None:
    """Any user can have such a network, and reaches its listeners by any address."""
    subprocess.run([sys.executable, "-c", AS_ANYBODY], check=True)


async def test_http3_is_turned_down_and_told(providers: Played) -> None:
    """A program that tries QUIC learns at once that there is none; the dashboard says who tried."""
    ask = (
        "import socket\n"
        "first = bytes.fromhex('c300000001') + b'\\x08destined\\x04from' + bytes(1180)\n"
        "address = socket.gethostbyname('api.openai.com')\n"
        "client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "client.settimeout(20)\n"
        "client.connect((address, 443))\n"  # connected: only that address may answer
        "for _ in range(2): client.send(first); print(client.recv(100)[1:19])"
    )
    code, out, err = await _run(providers, sys.executable, "-c", ask)
    assert code == 0, err.decode()
    assert out.decode().splitlines() == [str(bytes(4) + b"\x04from\x08destined")] * 2
    [row] = select(providers.home / "data.db", "select * from blind_spots")
    assert row["host"] == "api.openai.com"
    assert "HTTP/3" in row["reason"]


async def test_there_is_no_ipv6(providers: Played) -> None:
    """An address fails at once, so that clients take the other one."""
    look = (
        "import socket\n"
        "try: socket.create_connection(('2001:db8::1', 443), 60)\n"
        "except OSError as error: print(error.errno)"
    )
    code, out, err = await _run(providers, sys.executable, "-c", look)
    assert (code, out.split()) == (0, [str(errno.ENETUNREACH).encode()]), err.decode()


async def test_a_resized_terminal(providers: Played) -> None:
    """The program hears of it, as it would without us."""
    ours, theirs = pty.openpty()
    ask = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"
        "print('up', flush=True)\n"
        "print(signal.sigwait([signal.SIGWINCH]) and os.get_terminal_size().columns)"
    )
    child = await asyncio.create_subprocess_exec(
        *_command(sys.executable, "-c", ask),
        env=providers.environ,
        stdin=theirs,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
    )
    loop = asyncio.get_running_loop()
    assert (await loop.run_in_executor(None, os.read, ours, 1000)).strip() == b"up"
    termios.tcsetwinsize(ours, (24, 91))
    _, err = await child.communicate()
    os.close(theirs)
    assert child.returncode == 0, err.decode()
    assert os.read(ours, 1000).strip() == b"91"
    os.close(ours)


async def test_a_client_that_takes_its_time(providers: Played) -> None:
    """A busy machine may be slow to begin TLS: the call to a provider is recorded all the same."""
    slow = BARE.replace(
        "connection.request(",
        "import socket, time\n"
        "plain = socket.create_connection(('api.openai.com', 443))\n"
        "time.sleep(2)\n"  # longer than SILENCE_S
        "connection.sock = context.wrap_socket(plain, server_hostname='api.openai.com')\n"
        "connection.request(",
    )
    code, out, err = await _run(providers, sys.executable, "-E", "-c", slow, BODY)
    *_, plain, _ = REPLIES["openai_chat"]
    assert (code, out) == (0, b"".join(plain())), err.decode()
    [row] = select(providers.home / "data.db", "select * from llm_calls")
    assert row["outcome"] == "ok"
