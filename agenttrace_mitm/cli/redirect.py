"""`redirect`: all programs of a user or of a control group, as root, by nftables (Linux)."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import AgentTraceError
from . import options
from .typed import say

if TYPE_CHECKING:
    from ..launch.changes import Change

KIND = "nft-redirect"


@click.group()
def command() -> None:
    """Lead what a user or a control group sends to port 443 to us (Linux, root).

    For services that cannot be started with `run`.  Their programs also have to trust our root:
    see `ca install`.  Recorded hosts are decrypted; all others are passed on untouched.

    \b
    agenttrace-mitm redirect enable --user agents
    agenttrace-mitm redirect enable --cgroup system.slice/agent.service
    agenttrace-mitm redirect disable
    """


@command.command()
@click.option("--user", help="All programs of this user, by name or number.")
@click.option("--cgroup", help="All programs of this control group, its path below /sys/fs/cgroup.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def enable(user: str | None, cgroup: str | None, dry_run: bool) -> None:
    """Lead a user's or a control group's connections to the running instance."""
    from . import machine
    from .instance import running

    if bool(user) is bool(cgroup):
        raise AgentTraceError("One of --user and --cgroup says whose calls are meant", "Give one")
    settings = options.load({})
    with running(settings) as client:
        told = client.ask(op="status")
    if not told["stays"]:
        raise AgentTraceError(
            "The running instance ends with its `run`, and those programs would be cut off",
            "Start one that stays: agenttrace-mitm start",
        )
    change = _change(user, cgroup, int(told["sni_port"]), int(told["pid"]))
    machine.make(settings, [change], dry_run=dry_run)
    if not dry_run:
        say("Before you end AgentTrace: agenttrace-mitm redirect disable")


@command.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def disable(dry_run: bool) -> None:
    """Let all of them reach their servers directly again."""
    from . import machine

    settings = options.load({})
    entries = [each for each in machine.journal(settings).entries() if each.kind == KIND]
    machine.undo(settings, entries, dry_run=dry_run)
    if not entries:
        click.echo("Nobody's connections are led to us.")


@command.command()
def status() -> None:
    """Say whose connections are led to us.  Exit code 1 when nobody's are."""
    from ..launch.changes import Machine, rebuild
    from . import machine

    found = False
    for entry in machine.journal(options.load({})).entries():
        if entry.kind == KIND:
            change = rebuild(entry, Machine.here())
            holds = change.is_applied()
            found = found or holds
            where = f"port {entry.facts['port']} of this machine"
            click.echo(f"{'On' if holds else 'Gone'}: {change.name} leads to {where}.")
    if not found:
        click.echo("Nobody's connections are led to us.")
        raise SystemExit(1)


def _change(user: str | None, cgroup: str | None, port: int, pid: int) -> "Change":
    """What is asked for.  The proxy's own connections must not come back to it."""
    from ..launch.changes import Machine, redirect

    here = Machine.here()
    if here.system != "linux":
        raise AgentTraceError(
            "Connections are redirected on Linux only", "Use: system-proxy enable"
        )
    if user is not None:
        uid = _uid(user)
        if uid == Path(f"/proc/{pid}").stat().st_uid:
            raise AgentTraceError(
                "AgentTrace runs as that user itself, and its own calls would come back to it",
                "Run it as another user, or give a --cgroup that it is not in",
            )
        return redirect(here, {"uid": str(uid), "port": str(port)})
    group = (cgroup or "").strip("/")
    if not group or '"' in group or not here.at(f"/sys/fs/cgroup/{group}").is_dir():
        raise AgentTraceError(f"There is no control group {group}", "See /sys/fs/cgroup")
    own = Path(f"/proc/{pid}/cgroup").read_text("utf-8").rpartition("::")[2].strip().strip("/")
    if own == group or own.startswith(f"{group}/"):
        raise AgentTraceError(
            "AgentTrace runs in that control group itself, and its own calls would come back to it",
            "Start it elsewhere, for example by: systemd-run --scope",
        )
    return redirect(here, {"cgroup": group, "port": str(port)})


def _uid(user: str) -> int:
    import pwd

    try:
        return int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise AgentTraceError(f"There is no user {user}", "See: getent passwd") from None
