"""Words in the sentences of alerts."""

SUBJECTS = {"all": "all calls", "": "(unknown)"}


def minutes(number: float) -> str:
    """A duration that is given in minutes."""
    if number >= 2 * 1440:
        return f"{number / 1440:.0f} days"
    if number >= 120:
        return f"{number / 60:.3g} hours"
    return f"{number:.0f} min"


def ordinal(number: float) -> str:
    """`95th`, `91st`, `99.9th`."""
    said = f"{number:g}"
    if said[-2:] in ("11", "12", "13") or "." in said:
        return f"{said}th"
    return said + {"1": "st", "2": "nd", "3": "rd"}.get(said[-1], "th")


def about(subject: str) -> str:
    """The subject at the head of a sentence."""
    return SUBJECTS.get(subject, subject)
