"""Latency histograms: what goes in comes out, near enough, and they add up."""

import pytest

from agenttrace_mitm.store import histograms


@pytest.mark.parametrize("ms", [0.0, 0.4, 1.0, 1.049, 17.0, 6360.2, 600_000.0, 1e9])
def test_buckets_are_near(ms) -> None:
    """A bucket's middle is at most 2.5 % off, from a millisecond on."""
    told = histograms.latency_of(histograms.bucket_of(ms))
    assert told == pytest.approx(max(ms, 1.0), rel=0.026)


def test_histograms_add_up() -> None:
    """Calls in the same bucket are counted, others kept apart, and storing changes nothing."""
    added = sum(histograms.of(ms) for ms in (0.5, 100, 100.1, 5_000, 5_000, 5_000))
    expected = [(0, 1), (histograms.bucket_of(100), 2), (histograms.bucket_of(5_000), 3)]
    assert list(histograms.counts(added)) == expected
    assert histograms.unpack(histograms.pack(added)) == added


def test_nothing_is_stored_for_no_calls() -> None:
    """NULL, not an empty histogram."""
    assert histograms.pack(0) is None
    assert histograms.unpack(None) == 0
    assert list(histograms.counts(0)) == []
