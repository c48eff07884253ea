"""Figures in the sentences of alerts."""

SUBJECTS = {"all": "all calls", "": "(unknown)"}


def usd(nano_usd: float) -> str:
    """Dollars, with cents; more digits below a dollar."""
    dollars = nano_usd / 1e9
    return f"${dollars:,.2f}" if dollars >= 1 or dollars == 0 else f"${dollars:.4f}"


def percent(share: float) -> str:
    """A share of 1 as per cent: `3.6 %`, `20 %`, `119 %`; only nothing is `0 %`."""
    number = 100 * share
    if number < 0.1:
        return f"{number:.1g} %"
    return f"{number:.{0 if number >= 99.95 else 1}f}".removesuffix(".0") + " %"


def minutes(number: float) -> str:
    """A duration that is given in minutes."""
    if number >= 2 * 1440:
        return f"{number / 1440:.0f} days"
    if number >= 120:
        return f"{number / 60:.3g} hours"
    return f"{number:.0f} min"


def duration(ms: float) -> str:
    """Milliseconds below a second, seconds below two minutes, minutes above."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 120_000 else minutes(ms / 60_000)


def ordinal(number: float) -> str:
    """`95th`, `91st`, `99.9th`."""
    said = f"{number:g}"
    if said[-2:] in ("11", "12", "13") or "." in said:
        return f"{said}th"
    return said + {"1": "st", "2": "nd", "3": "rd"}.get(said[-1], "th")


def count(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def about(subject: str) -> str:
    """The subject at the head of a sentence."""
    return SUBJECTS.get(subject, subject)
