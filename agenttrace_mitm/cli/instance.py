"""The running instance as commands see it: find it, describe it, log in to it."""

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import AgentTraceError

if TYPE_CHECKING:
    from ..launch.control import Client
    from ..launch.runtimes import Context
    from ..settings import Settings

LOGIN_PATH = "-/agenttrace/login"
SAID_AFTER_S = 3.0


def running(settings: "Settings") -> "Client":
    """A connection to the running instance; it is an error when there is none."""
    from ..launch import control

    client = control.connect(settings.run_folder)
    if client is None:
        raise not_running(settings)
    return client


def settled(settings: "Settings") -> "Client | None":
    """A connection to the running instance, None when there is none; one that ends is waited for.

    It ends when the calls under way have: of a program that `run` left behind, or after `stop`.
    """
    from ..launch import control

    while client := control.connect(settings.run_folder):
        with contextlib.suppress(control.EndingError):
            if not client.ask(op="status").get("ending"):
                return client
        with client:
            wait_for_end(client)
    return None


def wait_for_end(client: "Client") -> None:
    """Wait until the instance has gone that is ending; says so where that takes a while."""
    if client.wait_closed(SAID_AFTER_S):
        return
    click.echo("agenttrace-mitm: waiting for the calls under way of the one before", err=True)
    client.wait_closed(None)


def not_running(
    settings: "Settings", remedy: str = "Start it: agenttrace-mitm start"
) -> AgentTraceError:
    """That nothing of ours runs; with who records into our database, or shows one, instead."""
    from ..launch import state
    from ..store import recorders

    found = recorders.recorder_of(settings.database)
    if found is None or found.is_ours:
        shown = "".join(
            f"; serve shows {one.db} at {one.web_url} (pid {one.pid})"
            for one in state.served(settings.run_folder)
        )
        return AgentTraceError(f"AgentTrace is not running{shown}", remedy)
    return AgentTraceError(
        f"AgentTrace is not running, but {found} records into {settings.database}",
        f"To stop that, end {found.program}",
    )


def login_link(settings: "Settings", web_url: str) -> str:
    """A link that signs a browser in, once, within two minutes."""
    from .. import access

    code = access.login_code(access.read_or_create_token(settings.token_file), time.time())
    return f"{web_url}{LOGIN_PATH}?code={code}"


def key_of_recorded(settings: "Settings") -> bytes:
    """The key with which the database was recorded.  Raises `AgentTraceError` without either."""
    from .. import access
    from ..store import queries

    queries.last_number(settings.database)  # a file that is no database of ours has no key
    return access.old_fingerprint_key(settings.fingerprint_file)


def context(settings: "Settings", facts: dict[str, Any]) -> "Context":
    """What a program's environment is made from; *facts* hold the ports of a listener pair."""
    from ..launch import state
    from ..launch.runtimes import Context

    return Context(
        proxy_host=state.reachable(settings.proxy_host),
        proxy_port=facts["proxy_port"],
        sni_port=facts.get("sni_port"),
        hosts=recorded_hosts(settings),
        root=settings.root_file,
        folder=settings.run_folder / "env",
    )


def recorded_hosts(settings: "Settings") -> tuple[str, ...]:
    """The hosts that are decrypted under these settings."""
    from ..hosts import hosts

    chosen = hosts(settings.hosts_added, settings.hosts_disabled, settings.hosts_enabled)
    return tuple(chosen)


def user_environ() -> dict[str, str]:
    """The environment as the user made it, without what an `env` or `run` around us set."""
    from ..launch import environment

    return environment.original(os.environ)
