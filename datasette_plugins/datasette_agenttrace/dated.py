"""The time of a page in SQL for people: dates, which they can read and change.

`:since` and `:until` are ISO dates or times, UTC; what begins at `until` is left out.  SQLite
works each out once, so that indexes serve as they do for numbers.
"""

from datetime import date

from . import figures
from .asking import Asked

_LAST_DAY = date.max.toordinal() - figures.EPOCH  # there is no date after it
_SINCE_US = "unixepoch(:since) * 1000000"
_UNTIL_US = "unixepoch(:until) * 1000000"
CALLS = f"started_us >= {_SINCE_US} and started_us < {_UNTIL_US}"
DAYS = "day >= unixepoch(:since) / 86400.0 and day < unixepoch(:until) / 86400.0"
HOURS = "hour >= unixepoch(:since) / 3600.0 and hour < unixepoch(:until) / 3600.0"
"""Of the rollups: those that begin in the time."""


def dated(sql: str) -> str:
    """*sql*, which takes the time as microseconds, as one that takes dates."""
    return sql.replace(":since", _SINCE_US).replace(":until", _UNTIL_US)


def dates(asked: Asked) -> dict[str, str]:
    """The parameters; the time that a page is asked for is whole days."""
    after = min(asked.last_day + 1, _LAST_DAY)
    return {"since": asked.first_date, "until": figures.date_of(after)}
