"""Receivers of alerts on loopback: an HTTP server that fails in every way, and a mail server."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass
class Hook:
    """An HTTP server; `answers` are consumed in order, then every request is taken."""

    answers: list[Callable[[socket.socket], None]] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.seen]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.seen]


def says(head: str) -> Callable[[socket.socket], None]:
    return lambda link: link.sendall(head.encode())


def status(code: int, *headers: str) -> Callable[[socket.socket], None]:
    lines = [f"HTTP/1.1 {code} No", "content-length: 0", "connection: close", *headers]
    return says("\r\n".join(lines) + "\r\n\r\n")


def hangs_up(link: socket.socket) -> None:
    link.shutdown(socket.SHUT_RDWR)


def drips(link: socket.socket) -> None:
    """A byte now and then, for ever: no timeout between bytes ever runs out."""
    with contextlib.suppress(OSError):
        for letter in b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 10_000:
            link.sendall(bytes([letter]))
            threading.Event().wait(0.05)


def is_silent(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        link.recv(1)  # until the other side hangs up


@contextlib.contextmanager
def hook() -> Iterator[Hook]:
    """A running `Hook`."""
    made = Hook()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = self.rfile.readline().decode()
            headers = {}
            while (line := self.rfile.readline().decode()).strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", 0)))
            if not line or len(body) < int(headers["content-length"]):
                return  # the sender died in the middle of it
            made.seen.append((request, headers, body))
            answer = made.answers.pop(0) if made.answers else None
            if answer:
                answer(self.connection)
            else:
                self.wfile.write(OK)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield made
        server.shutdown()


class Mailbox:
    """What the mail server took; it answers `refusals` first."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.refusals: list[str] = []
        self.port = 0

    async def handle_DATA(self, server, session, envelope):  # aiosmtpd's name
        if self.refusals:
            return self.refusals.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


class _AnyPort(Controller):
    """Listens where there is room; `port` says where once it has started."""

    def _trigger_server(self) -> None:  # its first client, from whom it learns whether all is well
        self.port = self.server.sockets[0].getsockname()[1]
        with socket.create_connection((self.hostname, self.port), timeout=30) as first:
            first.recv(1024)


@contextlib.contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A running mail server."""
    box = Mailbox()
    controller = _AnyPort(box, hostname="127.0.0.1", port=0, ready_timeout=30)
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()
