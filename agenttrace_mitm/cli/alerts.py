"""`alerts`: rules, checks, and who is told."""

import json
from typing import TYPE_CHECKING, Any

import click

from . import alert_rules, options
from .alert_rules import opened
from .typed import say, typed

if TYPE_CHECKING:
    from ..alerts.checking import Report
    from ..model import Firing

QUICK_RETRIES_S = 25.0
"""Long enough for the retries after 1, 4 and 16 seconds."""

_json = options.for_programs()
_db = options.settings("db")


@click.group()
def command() -> None:
    """Be told before the bill tells you.

    Rule types: docs/rules.md

    \b
    agenttrace-mitm alerts add daily --type budget --set limit_usd=20 --to mailto:me@example.com
    agenttrace-mitm alerts check
    agenttrace-mitm alerts install-cron
    """


# ------------------------------------------------------------------ checks


@command.command()
@_json
@click.option("--no-wait", is_flag=True, help="Leave failed messages to the next check.")
@_db
def check(as_json: bool, no_wait: bool, **given: str | None) -> None:
    """Judge all rules once and tell what is new.  Exit code 0 quiet, 1 firing, 2 not checked.

    \b
    * * * * * agenttrace-mitm alerts check
    """
    from ..alerts.watching import checked
    from ..errors import AgentTraceError

    try:
        report = checked(options.load(given), 0 if no_wait else QUICK_RETRIES_S)
    except AgentTraceError as error:
        if as_json:
            click.echo(json.dumps({"error": typed(str(error))}))
        else:
            say(f"Not checked: {error}", err=True)
        raise SystemExit(2) from None
    if as_json:
        click.echo(json.dumps(_as_json(report), indent=1))
    else:
        _print(report)
    raise SystemExit(report.exit_code)


@command.command()
@click.option(
    "--every",
    default="60s",
    show_default=True,
    metavar="TIME",
    help="Between two checks, such as 30s or 5m; a number alone is seconds.",
)
@_db
def watch(every: str, **given: str | None) -> None:
    """Check every minute until Ctrl-C.  `start` does so by itself.

    \b
    agenttrace-mitm alerts watch
    """
    import threading

    from ..alerts.watching import watch as check_again
    from .written import seconds

    every_s = seconds(every, "--every", unit="s")
    if every_s < 1:
        raise click.BadParameter("a check every second is the most", param_hint="--every")
    stop = threading.Event()
    before: set[str] = set()

    def tell(report: "Report") -> None:
        now = {one.id: one for rule in report.rules for one in rule.firing}
        for id_ in now.keys() - before:
            click.echo(_line(now[id_]))
        for _ in before - now.keys():
            click.echo("Resolved: see alerts history")
        before.clear()
        before.update(now)

    try:
        check_again(options.load(given), stop.wait, tell, every_s)
    except KeyboardInterrupt:
        click.echo("")


@command.command("install-cron")
@click.option("--write", is_flag=True, help="Put it into your crontab.")
@click.option("--remove", is_flag=True, help="Take it out of your crontab again.")
def install_cron(write: bool, remove: bool) -> None:
    """Print the crontab line that checks every minute, or write it.

    \b
    agenttrace-mitm alerts install-cron --write
    """
    from ..launch import crontab
    from ..launch.state import prepare

    settings = options.load({})
    if remove:
        crontab.remove(settings)
        click.echo("It is out of your crontab.")
        return
    # The shell opens the log before anything of ours runs: without its folder nothing would.
    prepare(settings)
    if write:
        crontab.put(settings)
        click.echo("Your crontab checks every minute.")
    else:
        click.echo(crontab.line(settings))


@command.command()
@click.argument("firing")
@_db
def ack(firing: str, **given: str | None) -> None:
    """Say that you know of a firing: it is not repeated."""
    from ..clock import now_us

    with opened(given) as store:
        found = store.acknowledge(firing, now_us())
    click.echo(f"Acknowledged: {found.message}")


@command.command()
@click.option("--limit", type=options.MOST, default=50, show_default=True, help="How many.")
@_json
@_db
def history(limit: int, as_json: bool, **given: str | None) -> None:
    """Firings, newest first, with what they rest on (--json) and what did not arrive."""
    from .text import moment, table

    with opened(given) as store:
        firings = store.firings(limit=limit)
        sent = {one.id: store.deliveries(firing_id=one.id) for one in firings}
    if as_json:
        click.echo(
            json.dumps(
                [
                    one.model_dump(mode="json")
                    | {"deliveries": [d.model_dump(mode="json") for d in sent[one.id]]}
                    for one in firings
                ],
                indent=1,
            )
        )
        return
    if not firings:
        click.echo("Nothing has fired.")
        return
    rows = [
        (
            moment(one.started_us),
            moment(one.resolved_us) if one.resolved_us else "fires",
            one.rule_name,
            one.subject,
            one.message[:70],
            _told(sent[one.id]),
            one.id,
        )
        for one in firings
    ]
    click.echo(table(("since", "until", "rule", "about", "what", "notified", "id"), rows))


@command.command()
@click.argument("rule", required=False)
@click.option("--days", type=options.PAST_DAYS, help="Instead, try the rule on the last days.")
@click.option("--retry", is_flag=True, help="Instead, send again what was given up.")
@_json
@_db
def test(
    rule: str | None, days: int | None, retry: bool, as_json: bool, **given: str | None
) -> None:
    """Send a test message to a rule's targets; or say when it would have fired.

    \b
    agenttrace-mitm alerts test daily
    agenttrace-mitm alerts test daily --days 30
    """
    from . import alert_tests

    settings = options.load(given)
    if retry:
        click.echo(alert_tests.retry(settings))
    elif rule is None:
        raise click.UsageError("Name a rule, or give --retry.")
    elif days is not None:
        click.echo(alert_tests.past(settings, rule, days, as_json=as_json))
    else:
        raise SystemExit(alert_tests.send(settings, rule))


@command.command()
def secret() -> None:
    """Print the secret that webhooks are signed with, for receivers that check it."""
    from ..alerts.webhook import key_of

    file = options.load({}).webhook_key_file
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_of(file)
    click.echo(file.read_text("ascii").strip())


for _each in alert_rules.COMMANDS:
    command.add_command(_each)


def _told(deliveries: Any) -> str:
    if not deliveries:
        return "nobody"
    waiting = [one for one in deliveries if one.delivered_us is None]
    if not waiting:
        return "arrived"
    problem = next((one.problem for one in waiting if one.problem), "")
    state = "given up" if any(one.failed_us for one in waiting) else "waits"
    return f"{state}: {problem}"[:60] if problem else state


def _line(firing: "Firing") -> str:
    from ..alerts.words import about
    from .text import printable

    return printable(
        f"{firing.severity}: {firing.rule_name}: {about(firing.subject)}: {firing.message}"
    )


def _as_json(report: "Report") -> dict[str, Any]:
    return {
        "exit_code": report.exit_code,
        "rules": [
            {
                "id": one.rule.id,
                "name": one.rule.name,
                "type": one.rule.type,
                "state": "unknown" if one.problem else "firing" if one.firing else "ok",
                "problem": one.problem or None,
                "firing": [firing.model_dump(mode="json") for firing in one.firing],
            }
            for one in report.rules
        ],
    }


def _print(report: "Report") -> None:
    from ..alerts.words import about
    from .text import table

    if not report.rules:
        say("There are no rules yet: agenttrace-mitm alerts add --help")
        return
    rows = []
    for one in report.rules:
        if one.problem:
            rows.append((one.rule.name, "?", "", one.problem))
        elif not one.firing:
            rows.append((one.rule.name, "ok", "", ""))
        rows += [(f.rule_name, f.severity, about(f.subject), f.message) for f in one.firing]
    click.echo(table(("rule", "state", "about", "what"), rows))
