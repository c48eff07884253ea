"""What a page is asked for: a time and some filters, the same on every page and in its address.

Days are UTC.  What makes no sense in an address is noted and left out, never an error.
"""

import datetime
import sqlite3
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, computed_field

from . import figures

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
PRESETS: Mapping[str, int] = MappingProxyType({"today": 1, "7d": 7, "30d": 30, "90d": 90})
LABELS = {"today": "Today", "7d": "7 days", "30d": "30 days", "90d": "90 days"}
DEFAULT_RANGE = "30d"
LONGEST_DAYS = 732
FIRST_DAY = 1 - figures.EPOCH  # 0001-01-01: there is no date before it
MOST_CHOICES = 200
FILTERS = ("provider", "model", "agent")
TIME = ("range", "from", "to")
SCRIPTS = ("nolive",)
"""What an address says to our scripts."""
MOST_NOTED = 3  # names that a page does not know
NAMED: Mapping[str, str] = MappingProxyType(
    {"provider": "provider", "model": "coalesce(response_model, model)", "agent": "agent_id"}
)
"""How `llm_calls` says what a filter means; each has an index with the time."""


class Value(BaseModel):
    """A part of a page: frozen, and ours, so strict."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(Value):
    """Which calls a page is about; days are numbers since the epoch, both included."""

    range: str
    first_day: int
    last_day: int
    provider: str = ""
    model: str = ""
    agent: str = ""
    note: str = ""

    @property
    def days(self) -> int:
        """How many days that is."""
        return self.last_day - self.first_day + 1

    @property
    def step(self) -> Literal["hour", "day"]:
        """One day is shown by the hour."""
        return "hour" if self.days == 1 else "day"

    @property
    def since_us(self) -> int:
        """The first microsecond."""
        return self.first_day * DAY_US

    @property
    def until_us(self) -> int:
        """The first microsecond after."""
        return (self.last_day + 1) * DAY_US

    @property
    def filters(self) -> dict[str, str]:
        """The filters that are set."""
        return {name: said for name in FILTERS if (said := getattr(self, name))}

    @property
    def cleared(self) -> str:
        """The query string for the same time without filters."""
        return self.address(**dict.fromkeys(self.filters, ""))

    @property
    def filtered(self) -> bool:
        """Whether it is not about everybody."""
        return bool(self.filters)

    @property
    def words(self) -> str:
        """The time and the filters, for people."""
        time = self.first_date if self.days == 1 else f"{self.first_date} to {self.last_date}"
        return " · ".join((f"{time}, days in UTC", *self.filters.values()))

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def first_date(self) -> str:
        """The first day as a date."""
        return figures.date_of(self.first_day)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def last_date(self) -> str:
        """The last day as a date."""
        return figures.date_of(self.last_day)

    @property
    def time(self) -> dict[str, str]:
        """The time as an address says it."""
        if self.range == "custom":
            return {"from": self.first_date, "to": self.last_date}
        return {"range": self.range}

    def address(self, **changed: str) -> str:
        """The query string that asks for this, with some of it changed."""
        time = {} if "range" in changed else self.time
        said = time | self.filters | changed
        return "?" + urlencode({name: value for name, value in said.items() if value})

    def elsewhere(self, *without: str) -> str:
        """The query string that asks another page for the same, but for the filters *without*."""
        names = [name for name in FILTERS if name not in without]
        kept = {name: said for name in names if (said := getattr(self, name))}
        return "?" + urlencode(self.time | kept)


class Choices(Value):
    """What the filters can be set to."""

    provider: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()


def arguments_of(request: Any) -> dict[str, str]:
    """The query string, the first of each name."""
    return {name: request.args[name] for name in request.args}


def asked_of(
    arguments: Mapping[str, str], today: int, preset: str = DEFAULT_RANGE, own: Iterable[str] = ()
) -> Asked:
    """What a query string asks for; *preset* is the time when it names none.

    *own* are the names that a page knows besides those of every page; others are noted.
    """
    filters = {name: arguments.get(name, "") for name in FILTERS}  # names may begin with a blank
    first, last, chosen, note = _time(arguments, today, preset)
    note = " ".join(filter(None, (note, _unknown(arguments, own))))
    return Asked(range=chosen, first_day=first, last_day=last, note=note, **filters)


def choice_of(
    arguments: Mapping[str, str], name: str, known: Iterable[str], default: str = ""
) -> tuple[str, str]:
    """What a query string says as *name*, *default* where it says none of *known*; and a note."""
    said = arguments.get(name, "").strip()
    if not said or said in known:
        return said or default, ""
    return default, f"“{name}={said[:40]}” is left out: there are {', '.join(known)}."


def with_notes(common: Mapping[str, Any], *notes: str) -> dict[str, Any]:
    """*common*, what every page is asked for, with a page's own *notes* after its note."""
    return {**common, "note": " ".join(filter(None, (common["note"], *notes)))}


def choices(db: sqlite3.Connection) -> Choices:
    """What there is to choose from."""
    return Choices(**{name: _values(db, NAMED[name]) for name in FILTERS})


def clauses(asked: Asked) -> str:
    """The filters as conditions on `llm_calls`: only those set, so that each can use its index."""
    return "".join(f" and {NAMED[name]} = :{name}" for name in FILTERS if getattr(asked, name))


def rows_of(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    """Rows with the names of their columns."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _time(arguments: Mapping[str, str], today: int, preset: str) -> tuple[int, int, str, str]:
    said = [arguments.get(name, "").strip() for name in ("from", "to")]
    note = ""
    if any(said):
        try:
            first, last = (_day_number(date) if date else None for date in said)
        except ValueError:
            note = "Dates are written like 2026-11-20."
        else:
            last = max(today, first or today) if last is None else last
            first = max(last - PRESETS[preset] + 1, FIRST_DAY) if first is None else first
            first, last = sorted((first, last))
            if first > today:
                note = "This time is yet to come."
            else:
                last = min(last, today)
            if last - first >= LONGEST_DAYS:
                first = last - LONGEST_DAYS + 1
                note = f"{note} Only the last {LONGEST_DAYS} days.".lstrip()
            return first, last, "custom", note
    chosen, unknown = choice_of(arguments, "range", PRESETS, preset)
    note = " ".join(filter(None, (note, unknown)))
    return today - PRESETS[chosen] + 1, today, chosen, note


def _unknown(arguments: Mapping[str, str], own: Iterable[str]) -> str:
    """A note on names that the page does not know; those with `_` before are Datasette's."""
    known = {*TIME, *FILTERS, *SCRIPTS, *own}
    names = [name for name in arguments if name not in known and not name.startswith("_")]
    return " ".join(
        f"“{name[:40]}={arguments[name][:40]}” is left out: this page has no “{name[:40]}”."
        for name in names[:MOST_NOTED]
    )


def _values(db: sqlite3.Connection, column: str) -> tuple[str, ...]:
    """The values of *column*, each found by one step in its index however many calls there are."""
    rows = db.execute(
        f"""
        with recursive choice(value) as (
            select min({column}) from llm_calls
            union all
            select (select min({column}) from llm_calls where {column} > choice.value)
            from choice where choice.value is not null
        )
        select value from choice where value is not null limit {MOST_CHOICES}
        """  # the column is one of ours
    )
    return tuple(value for (value,) in rows)


def _day_number(date: str) -> int:
    return datetime.date.fromisoformat(date).toordinal() - figures.EPOCH
