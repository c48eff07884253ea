"""However the network cuts a recorded stream, it is the same call; cut short, a shorter one."""

import random

import pytest

from agenttrace_mitm.providers import understand
from tests import corpus_cases as corpus

from .streams import Cutter, sample, smallest, streams

pytestmark = pytest.mark.skipif(
    corpus.corpus_folder() is None, reason="the corpus of recorded traffic is not here"
)


@pytest.fixture
def cutter(monkeypatch):
    return Cutter(monkeypatch)


def test_the_smallest_streams_cover_every_dialect():
    covered = {dialect for _, dialect in smallest()}
    assert covered == {dialect for _, dialect in streams()}
    assert len(smallest()) == 50


@pytest.mark.parametrize("nth", range(50))
def test_a_cut_anywhere_changes_nothing(nth, cutter):
    """At every byte boundary of the smallest streams: the two parts are the same call."""
    record, _ = smallest()[nth]
    exchange = corpus.exchange(record)
    length = len(corpus.response_bytes(record))
    whole = understand(exchange)
    for cut in sample(random.Random(nth), range(1, length), 100):
        cutter.cuts = (cut,)
        assert understand(exchange) == whole, (record["id"], cut)
    cutter.cuts = range(1, length)
    cutter.fed = 0
    assert understand(exchange) == whole, record["id"]
    assert cutter.fed == length or record["content_encoding"]


def test_random_cuts_change_nothing(cutter):
    """Many pieces of any size, in all streams."""
    dice = random.Random(11)
    for record, _ in _some(250):
        exchange = corpus.exchange(record)
        whole = understand(exchange)
        length = len(corpus.response_bytes(record))
        for _ in range(3):
            cutter.cuts = dice.sample(range(1, length + 1), min(length, dice.randrange(1, 60)))
            assert understand(exchange) == whole, (record["id"], cutter.cuts)


def _some(wanted):
    return [streams()[n] for n in sample(random.Random(wanted), range(len(streams())), wanted)]


@pytest.mark.parametrize("nth", range(50))
def test_a_stream_cut_short_tells_the_beginning(nth):
    """Truncated at every byte of the smallest streams: a prefix of the text, never an error."""
    record, _ = smallest()[nth]
    length = len(corpus.response_bytes(record))
    _tells_the_beginning(record, sample(random.Random(nth), range(length), 100))


def test_any_stream_cut_short_tells_the_beginning():
    """At a few random bytes of every stream."""
    dice = random.Random(12)
    for record, _ in _some(500):
        length = len(corpus.response_bytes(record))
        _tells_the_beginning(record, dice.sample(range(length), min(length, 4)))


def _tells_the_beginning(record, ends):
    whole = understand(corpus.exchange(record))
    for end in ends:
        cut = understand(corpus.exchange(record, until=end))
        where = (record["id"], end)
        assert whole.reply.text.startswith(cut.reply.text), where
        assert (cut.dialect, cut.operation, cut.kind) == (
            whole.dialect,
            whole.operation,
            whole.kind,
        )
        assert cut.ask == whole.ask, where
        assert len(cut.reply.tool_calls) <= len(whole.reply.tool_calls), where
        if cut.reply.usage.source == "reported" and not cut.reply.complete:
            assert cut.reply.usage == whole.reply.usage, where
