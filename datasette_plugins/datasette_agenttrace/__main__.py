"""Our own server process: `python -m datasette_agenttrace`, started by `agenttrace-mitm start`.

In: one JSON line of settings on stdin, then silence; the end of stdin, SIGTERM and Ctrl-C end the
server, within a second or so even with pages open.  Out: one JSON line on stdout, `{"ready": true,
"port": N}` once it answers, or `{"error": ..., "remedy": ...}` and exit code 1.
"""

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from datasette.app import Datasette
from datasette.plugins import pm
from datasette.utils import parse_metadata

import datasette_agenttrace
from agenttrace_mitm import access, store
from agenttrace_mitm.alerts import watching
from agenttrace_mitm.errors import AgentTraceError, SettingsError
from agenttrace_mitm.scheduling import step_back
from agenttrace_mitm.settings import Settings, heard
from datasette_agenttrace import described, limits, site

GRACE_S = 1  # an open page may finish this long after we were told to go
FIRST_CHECK_S = 5  # the proxy comes first
PATIENCE_S = 0.5
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
NICENESS = 5
"""Behind capture: a page or an event may wait for a program's call, but not a call for them."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """uvicorn that says when it is ready and takes a signal as a wish, not as a death."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Announce the port as soon as it answers."""
        await super().startup(sockets)
        if self.started and sockets:
            say(ready=True, port=sockets[0].getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own version raises the signal again when done; our exit code is 0."""
        before = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def main() -> int:
    """Serve until told to stop; the exit code."""
    # The parent's pipe, not a terminal: Python's buffering would swallow the end of it.
    stdin = sys.stdin.buffer
    try:
        settings = read_settings(stdin.readline())
        listener = bind(settings.host, settings.port)
        server = build(settings)
    except AgentTraceError as error:
        say(error=error.problem, remedy=error.remedy)
        return 1
    step_back(NICENESS)
    watch = threading.Thread(
        target=stop_at_end, args=(stdin, server), name="stdin-watch", daemon=True
    )
    watch.start()
    if settings.alerts:
        checks = threading.Thread(
            target=check_alerts, args=(settings, server), name="alerts", daemon=True
        )
        checks.start()
    # What is there by now stays: else Python looks through all of it (60 ms) within pages.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # of the events of a batch nothing stays
    asyncio.run(server.serve(sockets=[listener]))
    return 0 if server.started else 1


def read_settings(line: bytes) -> Settings:
    """The settings that the parent wrote."""
    try:
        return heard(json.loads(line))
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"The web server got no valid settings on stdin ({error})",
            "Start it with `agenttrace-mitm start`",
        ) from None


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that a taken port is told before anything else happens."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        problem = "is in use" if taken else f"cannot be used ({error.strerror or error})"
        raise SettingsError(
            f"Port {port} on {host} {problem}",
            "Stop the other program, or choose another with --port"
            if taken
            else "Choose another with --host and --port",
        ) from None
    return listener


def build(settings: Settings) -> Server:
    """A server for the database of *settings*, which is made or brought up to date first.

    What nobody here may write is shown as it is; pages that miss something in it say so.
    """
    access.read_or_create_token(settings.token_file)
    alone = store.way_in(settings.database) == "as if nobody wrote it"
    if not pm.has_plugin("agenttrace") and not pm.is_registered(datasette_agenttrace):
        # DATASETTE_LOAD_PLUGINS may leave out installed plugins; here that would be the gate.
        pm.register(datasette_agenttrace, name="agenttrace")
    # Where rich is installed, Datasette prints all local variables of a request that fails: content
    # and tokens, into a log.  And it fails itself at a page that is not there: 500 for a 404.
    pm.get_plugin("datasette.handle_exception").rich = None
    datasette = Datasette(
        [] if alone else [str(settings.database)],
        immutables=[str(settings.database)] if alone else [],
        metadata=file_metadata(),
        # Datasette would hand out such a file, whole.
        settings={**limits.LIMITS, **limits.CONSTRUCTED, "allow_download": False},
    )
    hosts = frozenset({host_name(settings.host)})
    site.announce(datasette, site.Server(settings.token_file, hosts, settings))
    config = uvicorn.Config(
        datasette.app(),
        log_level="warning" if settings.log_level == "debug" else settings.log_level,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    return Server(config)


def file_metadata() -> dict[str, Any]:
    """What `metadata.yml` says."""
    file = described.metadata_file()
    found: dict[str, Any] = parse_metadata(file.read_text("utf-8")) if file else {}
    return found


def host_name(host: str) -> str:
    """*host* as it stands in a Host header."""
    return f"[{host.lower()}]" if ":" in host else host.lower()


def stop_at_end(stdin: Any, server: Server) -> None:
    """Stop *server* when the parent is gone or closes our stdin."""
    with contextlib.suppress(OSError, ValueError):
        while stdin.read1(4096):
            pass
    server.should_exit = True


def check_alerts(settings: Settings, server: Server) -> None:
    """Check the alert rules every minute until *server* ends.

    Here, because this process stands behind the proxy already, is started again when it dies, and
    takes nothing along: a message that it was sending is sent again.
    """
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT)

    def pause(seconds: float) -> bool:
        ends = time.monotonic() + seconds
        while not server.should_exit and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, PATIENCE_S))
        return server.should_exit

    if not pause(FIRST_CHECK_S):
        watching.watch(settings, pause)


def say(**told: Any) -> None:
    """One JSON line for the parent, which may be gone already."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Not sys.exit: it would wait for SQL still running in Datasette's threads.
    os._exit(code)
