"""Behind a company's proxy that looks into TLS under a root of its own."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agenttrace_mitm.launch.transparent import why_not
from tests.support.fake_upstream import TestAuthority
from tests.support.instance import select

from . import wire

HOSTS = ("api.openai.com", "intranet.example")
URL = "https://api.openai.com/v1/chat/completions"
BODY = '{"model":"gpt-5.5","messages":[{"role":"user","content":"Hello"}]}'
CALL = b"".join(wire.openai_chat())
ANSWERS = {"api.openai.com": CALL, "intranet.example": b"the intranet"}
FORBIDDEN = why_not()


class Company:
    """A proxy that ends TLS itself, and answers for the servers behind it."""

    def __init__(self, folder: Path) -> None:
        authority = TestAuthority(folder / "company", "Company root")
        self.ca = authority.ca
        self.asked: list[str] = []
        self._context = authority.context(HOSTS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: CONNECT, TLS, requests."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            host = head.split(b" ")[1].partition(b":")[0].decode()
            self.asked.append(host)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.start_tls(self._context)
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                lengths = [v for k, v in fields.items() if k.lower() == b"content-length"]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                body = ANSWERS[host]
                kind = b"content-type: application/json\r\n"
                length = b"content-length: %d\r\n\r\n" % len(body)
                writer.write(b"HTTP/1.1 200 OK\r\n" + kind + length + body)
        writer.close()


@contextlib.asynccontextmanager
async def _company(folder: Path) -> AsyncIterator[tuple[Company, dict[str, str]]]:
    """The proxy, and the environment that the company gives its people."""
    company = Company(folder)
    server = await asyncio.start_server(company.serve, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    trusted = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    environ = {
        **os.environ,
        **dict.fromkeys(trusted, str(company.ca)),
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy),
        "AGENTTRACE_HOME": str(folder / "home"),
        "AGENTTRACE_PROXY_PORT": "0",
        "AGENTTRACE_PORT": "0",
    }
    try:
        yield company, environ
    finally:
        server.close()


async def _run(environ: dict[str, str], *command: str) -> tuple[int, bytes, bytes]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agenttrace_mitm", "run", *command),
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return child.returncode or 0, out, err


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("how", ["environment", "transparent"])
async def test_calls_go_through_the_companys_proxy(tmp_path: Path, how: str) -> None:
    """Recorded on the way; what is not recorded still shows the company's own certificate."""
    if how == "transparent" and FORBIDDEN:
        pytest.skip(f"no namespaces here: {FORBIDDEN}")
    # Inside a network of its own, an address is all that the proxy can be asked for.
    intranet = "192.0.2.9" if how == "transparent" else "intranet.example"
    ANSWERS[intranet] = ANSWERS["intranet.example"]
    fixed = ["--resolve", "intranet.example:443:192.0.2.9"] if how == "transparent" else []
    script = 'curl -sS "$1" -d "$2" && shift 2 && curl -sS https://intranet.example/ "$@"'
    options = ["--transparent"] if how == "transparent" else []
    async with _company(tmp_path) as (company, environ):
        command = [*options, "--", "sh", "-c", script, "sh", URL, BODY, *fixed]
        code, out, err = await _run(environ, *command)
    assert (code, out) == (0, CALL + b"the intranet"), err.decode()
    assert company.asked == ["api.openai.com", intranet]
    [row] = select(tmp_path / "home" / "data.db", "select * from llm_calls")
    assert (row["outcome"], row["tokens_in"]) == ("ok", 120)
