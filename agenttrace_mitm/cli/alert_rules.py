"""`alerts add` and the like: rules made, changed, silenced, and kept in a file."""

import contextlib
import json
from typing import TYPE_CHECKING, Any

import click

from . import options
from .typed import say

if TYPE_CHECKING:
    from ..model import AlertRule
    from ..store.alerting import AlertStore

_json = options.for_programs()
_db = options.settings("db")
_settings = click.option(
    "--set",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the rule's type; repeat it.",
)
_to = click.option(
    "--to",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="https://, slack:https://, discord:https://, teams:https://, mailto: or command:; repeat.",
)
_repeat = click.option(
    "--repeat", type=int, metavar="MINUTES", help="Tell a firing again so often; 0 tells it once."
)


@click.command("list")
@_json
@_db
def list_(as_json: bool, **given: str | None) -> None:
    """List the rules, and what fires."""
    from ..alerts.checking import unchecked_since
    from ..alerts.targets import shown
    from ..clock import now_us
    from .text import moment, table

    with opened(given) as store:
        rules, firing = store.rules(), store.firings(open_only=True, limit=10_000)
    if as_json:
        click.echo(json.dumps([rule.model_dump(mode="json") for rule in rules], indent=1))
        return
    if not rules:
        say("There are no rules yet: agenttrace-mitm alerts add --help")
        return
    since_us = unchecked_since(rules, now_us())
    rows = [
        (
            rule.name,
            rule.type,
            _state(rule, sum(one.rule_id == rule.id for one in firing), late=since_us is not None),
            ", ".join(_settings_of(rule)),
            ", ".join(shown(target) for target in rule.deliver) or "nobody",
            moment(rule.checked_us),
        )
        for rule in rules
    ]
    click.echo(table(("rule", "type", "state", "settings", "notifies", "checked"), rows))
    if since_us is not None:
        click.echo(f"\nAlerts have not been checked since {moment(since_us)}.")
        say("agenttrace-mitm start checks them, and so does cron: alerts install-cron")


@click.command()
@click.argument("name")
@click.option("--type", "type_", required=True, help="A rule type: docs/rules.md")
@_settings
@_to
@_repeat
@_db
def add(
    name: str,
    type_: str,
    params: tuple[str, ...],
    targets: tuple[str, ...],
    repeat: int | None,
    **given: str | None,
) -> None:
    """Add a rule.

    \b
    agenttrace-mitm alerts add errors --type error_rate --set threshold_percent=20 --set per=agent
    """
    from ..alerts.making import made
    from ..clock import now_us

    rule = made(
        now_us(), name=name, type=type_, params=_parsed(params), deliver=targets,
        repeat_minutes=repeat or None,
    )  # fmt: skip
    with opened(given) as store:
        store.put_rule(rule)
    click.echo(f"Rule {name!r} is checked from now on.")


@click.command()
@click.argument("rule")
@click.option("--name", help="Another name.")
@_settings
@_to
@_repeat
@_db
def edit(
    rule: str,
    name: str | None,
    params: tuple[str, ...],
    targets: tuple[str, ...],
    repeat: int | None,
    **given: str | None,
) -> None:
    """Change a rule; what is not said stays.  `--set NAME=` takes a setting's default again."""
    from ..alerts.making import changed
    from ..clock import now_us

    with opened(given) as store:
        before = store.rule(rule)
        values: dict[str, Any] = {"params": _merged(_params(before), params)}
        if targets:
            values["deliver"] = targets
        if name:
            values["name"] = name
        if repeat is not None:
            values["repeat_minutes"] = repeat or None
        store.put_rule(changed(before, now_us(), **values))
    click.echo(f"Rule {name or before.name!r} is changed.")


@click.command()
@click.argument("rule")
@_db
def remove(rule: str, **given: str | None) -> None:
    """Remove a rule; its history stays."""
    from ..clock import now_us

    with opened(given) as store:
        found = store.rule(rule)
        store.remove_rule(found, now_us())
    click.echo(f"Rule {found.name!r} is gone.")


@click.command()
@click.argument("rule")
@_db
def enable(rule: str, **given: str | None) -> None:
    """Check a rule again."""
    _change(given, rule, enabled=True)
    click.echo(f"Rule {rule!r} is checked.")


@click.command()
@click.argument("rule")
@_db
def disable(rule: str, **given: str | None) -> None:
    """Do not check a rule; what it fires stays as it is."""
    _change(given, rule, enabled=False)
    click.echo(f"Rule {rule!r} is not checked.")


@click.command()
@click.argument("rule")
@click.option(
    "--for",
    "time",
    default="60m",
    show_default=True,
    metavar="TIME",
    help="Such as 30m, 8h, 2d; a number alone is minutes, 0 ends the silence.",
)
@_db
def silence(rule: str, time: str, **given: str | None) -> None:
    """Tell nothing about a rule for a while.  What still fires then is told.

    \b
    agenttrace-mitm alerts silence errors --for 8h
    """
    from ..alerts.moments import SECOND_US
    from ..clock import now_us
    from .text import moment
    from .written import seconds

    wait_us = int(seconds(time, "--for", unit="m") * SECOND_US)
    until_us = now_us() + wait_us
    _change(given, rule, silenced_until_us=until_us)
    if wait_us:
        click.echo(f"Rule {rule!r} is silent until {moment(until_us)}.")
    else:
        click.echo(f"Rule {rule!r} is not silent any more.")


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
@click.option("--prune", is_flag=True, help="Remove rules that the file does not name.")
@_db
def apply(file: Any, dry_run: bool, prune: bool, **given: str | None) -> None:
    """Make the rules as a YAML file says: docs/alerts.md  All of it or, if it is wrong, nothing.

    \b
    agenttrace-mitm alerts apply rules.yml --dry-run
    """
    import os

    from ..alerts import rule_file
    from ..clock import now_us

    wanted = rule_file.read(file.read(), os.environ)
    with opened(given) as store:
        steps = rule_file.plan(store.rules(), wanted, now_us(), prune=prune)
        if not dry_run:
            put = [step.rule for step in steps if step.verb in ("add", "change")]
            store.replace_rules(put, [s.rule for s in steps if s.verb == "remove"], now_us())
    for step in steps:
        click.echo(f"{step.verb:<7} {step.rule.name}")
        for line in step.differences:
            click.echo(f"        {line}")
    if dry_run:
        click.echo("Nothing was changed: without --dry-run it is.")


@click.command()
@_db
def export(**given: str | None) -> None:
    """Print the rules as a file for `apply`.  Addresses in it may be secrets."""
    from ..alerts import rule_file

    with opened(given) as store:
        click.echo(rule_file.dump(store.rules()), nl=False)


COMMANDS = (list_, add, edit, remove, enable, disable, silence, apply, export)


def opened(given: dict[str, str | None]) -> "contextlib.closing[AlertStore]":
    """The alerts of the database that the command line names, for a `with`."""
    from ..store.alerting import AlertStore

    return contextlib.closing(AlertStore(options.load(given).database))


def _change(given: dict[str, str | None], name: str, **values: Any) -> None:
    from ..alerts.making import changed
    from ..clock import now_us

    with opened(given) as store:
        store.put_rule(changed(store.rule(name), now_us(), **values))


def _settings_of(rule: "AlertRule") -> list[str]:
    """What the rule is judged by, defaults too, as `--set` takes it; what is empty says nothing."""
    from ..alerts.wording import in_force

    said = in_force(rule).items()
    return [f"{name}={_as_set(value)}" for name, value in said if value not in ("", None, [], ())]


def _as_set(value: Any) -> str:
    """A setting's value as `--set` takes it: `20`, not `20.0`; lists are JSON."""
    match value:
        case list() | tuple():
            return json.dumps(value)
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def _params(rule: "AlertRule") -> dict[str, Any]:
    return rule.params if isinstance(rule.params, dict) else {}


def _parsed(said: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` pairs; lists are JSON, everything else is text that the setting's type reads."""
    return _merged({}, said)


def _merged(params: dict[str, Any], said: tuple[str, ...]) -> dict[str, Any]:
    merged = dict(params)
    for pair in said:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        if not value:
            merged.pop(name, None)
            continue
        merged[name] = _listed(value) if value.startswith("[") else value
    return merged


def _listed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        problem = f"{value!r} is not a JSON list"
        raise click.BadParameter(problem, param_hint="--set") from None


def _state(rule: "AlertRule", firing: int, *, late: bool) -> str:
    from ..clock import now_us

    if not rule.enabled:
        return "off"
    if rule.problem:
        return f"not checked: {rule.problem}"[:60]
    said = f"firing ({firing})" if firing else "not checked" if late else "ok"
    return f"{said}, silent" if (rule.silenced_until_us or 0) > now_us() else said
