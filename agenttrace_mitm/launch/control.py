"""How one command talks to a running instance: JSON lines on `run/control.sock`.

Asked: `status`, `settings`, `lead` (a status for `env`), `stop` (with `now`), `stay`, `open_run`,
`settle`, `open_namespace`, `blind`.  A run lives as long as the connection that opened it, so a
`run` that dies closes its listeners without having to say so.
"""

import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import AgentTraceError

if TYPE_CHECKING:
    import asyncio

MAX_SOCKET_PATH = 100
TIMEOUT_S = 60.0

type Message = dict[str, Any]
type Answer = Callable[[Message], Awaitable[Message]]


def path(run_folder: Path) -> Path:
    """The socket's place."""
    return run_folder / "control.sock"


@contextlib.contextmanager
def _short(where: Path) -> Iterator[str]:
    """A name for *where* that fits into a socket address, which holds about 100 bytes."""
    if len(os.fsencode(where)) <= MAX_SOCKET_PATH:
        yield str(where)
        return
    folder = os.open(where.parent, os.O_RDONLY)
    try:
        short = f"/proc/self/fd/{folder}/{where.name}"
        if not Path(short).parent.exists():
            raise AgentTraceError(
                f"The path {where} is too long for a socket",
                "Set AGENTTRACE_HOME to a folder with a shorter path",
            )
        yield short
    finally:
        os.close(folder)


class EndingError(AgentTraceError):
    """The instance is ending, or has just gone: once it has, another can be started."""


class Client:
    """A connection to the running instance.  Use it as a context manager."""

    def __init__(self, run_folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        with _short(path(run_folder)) as name:
            self._socket.connect(name)
        self._lines = self._socket.makefile("rb")

    def ask(self, **message: Any) -> Message:
        """Send *message*, return the answer; what the other side says is wrong is raised."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
            line = self._lines.readline()
        except OSError:
            line = b""
        if not line:
            raise EndingError("The running instance went away", "See `agenttrace-mitm logs`")
        said: Message = json.loads(line)
        if "error" in said:
            kind = EndingError if said.get("ending") else AgentTraceError
            raise kind(said["error"], said.get("remedy", ""))
        return said

    def wait_closed(self, timeout_s: float | None) -> bool:
        """Wait until the other side is gone; False when it is still there after *timeout_s*."""
        self._socket.settimeout(timeout_s)
        with contextlib.suppress(ConnectionError):
            try:
                while self._lines.readline():
                    pass
            except TimeoutError:
                return False
        return True

    def close(self) -> None:
        """Hang up; a run that this connection opened ends."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def connect(run_folder: Path) -> Client | None:
    """A connection to the instance of this home; None when none is running."""
    try:
        return Client(run_folder)
    except OSError:
        return None


async def serve(run_folder: Path, converse: Callable[[], "Conversation"]) -> "asyncio.Server":
    """Listen on the control socket; each connection gets a conversation of its own."""
    import asyncio  # noqa: PLC0415 - commands ask without it, and sooner

    where = path(run_folder)
    where.unlink(missing_ok=True)

    async def talk(reader: "asyncio.StreamReader", writer: "asyncio.StreamWriter") -> None:
        conversation = converse()
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await _answer(conversation, line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # hung up, or we are ending: both end the conversation
        finally:
            await conversation.over()
            writer.close()

    with _short(where) as name:
        server = await asyncio.start_unix_server(talk, name)
    where.chmod(0o600)
    return server


class Conversation:
    """What one connection may ask, and what happens when it hangs up."""

    def __init__(self, answers: dict[str, Answer], over: Callable[[], Awaitable[None]]) -> None:
        self.answers = answers
        self.over = over


async def _answer(conversation: Conversation, line: bytes) -> Message:
    try:
        message = json.loads(line)
        answer = conversation.answers[message["op"]]
    except (ValueError, KeyError, TypeError):
        return {"error": "That is not something the running instance understands"}
    try:
        return await answer(message)
    except AgentTraceError as error:
        ending = isinstance(error, EndingError)
        return {"error": error.problem, "remedy": error.remedy, "ending": ending}
