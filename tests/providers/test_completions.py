"""Completions in OpenAI's oldest shapes: texts and edits."""

import pytest

from agenttrace_mitm.model import TextPart

from .exchanges import sse, told


def test_an_edit_is_a_completion_of_a_text_and_what_to_do_with_it():
    asked = {"model": "edits-x", "input": "Helo", "instruction": "Fix the spelling."}
    answer = {
        "object": "edit",
        "created": 1,
        "choices": [{"text": "Hello", "index": 0}],
        "usage": {"prompt_tokens": 25, "completion_tokens": 32, "total_tokens": 57},
    }
    understood = told("openai", "/v1/edits", answer, asked)
    assert (understood.dialect, understood.kind) == ("openai.completions", "llm")
    assert understood.operation == "text_completion"
    assert understood.ask.model == "edits-x"
    [said] = understood.ask.messages
    assert said.parts == (TextPart("Helo"), TextPart("Fix the spelling."))
    assert (understood.reply.text, understood.reply.notes) == ("Hello", ())
    assert understood.reply.usage.total_tokens == 57


@pytest.mark.parametrize("path", ["images/edits", "videos/edits"])
def test_edits_of_media_are_not_completions(path):
    assert told("openai", f"/v1/{path}", {}, {}).dialect != "openai.completions"


def piece(text, written, finish=None, **more):
    choice = {"index": 0, "text": text, "finish_reason": finish}
    counted = {"prompt_tokens": 5, "completion_tokens": written, "total_tokens": 5 + written}
    return {"id": "cmpl-1", "model": "m", "choices": [choice], "usage": counted, **more}


def test_counts_that_run_along_are_partial_until_the_end():
    begun, ended = piece("a", 1), piece("b", 2, "stop")
    last = {"id": "cmpl-1", "model": "m", "choices": [], "usage": begun["usage"]}
    for events, source in [
        ((begun,), "partial"),
        ((begun, ended), "reported"),
        ((begun, last), "reported"),
        ((begun, "[DONE]"), "reported"),
    ]:
        told_of = told("vllm", "/v1/completions", sse(*events), complete=False)
        assert told_of.reply.usage.source == source


def test_an_empty_name_in_a_later_chunk_takes_none_back():
    stream = sse(piece("a", 1, "stop"), {"id": "", "model": "", "choices": []}, "[DONE]")
    reply = told("azure", "/v1/completions", stream).reply
    assert (reply.response_id, reply.model) == ("cmpl-1", "m")
