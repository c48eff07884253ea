"""Sparks and the colours of names."""

import re
from datetime import date, timedelta

import pytest

from datasette_agenttrace import charts
from tests.datasette_agenttrace.scene import CALLS, COSTS, NOON, fill
from tests.support import sample_db

pytestmark = pytest.mark.usefixtures("noon")


def test_a_spark_needs_something_to_show():
    assert charts.spark([], str) is charts.spark([0, None], str) is charts.spark([5], str) is None
    drawn = charts.spark([0, None, 10.0], str)
    assert drawn.line == "0.0,23.0 50.0,23.0 100.0,1.0"
    assert drawn.words == "up to 10.0, at last 10.0"


def test_a_name_keeps_its_colour():
    known = [f"m{n}" for n in range(8)]
    assert charts.colours(["m3", "m0"], known) == ["c3", "c0"]
    assert charts.colours(["m0", "m7", "m3"], known) == ["c0", "c7", "c3"]
    # Of nine, two have the same by their place: the dearer of them keeps it.
    many = [*known, "m8"]
    assert charts.colours(["m8", "m0", "m1"], many) == ["c0", "c1", "c2"]
    assert charts.colours(["m0", "m8"], many) == ["c0", "c1"]
    assert charts.colours(["a", "b"]) == ["c0", "c1"]
    assert len(set(charts.colours([f"x{n}" for n in range(8)], known))) == 8
    assert len(charts.colours([f"x{n}" for n in range(9)])) == 9


async def test_a_model_has_one_colour_on_all_pages_and_in_all_times(database, headers, serve):
    sample_db.build(database, end_us=NOON, days=30, calls_a_day=40)
    client = serve(database).client
    said = (await client.get(f"{COSTS}.json?range=90d", headers=headers)).json()
    models = set(said["choices"]["model"])
    found = {}
    for page in ("/costs", "/latency", ""):
        for time in ("7d", "30d", "90d"):
            html = (await client.get(f"/-/agenttrace{page}?range={time}", headers=headers)).text
            legends = re.findall(r'at-key at-(c\d)"></i>([^<]*)</li>', html)
            told = {name: colour for colour, name in legends if name in models}
            assert told
            for name, colour in told.items():
                found.setdefault(name, set()).add(colour)
    assert len(found) > 3
    assert {name: len(colours) for name, colours in found.items()} == dict.fromkeys(found, 1)


def test_a_piece_of_a_bar_says_what_it_is_a_piece_of():
    both = charts.stacked(
        ["mon", "tue"],
        [charts.Series("a", "c0", [1, 2]), charts.Series("b", "c1", [3, None])],
        "{:.0f}".format,
    )
    assert [bar.title for bar in both.bars] == ["mon · a: 1 of 4", "mon · b: 3 of 4", "tue · a: 2"]


def _days(number):
    """So many days to the thirtieth of November."""
    last = date(2026, 11, 30)
    return [str(last - timedelta(days=back)) for back in reversed(range(number))]


@pytest.mark.parametrize(
    "number, said",
    [
        (0, []),
        (1, ["Nov 30"]),
        (7, ["Nov 24", "Nov 25", "Nov 26", "Nov 27", "Nov 28", "Nov 29", "Nov 30"]),
        (30, ["Nov 2", "Nov 6", "Nov 10", "Nov 14", "Nov 18", "Nov 22", "Nov 26", "Nov 30"]),
        (90, ["Sep 7", "Sep 21", "Oct 5", "Oct 19", "Nov 2", "Nov 16", "Nov 30"]),
        (366, ["Dec 2025", "Feb 2026", "Apr 2026", "Jun 2026", "Aug 2026", "Oct 2026", "Nov 2026"]),
    ],
)
def test_an_axis_says_its_days(number, said):
    assert [tick.words for tick in charts.ticks(_days(number))] == said


@pytest.mark.parametrize("number", range(1, 733, 5))
def test_an_axis_has_no_more_words_than_room(number):
    ticks = charts.ticks(_days(number))
    assert 1 <= len(ticks) <= 8
    assert ticks[-1].x == pytest.approx(100 * (number - 0.5) / number, abs=0.01)


def test_an_axis_says_its_hours():
    ticks = charts.ticks([f"2026-11-30T{hour:02d}:00Z" for hour in range(24)])
    assert [tick.words for tick in ticks] == [f"{hour:02d}:00" for hour in range(0, 24, 3)]
    assert charts.ticks(["call 1", "call 2"]) == ()


@pytest.mark.parametrize("number", [24, 30, 90, 732])
def test_lonely_bars_are_wide_enough_to_see_and_no_two_touch(number):
    def bars(*filled):
        values = [1 if place in filled else None for place in range(number)]
        return charts.stacked(_days(number), [charts.Series("a", "c0", values)], str).bars

    for alone in (0, number // 2, number - 1):
        [bar] = bars(alone)
        assert bar.width == 40
        assert 0 <= bar.x <= charts.WIDTH - 40
    for apart in range(1, 20):
        for left in (0, number // 2 - 10, number - 1 - apart):
            one, other = bars(left, left + apart)
            assert one.x >= 0
            assert one.x + one.width < other.x
            assert other.x + other.width <= charts.WIDTH
    assert len({bar.width for bar in bars(0, 5, 6)}) == 1
    assert bars(3, 4)[0].width == pytest.approx(820 / number, abs=0.01)


async def test_overview_and_latency_say_when(database, headers, serve):
    fill(database, *CALLS)
    client = serve(database).client
    for page in ("", "/latency"):
        html = (await client.get(f"/-/agenttrace{page}?range=30d", headers=headers)).text
        axes = re.findall('<svg class="at-axis".*?</svg>', html)
        assert axes
        for axis in axes:
            assert re.findall(">([^<]+)</text>", axis)[-2:] == ["Nov 16", "Nov 20"]
