"""Days, weeks and months as somebody lives them: in a time zone, across daylight saving.

A zone of None is the machine's own.  Moments are microseconds since the epoch, UTC.
"""

import datetime
from typing import Literal

from .. import settings
from ..errors import SettingsError

type Zone = datetime.tzinfo | None
type Period = Literal["day", "week", "month"]

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def zone_of(name: str) -> Zone:
    """The zone called *name*, such as `Europe/Berlin`; the machine's own for ""."""
    if not name:
        return None
    try:
        return settings.zone_of(name)
    except ValueError:
        raise SettingsError(
            f"{name!r} is not a time zone", "Name one of the tz database, such as Europe/Berlin"
        ) from None


def local(at_us: int, zone: Zone) -> datetime.datetime:
    """The moment on the clocks of *zone*."""
    moment = datetime.datetime.fromtimestamp(at_us / SECOND_US, datetime.UTC)
    return moment.astimezone(zone)


def start_of(period: Period, at_us: int, zone: Zone) -> int:
    """The first moment of the day, the week (from Monday) or the month that *at_us* is in."""
    day = local(at_us, zone).date()
    match period:
        case "week":
            day -= datetime.timedelta(days=day.weekday())
        case "month":
            day = day.replace(day=1)
        case "day":
            pass
    return midnight(day, zone)


def midnight(day: datetime.date, zone: Zone) -> int:
    """The moment *day* begins in *zone*; the first that exists where clocks skip midnight."""
    moment = datetime.datetime.combine(day, datetime.time(), zone)
    return int(moment.timestamp()) * SECOND_US


def weeks_before(at_us: int, weeks: int, zone: Zone) -> int:
    """The same time on the clock, *weeks* ago."""
    then = local(at_us, zone).replace(tzinfo=zone) - datetime.timedelta(weeks=weeks)
    return int(then.timestamp() * SECOND_US)


def told(at_us: int, zone: Zone = None) -> str:
    """The moment in ISO 8601, with its offset."""
    return local(at_us, zone).isoformat(timespec="seconds")
