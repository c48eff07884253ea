"""Views of what was paid for nothing."""

from typing import Any

import pytest

from ..traces.talks import Recording, says, tool_result, tool_use, user


def _pair(**second: Any) -> tuple[Recording, str]:
    """Two calls of one conversation; the first wrote a cache, the second is as given."""
    talk = Recording()
    asked = [user("Look around, please.")]
    first = talk.call(asked, says("I do."))
    later = talk.call([*asked, says("I do."), user("Go on.")], says("Done."))
    update = "update llm_calls set {} where id = ?"
    talk.db.execute(update.format("cache_write_tokens = 9000, tokens_in = 9010"), (first,))
    values = {"cache_read_tokens": 0, "tokens_in": 9100} | second
    names = ", ".join(f"{name} = :{name}" for name in values)
    talk.db.execute(f"update llm_calls set {names} where id = :id", values | {"id": later})
    return talk, later


@pytest.mark.parametrize(
    ("second", "changed"),
    [
        ({}, "system or tools"),
        ({"response_model": "another"}, "model"),
        ({"history": "edited"}, "history"),
        ({"started_us": 1_760_001_000_000_000}, "time"),
    ],
)
def test_a_cache_that_did_not_hit_says_what_changed(second: dict[str, Any], changed: str) -> None:
    talk, later = _pair(**second)
    row = talk.row("select id, tokens_lost, changed from broken_caches")
    assert row == (later, 9000, changed)


def test_a_cache_that_hit_is_not_broken() -> None:
    talk, _ = _pair(cache_read_tokens=9000)
    assert talk.row("select count(*) from broken_caches") == (0,)


def test_a_cache_of_an_hour_outlives_a_pause_of_ten_minutes() -> None:
    """It is not time that broke it."""
    talk, _ = _pair(started_us=1_760_000_600_000_000)
    assert talk.row("select changed from broken_caches") == ("time",)
    talk.db.execute("""update llm_calls set usage_detail = '{"cache_write_1h": 9000}'""")
    assert talk.row("select changed from broken_caches") == ("system or tools",)


def test_the_same_tool_call_again_and_a_large_result() -> None:
    talk = Recording()
    asked = [user("Read it.")]
    for id_ in ("a", "b"):
        call = tool_use(id_, "read", path="x.py")
        talk.call(asked, call)
        asked = [*asked, call, tool_result(id_, "x" * 30_000)]
    talk.call(asked, says("Read."))
    assert talk.row("select name, times, results from repeated_tool_calls") == ("read", 2, 1)
    assert talk.row("select count(*), max(characters) from large_tool_results") == (2, 30_000)
