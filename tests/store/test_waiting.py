"""The queue before the writer, and what is left of a record when there is no room for all of it."""

import threading

from agenttrace_mitm.model import Payload, StoredMedium
from agenttrace_mitm.store.waiting import BARE, Waiting, bare, weight
from tests.support.records import record


def test_it_is_bounded_by_what_its_items_take() -> None:
    """What the reader has in hand counts until it says that it is done."""
    waiting: Waiting[bytes] = Waiting(len, items=100, limit_bytes=1000)
    assert waiting.put(b"x" * 600)
    assert not waiting.put(b"x" * 600, timeout_s=0.01)
    assert waiting.put(b"x" * 400)
    items, ended = waiting.take(1, 1)
    assert (len(items), ended, waiting.count, waiting.bytes) == (1, False, 1, 1000)
    assert not waiting.put(b"x", timeout_s=0.01)
    assert waiting.lag_s > 0
    waiting.done(items)
    assert waiting.put(b"x" * 600)


def test_nothing_waits_when_all_is_done() -> None:
    """A lag that stays would be an alarm about nothing."""
    waiting: Waiting[bytes] = Waiting(len, items=2)
    for _ in range(3):
        waiting.put(b"a")
        waiting.put(b"b")
        assert not waiting.put(b"full", timeout_s=0)
        waiting.done(waiting.take(2, 1)[0])
    assert (waiting.lag_s, waiting.bytes, waiting.count) == (0.0, 0, 0)


def test_one_item_larger_than_the_bound_passes_alone() -> None:
    """Otherwise it would wait for ever."""
    waiting: Waiting[bytes] = Waiting(len, items=100, limit_bytes=10)
    assert waiting.put(b"x" * 50)
    assert not waiting.put(b"x", timeout_s=0.01)


def test_it_is_bounded_by_count() -> None:
    """And what was not taken is not counted."""
    waiting: Waiting[bytes] = Waiting(len, items=2, limit_bytes=1000)
    assert waiting.put(b"a")
    assert waiting.put(b"b")
    assert not waiting.put(b"c", timeout_s=0.01)
    assert waiting.bytes == 2


def test_a_full_one_goes_on_when_the_reader_does() -> None:
    """Whoever waits is woken."""
    waiting: Waiting[bytes] = Waiting(len, items=100, limit_bytes=10)
    waiting.put(b"x" * 10)
    put = threading.Event()

    def writer() -> None:
        waiting.put(b"y" * 10)
        put.set()

    threading.Thread(target=writer, daemon=True).start()
    items, _ = waiting.take(10, 1)
    waiting.done(items)
    assert put.wait(10)
    waiting.end()
    assert waiting.take(10, 1) == ([b"y" * 10], True)


def test_a_bare_record_keeps_figures_and_says_so() -> None:
    """Nothing that a person or a model said is left, all that is counted is."""
    one = record("a secret plan", tokens_in=3, notes=["odd"])
    medium = StoredMedium(sha256="0", mime_type="image/png", size=4, data=b"1234")
    payload = Payload(request_body=b"x" * 100, response_body=b"y" * 50, media=(medium,))
    one = one.model_copy(update={"payload": payload})
    assert weight(one) == 2 * len("a secret plan") + 100 + 50 + 4
    less = bare(one)
    assert "secret plan" not in less.model_dump_json(
        exclude={"messages": {"__all__": {"fingerprint"}}}
    )
    assert (less.call.tokens_in, less.call.notes) == (3, ["odd", BARE])
    assert (less.payload, weight(less)) == (None, 0)


def test_what_came_together_waits_until_there_is_room_for_all() -> None:
    """Unless nothing else waits: it has to pass some time."""
    waiting: Waiting[bytes] = Waiting(len, items=3, limit_bytes=10)
    assert waiting.put(b"a")
    assert not waiting.put_all([b"b", b"c", b"d"], timeout_s=0.01)
    assert waiting.put_all([b"b", b"c"])
    assert waiting.take(10, 1) == ([b"a", b"b", b"c"], False)
    assert waiting.bytes == 3
    waiting.done([b"a", b"b", b"c"])
    assert waiting.put_all([b"x"] * 20)
    assert (waiting.count, waiting.bytes) == (20, 20)
    assert not waiting.put(b"y", timeout_s=0.01)
