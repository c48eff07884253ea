"""Conversations of one process that look alike: what tells them apart, and what does not."""

from .talks import Json, Recording, says, tool_result, tool_use, user

DRAWN = "toolu_01VLwCjyU7u928EqHmMRvow8"


def test_an_equal_prompt_alone_is_nobodys_continuation_twice() -> None:
    """Two prompts that begin alike and repeat no reply are two conversations."""
    talk = Recording()
    asked = [user("Score this title.")]
    talk.call(asked, says("Four."))
    first = talk.call([*asked, user("Once more.")], says("Five."))
    other = talk.call([*asked, user("And now in words.")], says("Five, in words."))
    assert talk.of(first, "thread_id") != first
    assert talk.of(other, "continues_call_id") is None
    assert talk.of(other, "thread_id") == other


def test_a_retold_reply_is_the_same_callers() -> None:
    """Another reply after the same prompt: edited by this program, or from another one."""
    talk = Recording()
    asked = [user("What is the capital of France?")]
    first = talk.call(asked, says("It is Paris."))
    told = [*asked, says("Paris, of course!"), user("And of Spain?")]
    other = talk.call(told, says("Madrid."), user_agent="another/1.0")
    same = talk.call(told, says("Madrid."))
    assert talk.of(other, "continues_call_id") is None
    assert (talk.of(same, "continues_call_id"), talk.of(same, "history")) == (first, "edited")


def test_a_turn_that_calls_tools_is_no_turn_that_called_none() -> None:
    talk = Recording()
    asked = [user("What is the capital of France?")]
    talk.call(asked, says("It is Paris."))
    told = [*asked, tool_use("1", "capital", of="France"), tool_result("1", "Paris")]
    assert talk.of(talk.call(told, says("Paris.")), "continues_call_id") is None


def test_a_tool_call_of_another_reply_is_not_this_ones() -> None:
    """The id says which reply made it, however equal name and arguments are."""
    talk = Recording()
    asked = [user("Can I get a refund?")]
    mine = talk.call(asked, tool_use(DRAWN, "policy", about="refunds"), system="One.")
    asked_too = [user("Can I get a refund?"), user("Now!")]
    other_id = DRAWN[::-1]
    talk.call(asked_too, tool_use(other_id, "policy", about="refunds"), system="One.", pid=8)
    told = [*asked, tool_use(other_id, "policy", about="refunds"), tool_result(other_id, "Yes.")]
    later = talk.call(told, says("Yes."), system="One.")
    assert talk.of(later, "continues_call_id") != mine


def test_examples_in_a_prompt_answer_no_tool_call() -> None:
    """A program that writes its history itself uses ids of its own."""
    talk = Recording()
    made = talk.call([user("Weather?")], tool_use(DRAWN, "weather", city="Paris"))
    talk.call([tool_use("1", "weather", city="Paris"), tool_result("1", "Rain.")], says("Rain."))
    answered = "select answered_by_call_id from tool_calls where call_id = ?"
    assert talk.row(answered, made) == (None,)


def test_a_dropped_parallel_call_is_answered_by_an_equal_one() -> None:
    """A client that runs one call of several: the model asks again, and the result counts twice."""
    talk = Recording()
    both = [tool_use(id_, "count", value=value) for id_, value in (("a", "one"), ("b", "two"))]
    parallel: Json = {"role": "assistant", "content": [b["content"][0] for b in both]}
    asked = [user("Count to two.")]
    first = talk.call(asked, parallel)
    asked += [both[0], tool_result("a", "1")]
    talk.call(asked, tool_use("c", "count", value="two"))
    asked += [tool_use("c", "count", value="two"), tool_result("c", "2")]
    talk.call(asked, says("Nearly."))
    dropped = "select answered_by_call_id, how, result from tool_calls where tool_call_id = 'b'"
    assert talk.row(dropped) == (None, None, None)
    last = talk.call([*asked, says("Nearly."), user("Go on.")], says("Two."))
    assert talk.row(dropped) == (last, "equal_call", "2")
    assert talk.of(last, "thread_id") == first
