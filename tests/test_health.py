"""What processes say of themselves, and who hears it."""

import asyncio

from agenttrace_mitm import health


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
