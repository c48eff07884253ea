"""A provider that moves is noticed: what is new leaves a note, what is known leaves none."""

import pytest

from agenttrace_mitm.providers import ADAPTERS, understand
from agenttrace_mitm.providers.administration import ADMINISTRATION
from agenttrace_mitm.providers.known_names import UNJUDGED, VOCABULARIES
from agenttrace_mitm.providers.vocabulary import MOST_NOTES

from ..corpus_cases import PROVIDERS, corpus_folder, exchange, records
from ..support.dialects import TWINS
from .exchanges import sse, told

CHAT = {"id": "c", "object": "chat.completion", "model": "m"}
ANSWER = [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]


def chat(**more):
    return told("openai", "/v1/chat/completions", CHAT | {"choices": ANSWER} | more).reply.notes


def test_a_new_field_is_noted():
    assert chat(sparkle=1) == ("unknown field: sparkle",)


def test_a_new_usage_field_is_noted_with_its_path():
    spent = {"prompt_tokens": 1, "prompt_tokens_details": {"smell_tokens": 2}}
    assert chat(usage=spent) == ("unknown field: usage.prompt_tokens_details.smell_tokens",)


def test_a_new_finish_reason_is_noted():
    assert chat(choices=[ANSWER[0] | {"finish_reason": "bored"}]) == (
        "unknown finish reason: bored",
    )


def test_a_new_event_is_noted_once():
    done = {"type": "response.completed", "response": {"id": "r", "status": "completed"}}
    stream = sse({"type": "response.sang"}, {"type": "response.sang"}, done, named=True)
    notes = told("openai", "/v1/responses", stream).reply.notes
    assert notes == ("unknown event: response.sang",)


def test_a_new_content_block_is_noted():
    body = {"type": "message", "role": "assistant", "content": [{"type": "hologram", "z": 1}]}
    assert told("anthropic", "/v1/messages", body).reply.notes == ("unknown part: hologram",)


def test_names_that_may_be_content_are_not_repeated():
    assert chat(**{"my secret is 42, dear": 1}) == ("unknown field: ?",)


def test_a_flood_of_new_names_is_bounded():
    assert len(chat(**{f"f{n}": n for n in range(100)})) == MOST_NOTES


def test_the_fields_of_an_error_are_not_judged():
    failed = {"error": {"message": "no"}, "whatever": 1}
    assert told("openai", "/v1/chat/completions", failed, status=500).reply.notes == ()


def test_every_dialect_of_model_calls_is_judged():
    """A new adapter says what its wire is known to say, or why nobody can."""
    kept = {adapter.dialect for adapter in ADMINISTRATION}
    calls = {adapter.dialect for adapter in ADAPTERS} - kept
    assert calls - VOCABULARIES.keys() - UNJUDGED == set()
    assert not UNJUDGED & VOCABULARIES.keys()


NEWS = {
    "cohere.embed": ("cohere", "/v2/embed", {"id": "e", "embeddings": {}, "sparkle": 1}),
    "openai.embeddings": ("openai", "/v1/embeddings", {"data": [], "sparkle": 1}),
    "ollama.chat": ("ollama", "/api/chat", {"model": "m", "done": True, "sparkle": 1}),
    "bedrock.converse": ("bedrock", "/model/m/converse", {"stopReason": "x", "sparkle": 1}),
    "mistral.ocr": ("mistral", "/v1/ocr", {"pages": [], "sparkle": 1}),
    "gemini.interactions": ("google", "/v1beta/interactions", {"id": "i", "sparkle": 1}),
}


@pytest.mark.parametrize("dialect", NEWS)
def test_smaller_dialects_are_judged_too(dialect):
    understood = told(*NEWS[dialect])
    assert understood.dialect == dialect
    assert "unknown field: sparkle" in understood.reply.notes


@pytest.mark.parametrize("twin", TWINS, ids=str)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_documented_is_no_news(twin, streamed):
    notes = understand(twin.exchange(streamed=streamed)).reply.notes
    assert [note for note in notes if note.startswith("unknown")] == []


@pytest.mark.skipif(corpus_folder() is None, reason="the corpus is not here")
def test_recorded_traffic_is_known():
    """Almost nothing that these providers really sent is news, or the notes would be noise."""
    noted, seen = 0, 0
    for record in records((*PROVIDERS, "other_hosts")):
        seen += 1
        notes = understand(exchange(record)).reply.notes
        noted += any(note.startswith("unknown") for note in notes)
    assert seen > 1000
    assert noted < seen * 0.005
