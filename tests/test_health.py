"""What processes say of themselves, and who hears it."""

import asyncio
import errno
from pathlib import Path

import pytest

from agenttrace_mitm import clock, health
from agenttrace_mitm.health import Health


def test_what_was_said_is_heard(tmp_path):
    """For the owner only, whole or not at all."""
    health.say(tmp_path, "a", {"x": 1}, {"part": {"up": 1}})
    health.say(tmp_path, "b", {"x": 2.5})
    first, second = health.heard(tmp_path)
    assert (first.name, first.figures, first.parts) == ("a", {"x": 1}, {"part": {"up": 1}})
    assert health.total([first, second], "x") == 3.5
    assert health.total([first], "y") is None
    for file in health.folder(tmp_path).iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_no_trouble(tmp_path):
    """A full disk must not end a process."""
    (tmp_path / "health").write_text("in the way")
    health.say(tmp_path, "a", {"x": 1})
    assert health.heard(tmp_path) == []


async def test_it_is_taken_back_at_the_end(tmp_path):
    """A process that is gone has nothing to say."""
    saying = asyncio.create_task(health.keep_saying(tmp_path, "a", lambda: {"x": 1}))
    async with asyncio.timeout(10):
        while not health.heard(tmp_path):
            await asyncio.sleep(0.01)
    saying.cancel()
    await asyncio.wait([saying])
    assert health.heard(tmp_path) == []


def test_a_full_disk_still_hears(tmp_path, monkeypatch):
    """No new file finds room; what is there is written over."""
    health.say(tmp_path, "a", {"x": 1}, trouble="the disk is on fire, and so is the proxy")

    def full(file, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    health.say(tmp_path, "a", {"x": 2}, trouble="the disk is full")
    [one] = health.heard(tmp_path)
    assert (one.figures, one.trouble) == ({"x": 2}, "the disk is full")


NOW = 1_900_000_000_000_000


def word(name, figures=None, parts=None, trouble="", ago_s=0):
    return Health(name, NOW - ago_s * 1_000_000, figures or {}, parts or {}, trouble)


def up(**parts):
    return word("supervisor", parts={name: {"up": float(one)} for name, one in parts.items()})


CAPTURE = word("capture-7", {"held_calls": 21, "running_calls": 1})


@pytest.mark.parametrize(
    ("said", "troubles"),
    [
        ([], []),
        ([word("recorder"), CAPTURE, up(recorder=True)], []),
        ([word("recorder", {"spooled_calls": 93}, trouble="the disk is full")],
         ["the disk is full: 93 calls wait in the spool"]),
        ([word("recorder", {"spooled_calls": 1}, trouble="the disk is full")],
         ["the disk is full: 1 call waits in the spool"]),
        ([word("recorder", {"spooled_calls": 1_000}, trouble="the disk is full"), CAPTURE],
         ["the disk is full: 1,020 calls wait in the spool and memory"]),
        ([word("recorder", ago_s=15), CAPTURE, up(recorder=True, capture=True)],
         ["the recorder has not been heard for 15 s: 20 calls wait in memory"]),
        ([word("recorder", ago_s=15), CAPTURE],
         ["the recorder has not been heard for 15 s: 20 calls wait in memory"]),
        ([CAPTURE, up(recorder=False)],
         ["the recorder process is down: 20 calls wait in memory"]),
        ([word("recorder"), up(recorder=True, capture=False)], ["the capture process is down"]),
        # The supervisor has not looked since they came up; one of two workers is up.
        ([word("recorder"), CAPTURE, up(recorder=False, capture=False)], []),
        ([word("recorder"), up(**{"recorder": True, "capture": False, "capture-2": True})], []),
        # Pages alone, in the home of a recorder that was killed days ago.
        ([word("recorder", ago_s=300_000), up(web=True)], []),
        ([word("recorder", ago_s=300_000, trouble="the disk is full")], []),
        ([word("recorder", {"lag_seconds": 12.3}), CAPTURE],
         ["the database has taken nothing for 12 s: 20 calls wait in memory"]),
    ],
)  # fmt: skip
def test_what_keeps_calls_from_being_recorded(monkeypatch, said, troubles):
    """A reason, and how many calls wait where."""
    monkeypatch.setattr(clock, "now_us", lambda: NOW)
    assert health.troubles(said) == troubles


def test_the_longest_wait_counts():
    """Of counts the sum does."""
    said = [word("a", {"lag_seconds": 2, "x": 2}), word("b", {"lag_seconds": 1, "x": 1})]
    assert (health.total(said, "lag_seconds"), health.total(said, "x")) == (2, 3)
    assert health.waiting(said) is None
