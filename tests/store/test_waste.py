"""Views of what was paid for nothing."""

from typing import Any

import pytest

from agenttrace_mitm.store.caches import breaks

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
        ({}, "unseen"),
        ({"prompt_id": None}, "system or tools"),
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
    assert talk.row("select changed from broken_caches") == ("unseen",)


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
    # 10 tokens in at 3 dollars a million and 5 out at 15; 30,000 characters are 7,500 tokens.
    assert talk.row("select cost_usd from repeated_tool_calls") == pytest.approx((105e-6,))
    read = talk.row("select distinct estimated_cost_usd from large_tool_results")
    assert read == pytest.approx((7500 * 3e-6,))


def test_calls_of_a_subscription_cost_nothing_in_money() -> None:
    talk = Recording()
    asked = [user("Read it.")]
    for id_ in ("a", "b"):
        call = tool_use(id_, "read", path="x.py")
        talk.call(asked, call)
        asked = [*asked, call, tool_result(id_, "x" * 30_000)]
    talk.call(asked, says("Read."))
    talk.db.execute("update llm_calls set billing = 'subscription'")
    assert talk.row("select times, cost_usd from repeated_tool_calls") == (2, None)
    assert talk.row("select distinct estimated_cost_usd from large_tool_results") == (None,)


def _tool(name: str) -> dict[str, Any]:
    return {"name": name, "description": f"Does {name}.", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("second", "changed"),
    [
        ({"tools": [_tool("read"), _tool("write")]}, "tools"),
        ({"system": "You help well."}, "system"),
        ({}, "unseen"),
    ],
)
def test_versions_of_prompts_say_who_broke_a_cache(second: dict[str, Any], changed: str) -> None:
    talk = Recording()
    asked = [user("Look around, please.")]
    told = [*asked, says("I do, and I say so at length."), user("Go on.")]
    first = {"system": "You help.", "tools": [_tool("read")]}
    one = talk.call(asked, says("I do, and I say so at length."), **first)
    later = talk.call(told, says("Done."), **(first | second))
    _counts(talk, one, cache_write_tokens=9000, tokens_in=9010)
    _counts(talk, later, cache_read_tokens=0, tokens_in=9100)
    assert talk.row("select id, changed from broken_caches") == (later, changed)
    [found] = breaks(talk.db)
    assert (found.changed, found.call_id, found.after_call_id) == (changed, later, one)
    if changed == "system":
        assert (found.position, found.role, found.before, found.after) == (
            0, "system", "You help.", "You help well.",
        )  # fmt: skip


def _counts(talk: Recording, call: str, **values: int) -> None:
    names = ", ".join(f"{name} = :{name}" for name in values)
    talk.db.execute(f"update llm_calls set {names} where id = :id", values | {"id": call})


def test_a_date_in_the_system_prompt_is_found_out() -> None:
    """It is no new version, and the cache is broken all the same."""
    talk = Recording()
    asked = [user("Look around, please.")]
    answer = says("I do look around, and I say so at length.")
    one = talk.call(asked, answer, system="You help. It is 2026-01-02 10:00:00.")
    told = [*asked, answer, user("Go on.")]
    later = talk.call(told, says("Done."), system="You help. It is 2026-01-02 10:00:09.")
    _counts(talk, one, cache_write_tokens=9000, tokens_in=9010)
    _counts(talk, later, cache_read_tokens=0, tokens_in=9100)
    [found] = breaks(talk.db)
    assert found.changed == "system"
    assert found.before == "You help. It is 2026-01-02 10:00:00."


def test_an_edited_message_is_shown() -> None:
    talk = Recording()
    answer = says("It is a long answer, so that it can be told from all others that there are.")
    asked = [user("Read the first file."), answer, user("And the second?")]
    one = talk.call(asked, says("That one is longer, and says a lot about the sea."))
    second = says("That one is longer, and says a lot about the sea.")
    edited = [user("Read the FIRST file."), answer, user("And the second?"), second, user("Go on.")]
    later = talk.call(edited, says("Done."))
    _counts(talk, one, cache_write_tokens=9000, tokens_in=9010)
    _counts(talk, later, cache_read_tokens=0, tokens_in=9100)
    [found] = breaks(talk.db)
    assert (found.changed, found.position, found.role) == ("history", 1, "user")
    assert (found.before, found.after) == ("Read the first file.", "Read the FIRST file.")


def test_what_a_hit_would_have_spared() -> None:
    """9,000 tokens at 0.30 instead of 3.00 dollars a million; the rest is read anyhow."""
    talk, later = _pair(cache_write_tokens=None)
    [found] = breaks(talk.db)
    assert (found.tokens_lost, found.lost_nano_usd) == (9000, 9000 * 2700)
    _counts(talk, later, cache_write_tokens=9090)
    [found] = breaks(talk.db)
    assert found.lost_nano_usd == 9000 * (3750 - 300)


def test_tools_that_nobody_calls() -> None:
    talk = Recording()
    tools = [_tool("read"), _tool("write"), {"functionDeclarations": [{"name": "paint"}]}]
    for count in range(10):
        talk.call([user(f"Read {count}.")], tool_use(f"t{count}", "read", path="x"), tools=tools)
    rows = talk.db.execute("select name, calls, estimated_tokens > 0 from unused_tools")
    assert sorted(rows) == [("paint", 10, 1), ("write", 10, 1)]
    money = "select estimated_cost_usd, 10 * characters * 0.25 * 3e-6 from unused_tools"
    for told, computed in talk.db.execute(money):
        assert told == pytest.approx(computed)


def test_the_same_tool_call_in_a_row_is_a_loop() -> None:
    talk = Recording()
    asked = [user("Wait until it is there, please.")]
    for count, path in enumerate(("a", "a", "a", "b", "a")):
        call = tool_use(f"toolu_0123456789abc{count}", "read", path=path)
        talk.call(asked, call)
        asked = [*asked, call, tool_result(f"toolu_0123456789abc{count}", "no such file")]
    assert talk.row("select name, times, results from tool_loops") == ("read", 3, 1)
    assert talk.row("select cost_usd from tool_loops") == pytest.approx((2 * 105e-6,))
