"""Figures as people read them on the pages, where some are not known."""

from datetime import UTC, date, datetime

from agenttrace_mitm import figures

NANO = 1_000_000_000
MICRO = 1_000_000
EPOCH = date(1970, 1, 1).toordinal()
UNKNOWN = "\N{EN DASH}"

exact_usd = figures.exact_usd
share = figures.percent


def named(text: str) -> str:
    """*text* as the words of a link; quoted and escaped where nothing of it would be seen."""
    return text if any(one.isprintable() and not one.isspace() for one in text) else repr(text)


def usd(nano_usd: int | None) -> str:
    """Dollars: $0.0042, $0.58, $12.30, $1,234.  None is unpriced, which is not $0."""
    return "unpriced" if nano_usd is None else figures.usd(nano_usd)


def compact(number: float | None) -> str:
    """A count: 2.5, 950, 1.2k, 34.5M.  None is not known."""
    return UNKNOWN if number is None else figures.compact(number)


def size(number: float | None) -> str:
    """Bytes: 950 B, 1.2 kB, 34.5 MB.  None is not known."""
    return UNKNOWN if number is None else figures.size(number)


def duration(ms: float | None) -> str:
    """A time span: 850 ms, 1.2 s, 2 m 5 s, 1 h 12 m, 2 d 3 h.  No line breaks inside it."""
    return UNKNOWN if ms is None else figures.duration(ms).replace(" ", "\N{NO-BREAK SPACE}")


def percent(part: int, whole: int) -> str:
    """A share: 0%, 0.3%, 12%; of nothing, it is not known."""
    return figures.percent(part / whole) if whole else UNKNOWN


def refusal(status: int | None) -> str:
    """What stands beside an error: 529; "in the stream" where the status had said that all is well.

    None is no answer at all, and says nothing.
    """
    if status is None:
        return ""
    return str(status) if status >= 400 else "in the stream"


def moment(us: int) -> str:
    """A moment in UTC, to the millisecond: 2026-11-20 21:05:05.123."""
    at = datetime.fromtimestamp(us // MICRO, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{us % MICRO // 1000:03d}"


def date_of(day: int) -> str:
    """The date of a day number: 2026-11-20."""
    return date.fromordinal(EPOCH + day).isoformat()
