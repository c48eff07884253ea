"""The time of a page in SQL for people: dates, which they can read and change.

`:since` and `:until` are ISO dates or times, UTC; what begins at `until` is left out.  SQLite
works each out once, so that indexes serve as they do for numbers.
"""

import re
from datetime import date

from . import figures
from .asking import Asked

_LAST_DAY = date.max.toordinal() - figures.EPOCH  # there is no date after it
_SINCE_US = "unixepoch(:since) * 1000000"
_UNTIL_US = "unixepoch(:until) * 1000000"
CALLS = f"started_us >= {_SINCE_US} and started_us < {_UNTIL_US}"
_FROM_DAY = "day >= unixepoch(:since) / 86400.0"
_TO_DAY = "day < unixepoch(:until) / 86400.0"
DAYS = f"{_FROM_DAY} and {_TO_DAY}"
HOURS = "hour >= unixepoch(:since) / 3600.0 and hour < unixepoch(:until) / 3600.0"
"""Of the rollups: those that begin in the time."""


_AS_DATES = {
    "day >= :first": _FROM_DAY,
    "day <= :last": _TO_DAY,
    ":since": _SINCE_US,
    ":until": _UNTIL_US,
}


def dated(sql: str) -> str:
    """*sql*, which takes the time as microseconds and numbers of days, as one that takes dates."""
    return re.sub("|".join(_AS_DATES), lambda found: _AS_DATES[found[0]], sql)


def dates(asked: Asked) -> dict[str, str]:
    """The parameters; the time that a page is asked for is whole days."""
    after = min(asked.last_day + 1, _LAST_DAY)
    return {"since": asked.first_date, "until": figures.date_of(after)}
