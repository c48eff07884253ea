"""Completions in OpenAI's oldest shapes: texts and edits."""

import pytest

from agenttrace_mitm.model import TextPart

from .exchanges import told


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
