"""How a call ended: what was said to the end, what failed without an error, what an error says."""

import pytest
from msgspec.structs import replace

from agenttrace_mitm.providers import understand
from agenttrace_mitm.told import outcome

from .exchanges import exchange, sse

CHAT = "/v1/chat/completions"
COUNTED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(content="", finish=None, index=0, **more):
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], **more}


def ended(provider, target, response, *, cut=False, **more):
    """What such an exchange meant, and how it ended."""
    came = exchange(provider, target, response, complete=not cut, **more)
    came = replace(came, ending="upstream_left") if cut else came
    reply = understand(came).reply
    return reply, outcome(came, reply)


# --- Streams whose last word is missing --------------------------------------------------------

SPOKEN = sse(chunk("Hi"), chunk(finish="stop"), {"choices": [], "usage": COUNTED})


@pytest.mark.parametrize("last", [b"", b"data: [DONE] \n\n", b"data:[DONE]\t\n\n"])
def test_who_said_why_it_ended_and_closed_properly_has_ended(last):
    reply, how = ended("vllm", CHAT, SPOKEN + last)
    assert (how, reply.complete, reply.finish_reason) == ("ok", True, "stop")
    assert (reply.usage.output_tokens, reply.usage.source) == (2, "reported")
    assert not reply.notes


def test_a_transport_that_was_cut_is_no_end():
    reply, how = ended("vllm", CHAT, SPOKEN, cut=True)
    assert (how, reply.complete, reply.finish_reason) == ("interrupted", False, "stop")
    assert ended("vllm", CHAT, SPOKEN + b"data: [DONE] \n\n", cut=True)[1] == "ok"


def test_every_choice_has_to_say_why_it_ended():
    one = sse(chunk("Hi"), chunk("Ho", index=1), chunk(finish="stop"))
    assert ended("vllm", CHAT, one)[1] == "interrupted"
    assert ended("vllm", CHAT, one + sse(chunk(finish="length", index=1)))[1] == "ok"
    assert ended("vllm", CHAT, sse({"choices": [], "prompt_filter_results": []}))[1] == (
        "interrupted"
    )


def test_an_empty_word_is_no_end_and_takes_none_back():
    empty = chunk("Hi", finish="", usage=COUNTED)
    reply, how = ended("vllm", CHAT, sse(empty))
    assert (how, reply.usage.source) == ("interrupted", "partial")
    reply, how = ended("vllm", CHAT, sse(empty, chunk(finish="stop"), chunk(finish="")))
    assert (how, reply.finish_reasons, reply.usage.source) == ("ok", ("stop",), "reported")


def test_text_completions_may_leave_out_their_end_too():
    def piece(text, finish):
        return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}

    stream = sse(piece("Hi", ""), piece("", "stop"), piece("", ""))
    reply, how = ended("vllm", "/v1/completions", stream)
    assert (how, reply.text, reply.finish_reason) == ("ok", "Hi", "stop")
    assert ended("vllm", "/v1/completions", sse(piece("Hi", "")))[1] == "interrupted"
    assert ended("vllm", "/v1/completions", stream, cut=True)[1] == "interrupted"
