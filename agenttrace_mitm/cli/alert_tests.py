"""What `alerts test` does: a message to see whether it arrives, and a rule against the past."""

import json
import shlex
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from ..alerts.messages import deliveries
from ..alerts.moments import zone_of
from ..alerts.outbox import sender
from ..alerts.rule_type import At, Question
from ..alerts.targets import NotDelivered, shown
from ..alerts.try_out import would_have_fired
from ..clock import new_id, now_us
from ..hosts import hosts
from ..model import AlertRule, Firing
from ..store.alerting import AlertStore
from .text import moment, table
from .typed import say

if TYPE_CHECKING:
    from ..settings import Settings


def send(settings: "Settings", name: str) -> int:
    """Send a test to each target at once, past the outbox; the exit code."""
    with closing(AlertStore(settings.database)) as store:
        rule = store.rule(name)
    if not rule.deliver:
        quoted = shlex.quote(name)
        say(f"Rule {name!r} tells nobody: agenttrace-mitm alerts edit {quoted} --to TARGET")
        return 1
    at = At(now_us(), zone_of(settings.time_zone))
    firing = _made_up(rule, at.now_us)
    deliver, failed = sender(settings), 0
    for message in deliveries(rule, firing, "test", at, settings.pages_url):
        try:
            deliver(message)
        except NotDelivered as error:
            failed += 1
            click.echo(f"{shown(message.target)}: {error}")
        else:
            click.echo(f"{shown(message.target)}: arrived")
    return 1 if failed else 0


def _made_up(rule: AlertRule, at_us: int) -> Firing:
    return Firing(
        id=new_id(at_us), rule_id=rule.id, rule_name=rule.name, rule_type=rule.type,
        subject="all", message="this is only a test", started_us=at_us, seen_us=at_us,
    )  # fmt: skip


def past(settings: "Settings", name: str, days: int, *, as_json: bool) -> str:
    """When the rule would have fired in the last *days*."""
    with closing(AlertStore(settings.database)) as store:
        rule = store.rule(name)

        def ask(question: Question) -> list[dict[str, Any]]:
            return store.ask(*question)

        known = hosts(settings.hosts_added, (), settings.hosts_enabled)
        at = At(now_us(), zone_of(settings.time_zone), known)
        firings = would_have_fired(rule, ask, at, min(max(days, 1), 366))
    if as_json:
        return json.dumps([one.model_dump(mode="json") for one in firings], indent=1)
    if not firings:
        time = "day" if days == 1 else f"{days} days"
        return f"It would not have fired in the last {time}."
    rows = [
        (moment(one.started_us), moment(one.resolved_us) if one.resolved_us else "now",
         one.subject, one.message[:90])
        for one in firings
    ]  # fmt: skip
    return table(("since", "until", "about", "what"), rows)


def retry(settings: "Settings") -> str:
    """Give what was given up another week."""
    with closing(AlertStore(settings.database)) as store:
        number = store.retry_failed(now_us())
    return f"{number:,} messages will be tried again."
