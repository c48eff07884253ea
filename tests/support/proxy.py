"""A capture process under a test, a recorder that only listens, and raw clients.

async with Upstream(tmp_path) as upstream, Capture(upstream) as capture:
    reader, writer = await capture.connect("api.openai.com")
"""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from agenttrace_mitm.frames import (
    Ack,
    AnyFrame,
    Blind,
    Ended,
    FrameDecoder,
    Hello,
    Mark,
    Marked,
    Note,
    Opened,
    RequestData,
    RequestEnded,
    Responded,
    ResponseData,
    encode,
)

from .fake_upstream import Upstream

PATIENCE_S = 20.0
NOISE = ("There is a new certificate authority", "were not taken by the recorder")


@dataclass
class Seen:
    """The frames of one exchange."""

    opened: Opened
    frames: list[AnyFrame] = field(default_factory=list)

    def of(self, kind: type) -> list[Any]:
        """Its frames of one kind."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    @property
    def request(self) -> bytes:
        """The request body that was handed over."""
        return b"".join(frame.data for frame in self.of(RequestData))

    @property
    def response(self) -> bytes:
        """The response body that was handed over."""
        return b"".join(frame.data for frame in self.of(ResponseData))

    @property
    def responded(self) -> Responded | None:
        """The response head, if one came."""
        return next(iter(self.of(Responded)), None)

    @property
    def request_ended(self) -> RequestEnded | None:
        """The end of the request, if it came."""
        return next(iter(self.of(RequestEnded)), None)

    @property
    def ended(self) -> Ended:
        """The one end.  Fails when there are none or several."""
        (only,) = self.of(Ended)
        return only  # type: ignore[no-any-return]


class FakeRecorder:
    """Listens where the recorder would, and remembers; acknowledges unless told otherwise."""

    def __init__(self, path: Path, *, acknowledges: bool = True) -> None:
        self.path = path
        self.acknowledges = acknowledges
        self.exchanges: dict[str, Seen] = {}
        self.hellos: list[Hello] = []
        self.blinds: list[Blind] = []
        self.notes: list[Note] = []
        self.marks = 0
        self.reads = asyncio.Event()
        """Cleared, it takes nothing in."""
        self.reads.set()
        self._changed = asyncio.Condition()
        self._links: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """Die: nothing is acknowledged any more."""
        self._server.close()
        self.path.unlink(missing_ok=True)
        for link in self._links:
            link.transport.abort()
        await asyncio.sleep(0)

    async def until(self, holds: Callable[["FakeRecorder"], Any]) -> None:
        """Wait until *holds* is true of us."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: holds(self))

    async def finished(self, count: int = 1) -> list[Seen]:
        """The first *count* exchanges, once that many ended, in the order they were opened."""
        await self.until(lambda r: len(r.done()) >= count)
        return self.done()

    def done(self) -> list[Seen]:
        """The exchanges that ended."""
        return [seen for seen in self.exchanges.values() if seen.of(Ended)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = FrameDecoder()
        self._links.add(writer)
        try:
            while data := await reader.read(65536):
                await self.reads.wait()
                for frame in decoder.feed(data):
                    self._take(frame, writer)
                async with self._changed:
                    self._changed.notify_all()
        except OSError:
            pass
        finally:
            self._links.discard(writer)
            writer.close()

    def _take(self, frame: AnyFrame, writer: asyncio.StreamWriter) -> None:
        match frame:
            case Hello():
                self.hellos.append(frame)
            case Blind():
                self.blinds.append(frame)
            case Note():
                self.notes.append(frame)
            case Opened():
                self.exchanges[frame.id] = Seen(frame, [frame])
            case Mark():
                self.marks += 1
                if self.acknowledges:
                    writer.write(encode(Marked(frame.id, "")))
            case Ack():
                raise AssertionError("capture does not acknowledge")
            case _:
                self.exchanges[frame.id].frames.append(frame)
                if isinstance(frame, Ended) and self.acknowledges:
                    writer.write(encode(Ack([frame.id])))


class Capture:
    """`python -m agenttrace_mitm.capture` in a home of its own, with a fake recorder.

    *upstream* gets the traffic of all provider hosts unless *settings* say otherwise.  On exit the
    process is stopped, and everything it complained about fails the test.
    """

    def __init__(
        self,
        upstream: Upstream | None = None,
        *,
        recorder: bool = True,
        environ: dict[str, str] | None = None,
        may_complain: bool = False,
        files: int | None = None,
        **settings: Any,
    ) -> None:
        self._files = files  # the most that the process may have open
        self.home = Path(tempfile.mkdtemp(prefix="at-"))  # short: sockets have short names
        self.settings: dict[str, Any] = {"home": str(self.home), "proxy_port": 0, **settings}
        if upstream is not None:
            self.settings.setdefault(
                "upstream_map", upstream.map(scheme="https" if upstream.tls else "http")
            )
            self.settings.setdefault("upstream_ca", str(upstream.ca))
        self.recorder = FakeRecorder(self.home / "run" / "recorder.sock")
        self._wants_recorder = recorder
        self._environ = environ or {}
        self._may_complain = may_complain
        self.facts: dict[str, Any] = {}
        self.process: asyncio.subprocess.Process

    async def __aenter__(self) -> "Capture":
        if self._wants_recorder:
            await self.recorder.start()
        await self.start()
        if not self.facts.get("ready"):
            raise AssertionError(f"capture did not start: {self.facts}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            assert self.process.stdin
            self.process.stdin.close()
            self.process.terminate()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self._wants_recorder:
            await self.recorder.stop()
        said = self.log
        shutil.rmtree(self.home, ignore_errors=True)
        if error is None and not self._may_complain:
            lines = [line for line in said.splitlines() if not any(n in line for n in NOISE)]
            assert not lines, "capture complained:\n" + "\n".join(lines)
        elif error is not None and said:
            print(said, file=sys.stderr)

    async def start(self) -> None:
        """Start the process, and greet it."""
        # Not under pytest's eyes: hooks behave as in production, and what they log fails the test.
        environ = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "AGENTTRACE"))
        }
        self._log = (self.home / "capture.log").open("ab")
        bounded = ("prlimit", f"--nofile={self._files}:{self._files}") if self._files else ()
        self.process = await asyncio.create_subprocess_exec(
            *bounded,
            sys.executable,
            "-m",
            "agenttrace_mitm.capture",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            env={**environ, "AGENTTRACE_HOME": str(self.home), **self._environ},
        )
        self.facts = await self.ask(self.settings)

    @property
    def log(self) -> str:
        """What the process wrote to stderr."""
        return (self.home / "capture.log").read_text()

    @property
    def port(self) -> int:
        """The proxy's."""
        return int(self.facts["proxy_port"])

    @property
    def root(self) -> Path:
        """The root that clients have to trust."""
        return self.home / "ca" / "root.pem"

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Write a line, read a line."""
        self.tell(message)
        assert self.process.stdout
        async with asyncio.timeout(PATIENCE_S):
            line = await self.process.stdout.readline()
        return json.loads(line) if line else {}

    def tell(self, message: dict[str, Any]) -> None:
        """Write a line."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def trust(self, alpn: tuple[str, ...] = ("http/1.1",), *more: Path) -> ssl.SSLContext:
        """What a client of ours trusts: our root and *more*, strictly."""
        context = ssl.create_default_context(cafile=str(self.root))
        for path in more:
            context.load_verify_locations(path)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(list(alpn))
        return context

    async def tunnel(
        self, host: str, port: int = 443, *, proxy: int | None = None, user: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A CONNECT to *host*, answered with 200; what follows is up to the caller."""
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy or self.port)
        login = f"Proxy-Authorization: Basic {user}\r\n" if user else ""
        writer.write(
            f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split(b" ")[1] == b"200", head
        return reader, writer

    async def connect(
        self,
        host: str = "api.openai.com",
        *,
        alpn: tuple[str, ...] = ("http/1.1",),
        context: ssl.SSLContext | None = None,
        **how: Any,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TLS connection to *host* through the proxy."""
        reader, writer = await self.tunnel(host, **how)
        await writer.start_tls(context or self.trust(alpn), server_hostname=host)
        return reader, writer


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next HTTP/1 answer; chunks are put together."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = {
        k.strip().lower(): v.strip()
        for k, _, v in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if fields.get(b"transfer-encoding") == b"chunked":
        body = bytearray()
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while await reader.readline() != b"\r\n":
            pass
        return head, bytes(body)
    return head, await reader.readexactly(int(fields.get(b"content-length", b"0")))


def post(body: bytes = b"{}", path: str = "/v1/chat/completions", **headers: str) -> bytes:
    """A POST with a body of known length."""
    fields = {"Host": "api.openai.com", "Authorization": "Bearer sk-test-12345678", **headers}
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in fields.items())
    head = f"POST {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def refused(port: int) -> None:
    """Until nobody listens on *port* any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, other = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            await closed(other)
            await asyncio.sleep(0.02)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close, and wait for it without minding how it went."""
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
