"""How long something took, as people read it: the same on the pages and in a terminal."""

HOUR_S = 3_600


def said(ms: float) -> str:
    """A time span that is given in milliseconds: 850 ms, 1.2 s, 2 m 5 s, 1 h 12 m, 2 d 3 h."""
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
