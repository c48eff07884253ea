"""Sparks and the colours of names."""

import re

import pytest

from datasette_agenttrace import charts
from tests.datasette_agenttrace.scene import COSTS, NOON
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
