"""Figures as people read them: on the pages, in a terminal, in an alert."""

import pytest

from agenttrace_mitm import figures


@pytest.mark.parametrize(
    "nano, text",
    [
        (0, "$0"), (1, "<$0.0001"), (4_200_000, "$0.0042"), (99_940_000, "$0.0999"),
        (99_990_000, "$0.10"), (580_000_000, "$0.58"), (12_300_000_000, "$12.30"),
        (999_999_000_000, "$1,000"), (1_234_500_000_000, "$1,234"),
        (-4_200_000, "\N{MINUS SIGN}$0.0042"), (-1, "\N{MINUS SIGN}<$0.0001"),
    ],
)  # fmt: skip
def test_money(nano, text):
    assert figures.usd(nano) == text


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "$0.00"), (6_375, "$0.000006375"), (4_200_000, "$0.0042"),
     (-12_300_000_000, "\N{MINUS SIGN}$12.30"), (1_234_500_000_001, "$1,234.500000001")],
)  # fmt: skip
def test_dollars_to_the_last_digit(nano, text):
    assert figures.exact_usd(nano) == text


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0%"), (0.0003, "0.03%"), (0.0303, "3%"), (0.0357, "3.6%"), (0.0994, "9.9%"),
     (0.125, "12.5%"), (0.9996, "99.9%"), (1, "100%"), (1.0002, "100.1%"), (1.1945, "119%"),
     (1e-7, "<0.01%"), (-0.5, "\N{MINUS SIGN}50%")],
)  # fmt: skip
def test_a_share_is_said_to_a_tenth(share, said):
    """Only nothing is 0%, and only all is 100%."""
    assert figures.percent(share) == said


@pytest.mark.parametrize(
    "number, text",
    [(0, "0"), (0.04, "0.04"), (2.5, "2.5"), (950, "950"), (1234, "1.2k"), (999_960, "1.0M"),
     (150_000, "150k"), (34_540_000, "34.5M"), (2e9, "2.0B")],
)  # fmt: skip
def test_counts(number, text):
    assert figures.compact(number) == text


@pytest.mark.parametrize(
    "number, text",
    [
        (0, "0 B"),
        (950, "950 B"),
        (1234, "1.2 kB"),
        (999_960, "1.0 MB"),
        (2e9, "2.0 GB"),
        (1e12, "1.0 TB"),
    ],
)
def test_bytes(number, text):
    assert figures.size(number) == text


@pytest.mark.parametrize(
    "ms, text",
    [(0, "0 ms"), (0.4, "<1 ms"), (850, "850 ms"), (999.6, "1.0 s"), (1234, "1.2 s"),
     (125_000, "2 m 5 s"), (126_145_300, "35 h 2 m"), (183_700_000, "2 d 3 h")],
)  # fmt: skip
def test_durations(ms, text):
    assert figures.duration(ms) == text


@pytest.mark.parametrize("number, text", [(0, "0 calls"), (1, "1 call"), (1204, "1,204 calls")])
def test_things_that_are_counted(number, text):
    assert figures.counted(number, "call") == text
