"""A call's time as a bar: waiting, thinking until the first word, writing."""

from agenttrace_mitm.model import LlmCall

from ..asking import Value

WIDTH = 1000.0
TICKS = 400


class Stretch(Value):
    """A part of the bar."""

    name: str
    colour: str
    x: float
    width: float
    ms: float


class Timing(Value):
    """The bar, and where pieces of the reply arrived."""

    stretches: tuple[Stretch, ...]
    ticks: tuple[float, ...]


def timing(call: LlmCall, arrivals: tuple[tuple[int, int], ...]) -> Timing | None:
    """How the time of *call* was spent; None while it runs."""
    total = call.latency_ms
    if not total or total <= 0:
        return None
    first_byte = _within(call.ttfb_ms, 0, total)
    first_word = _within(call.ttft_ms, first_byte or 0, total)
    ends = [
        ("to the first byte", "c4", first_byte),
        ("to the first content", "c3", first_word),
        ("to the end", "c0", total),
    ]
    stretches: list[Stretch] = []
    start = 0.0
    for name, colour, end in ends:
        if end is not None:
            x, width = WIDTH * start / total, WIDTH * (end - start) / total
            # Each goes on where the one before ended.
            words = f"then {name}" if stretches else name
            stretches.append(
                Stretch(
                    name=words, colour=colour, x=round(x, 2), width=round(width, 2), ms=end - start
                )
            )
            start = end
    places = sorted({round(WIDTH * us / 1000 / total, 1) for us, _ in arrivals})
    ticks = places[:: max(1, len(places) // TICKS)]
    return Timing(stretches=tuple(stretches), ticks=tuple(x for x in ticks if 0 <= x <= WIDTH))


def _within(ms: float | None, low: float, high: float) -> float | None:
    return None if ms is None else min(max(ms, low), high)
