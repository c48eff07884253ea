"""Figures as people read them: the same on the pages, in a terminal and in an alert.

They have units, are as precise as they need to be, and are never a false zero: only nothing is $0
or 0%, and only all is 100%.
"""

MINUS = "\N{MINUS SIGN}"
HOUR_S = 3_600
_NANO = 1_000_000_000


def usd(nano_usd: float) -> str:
    """Dollars: $0.0042, $0.58, $12.30, $1,234."""
    dollars = nano_usd / _NANO
    if dollars == 0:
        return "$0"
    sign, amount = (MINUS if dollars < 0 else ""), abs(dollars)
    if amount < 0.0001:
        return f"{sign}<$0.0001"
    if amount < 0.09995:
        return f"{sign}${amount:.4f}"
    if amount < 999.995:
        return f"{sign}${amount:,.2f}"
    return f"{sign}${amount:,.0f}"


def exact_usd(nano_usd: int) -> str:
    """Dollars to the last digit that there is: $0.00000638, $0.0042, $12.30."""
    whole, rest = divmod(abs(nano_usd), _NANO)
    cents, more = divmod(rest, _NANO // 100)
    sign = MINUS if nano_usd < 0 else ""
    return f"{sign}${whole:,}.{cents:02d}" + f"{more:07d}".rstrip("0")


def percent(share: float) -> str:
    """A share of 1, to a tenth of a per cent: 0%, 0.04%, 3.6%, 20%, 99.9%, 119%."""
    if share < 0:
        return MINUS + percent(-share)
    number = 100 * share
    if 0 < number < 0.01:
        return "<0.01%"
    if number < 0.1:
        return f"{number:.1g}%"
    if number < 100:
        number = min(number, 99.9)
    elif number > 100:
        number = max(number, 100.1)
    return f"{number:.0f}%" if number >= 110 else f"{number:.1f}%".replace(".0%", "%")


def compact(number: float) -> str:
    """A count: 0.04, 2.5, 950, 1.2k, 34.5M."""
    for unit_size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        # 999,950 and more would round to 1000.0k.
        if abs(number) >= unit_size * 0.99995:
            scaled = number / unit_size
            return f"{scaled:.0f}{unit}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{unit}"
    if number == round(number) or abs(number) >= 9.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 0.05 else f"{number:.1g}"


def size(number: float) -> str:
    """Bytes: 950 B, 1.2 kB, 34.5 MB."""
    for unit_size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit_size * 0.99995:
            return f"{number / unit_size:.1f} {unit}"
    return f"{number:.0f} B"


def duration(ms: float) -> str:
    """A time span that is given in milliseconds: 850 ms, 1.2 s, 2 m 5 s, 1 h 12 m, 2 d 3 h."""
    if 0 < ms < 0.5:
        return "<1 ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 99_950:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    if seconds < HOUR_S:
        return f"{seconds // 60} m {seconds % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} m"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"


def counted(number: int, noun: str) -> str:
    """`1 call`, `2 calls`, `1,204 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
