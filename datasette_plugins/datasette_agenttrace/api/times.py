"""Moments in addresses: ISO 8601 days and times; a day that ends something is included whole."""

import datetime

from .endpoint import Refused

DAY = datetime.timedelta(days=1)


def first_us(said: str) -> int:
    """The first microsecond of what was said; 0 for nothing."""
    return _us(*_moment(said)[:1]) if said else 0


def last_us(said: str) -> int:
    """The first microsecond after what was said: after a day, or at a moment; 0 for nothing."""
    if not said:
        return 0
    moment, is_day = _moment(said)
    return _us(moment + DAY) if is_day else _us(moment) + 1


def _moment(said: str) -> tuple[datetime.datetime, bool]:
    try:
        moment = datetime.datetime.fromisoformat(said.replace(" ", "+", 1) if "T" in said else said)
        if not 1970 <= moment.year <= 9000:
            raise ValueError
    except ValueError:
        raise Refused(400, f"{said!r} is not a day or a moment in ISO 8601") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment, len(said) <= 10


def _us(moment: datetime.datetime) -> int:
    return round(moment.timestamp() * 1e6)
