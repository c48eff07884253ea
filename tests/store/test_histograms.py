"""Latency histograms: what goes in comes out, near enough, and they add up."""

import math

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


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("calls", [1, 2, 20, 101])
def test_quantiles_are_the_buckets_of_the_calls(share, calls) -> None:
    """By nearest rank, as if all calls were sorted."""
    took = sorted(7.0 * 1.13 ** (i * 37 % 60) for i in range(calls))
    rank = math.ceil(round(share * calls, 6)) - 1
    expected = histograms.latency_of(histograms.bucket_of(took[rank]))
    assert histograms.quantiles(sum(map(histograms.of, took)), 0.5, share)[1] == expected


def test_nothing_is_stored_for_no_calls() -> None:
    """NULL, not an empty histogram."""
    assert histograms.pack(0) is None
    assert histograms.unpack(None) == 0
    assert list(histograms.counts(0)) == []
    assert histograms.quantiles(0, 0.5, 0.95) == (None, None)
