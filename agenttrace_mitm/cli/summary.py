"""What `run` says at its end: the program's calls, once they are in the database.

Somebody who does not want to wait for them presses Ctrl-C, and has the program's exit code.
"""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ..errors import AgentTraceError

if TYPE_CHECKING:
    from ..launch.control import Client

END_S = 3.0
"""How long an instance of ours is waited for: a program left behind may have calls under way."""

type Facts = dict[str, Any]
"""The instance's status, and how the run's calls fare: `running` ones, and what `trouble` keeps
them from the database."""


@contextlib.contextmanager
def unless_interrupted() -> Iterator[None]:
    """Whoever interrupts or ends us meanwhile ends this, and nothing else."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {sign: signal.signal(sign, interrupt) for sign in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def settled(client: "Client", run: str) -> Facts | None:
    """How things stand once the run's last calls are written; None where the instance went away."""
    try:
        fared = client.ask(op="settle", run=run)
    except AgentTraceError:  # a worker has died
        fared = {"running": 0, "trouble": "the last calls may not be written yet"}
    try:
        return client.ask(op="status") | fared
    except AgentTraceError:
        return None


def ended(daemon: subprocess.Popen[bytes], facts: Facts | None) -> Facts | None:
    """The same once *daemon*, an instance of ours, has ended: its calls and its pages with it."""
    try:
        daemon.wait(END_S)
    except subprocess.TimeoutExpired:
        return facts
    return facts and facts | {"running": 0, "port": None}


def tell(facts: Facts | None, run: str, began_us: int) -> None:
    """Calls, cost, and where to look, a line on stderr; before it, why that is not all."""
    if facts is None:
        _say("recording was stopped meanwhile")
    if not facts:
        return
    from ..errors import StoreError
    from ..frames import UNREACHED
    from ..store import queries
    from .text import printable

    try:
        found = queries.totals(Path(facts["db"]), began_us - 1_000_000, run=run)
        failed = queries.reports(Path(facts["db"]), UNREACHED, began_us)
    except StoreError as error:
        _say(error.problem)
        return
    troubles = facts["troubles"] or [one for one in [facts["trouble"]] if one]
    for trouble in troubles:
        _say(printable(trouble))
    if failed:  # whoever it was: who shares the machine with the program shares its network
        _say(f"not reached meanwhile: {printable(failed[-1])}")
    if said := _calls(found, facts["running"]):
        _say(said + _pages(facts))
    else:
        _say("no LLM calls written yet" if troubles else "no LLM calls seen")


def _calls(found: list[Any], running: int) -> str:
    from ..figures import counted
    from .text import bill

    if not found:
        return f"{counted(running, 'call')} still under way" if running else ""
    total = found[0]
    said = [counted(total.calls, "call")]
    if total.cost_nano_usd is not None:
        said.append(bill(total.cost_nano_usd, total.spend_nano_usd))
    if total.unpriced:
        said.append(f"{total.unpriced} without a price")
    if total.errors:
        said.append(f"{total.errors} failed")
    if running:
        said.append(f"{running:,} still under way")
    return ", ".join(said)


def _pages(facts: Facts) -> str:
    from ..launch.state import reachable

    if not facts.get("port"):
        return " → agenttrace-mitm serve"
    return f" → http://{reachable(facts['host'])}:{facts['port']}/"


def _say(what: str) -> None:
    click.echo(f"agenttrace-mitm: {what}", err=True)
