"""A database, rules on a frozen clock, and people who are told."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agenttrace_mitm.alerts.checking import Report, check
from agenttrace_mitm.alerts.moments import MINUTE_US
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.hosts import HOSTS
from agenttrace_mitm.model import AlertRule, Delivery, Firing
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.alerting import AlertStore
from agenttrace_mitm.store.rows import write_record
from tests.support.records import call, message, record

DOLLAR = 1_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")
PAGES = "http://127.0.0.1:8080"


def at(text: str, zone: Any = datetime.UTC) -> int:
    """Microseconds of a moment written like 2026-11-20 12:00."""
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000_000


class Scene:
    """A database with calls, one rule at a time, and a clock that only we move."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = open_database(path)
        self.store = AlertStore(path)
        self.now_us = at("2026-11-18 12:00")
        self.zone: Any = datetime.UTC
        self.hosts = HOSTS

    def calls(self, number: int = 1, minutes_ago: float = 0.5, **values: Any) -> list[str]:
        """Write *number* calls that began so long ago."""
        started_us = self.now_us - int(minutes_ago * MINUTE_US)
        ids = []
        for n in range(number):
            took = {"started_us": started_us + n, "ended_us": started_us + n + 1_000_000}
            one = call(id=new_id(started_us), **(took | values))
            write_record(self.db.conn, record().model_copy(update={"call": one}))
            ids.append(one.id)
        return ids

    def prompts(self, *texts: str, **values: Any) -> None:
        """Write a call for each of these prompts."""
        for text in texts:
            said = record().model_copy(
                update={
                    "call": call(id=new_id(), started_us=self.now_us - 1_000_000, **values),
                    "messages": (message(text),),
                }
            )
            write_record(self.db.conn, said)

    def rule(self, type_: str, **values: Any) -> AlertRule:
        """A rule in the database; *values* that are no columns are its settings."""
        columns = {
            name: values.pop(name)
            for name in ("deliver", "repeat_minutes", "silenced_until_us", "tell_resolved", "name")
            if name in values
        }
        rule = AlertRule(
            id=new_id(), type=type_, params=values, created_us=0, updated_us=0,
            **({"name": type_, "deliver": ("https://example.com/hook",)} | columns),
        )  # fmt: skip
        self.store.put_rule(rule)
        return rule

    def check(self, minutes: float = 0) -> Report:
        """Let time pass, then check."""
        self.now_us += int(minutes * MINUTE_US)
        report = check(self.store, self.now_us, self.zone, PAGES, hosts=self.hosts)
        assert not [one.problem for one in report.rules if one.problem]
        return report

    def firing(self, minutes: float = 0) -> list[str]:
        """The subjects that fire after a check."""
        return sorted(one.subject for rule in self.check(minutes).rules for one in rule.firing)

    @property
    def told(self) -> list[str]:
        """What was put in the outbox so far, oldest first."""
        return [one.transition for one in self.messages]

    @property
    def messages(self) -> list[Delivery]:
        return self.store.deliveries(limit=10_000)[::-1]

    @property
    def history(self) -> list[Firing]:
        return self.store.firings(limit=10_000)


@pytest.fixture
def scene(tmp_path: Path):
    made = Scene(tmp_path / "data.db")
    yield made
    made.store.close()
    made.db.close()


@pytest.fixture
def now() -> Callable[[str], int]:
    return at
