"""Numbers as people read them: with units, as precise as they need to be, never a false zero."""

from datetime import UTC, date, datetime

from agenttrace_mitm import durations

NANO = 1_000_000_000
MICRO = 1_000_000
EPOCH = date(1970, 1, 1).toordinal()
UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def named(text: str) -> str:
    """*text* as the words of a link; quoted and escaped where nothing of it would be seen."""
    return text if any(one.isprintable() and not one.isspace() for one in text) else repr(text)


def usd(nano_usd: int | None) -> str:
    """Dollars: $0.0042, $0.58, $12.30, $1,234.  None is unpriced, which is not $0."""
    if nano_usd is None:
        return "unpriced"
    dollars = nano_usd / NANO
    if dollars == 0:
        return "$0"
    sign, size = (MINUS if dollars < 0 else ""), abs(dollars)
    if size < 0.0001:
        return f"{sign}<$0.0001"
    if size < 0.09995:
        return f"{sign}${size:.4f}"
    if size < 999.995:
        return f"{sign}${size:,.2f}"
    return f"{sign}${size:,.0f}"


def exact_usd(nano_usd: int) -> str:
    """Dollars to the last digit that there is: $0.00000638, $0.0042, $12.30."""
    whole, rest = divmod(abs(nano_usd), NANO)
    cents, more = divmod(rest, NANO // 100)
    sign = MINUS if nano_usd < 0 else ""
    return f"{sign}${whole:,}.{cents:02d}" + f"{more:07d}".rstrip("0")


def compact(number: float | None) -> str:
    """A count: 2.5, 950, 1.2k, 34.5M.  None is not known."""
    if number is None:
        return UNKNOWN
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        # 999,950 and more would round to 1000.0k.
        if abs(number) >= size * 0.99995:
            scaled = number / size
            return f"{scaled:.0f}{unit}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{unit}"
    return f"{number:.0f}" if number == round(number) or abs(number) >= 9.95 else f"{number:.1f}"


def size(number: float | None) -> str:
    """Bytes: 950 B, 1.2 kB, 34.5 MB.  None is not known."""
    if number is None:
        return UNKNOWN
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= factor * 0.99995:
            return f"{number / factor:.1f} {unit}"
    return f"{number:.0f} B"


def duration(ms: float | None) -> str:
    """A time span: 850 ms, 1.2 s, 2 m 5 s, 1 h 12 m, 2 d 3 h.  No line breaks inside it."""
    if ms is None:
        return UNKNOWN
    return durations.said(ms).replace(" ", "\N{NO-BREAK SPACE}")


def percent(part: int, whole: int) -> str:
    """A share: 0%, 0.3%, 12%; of nothing, it is not known."""
    if not whole:
        return UNKNOWN
    share = 100 * part / whole
    return f"{share:.1f}%" if 0 < share < 9.95 else f"{share:.0f}%"


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
