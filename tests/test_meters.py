"""What the wire counts, down to the price: meters that are easily lost on the way.

Each test sends an answer as its provider writes it and reads the row that it becomes.
"""

import json

import pytest
from msgspec.structs import replace

from tests.support.dialects import exchange
from tests.support.recording import Recording

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def row(provider, target, body, request=None, *, turn="", **more):
    """The row of such an exchange, of a *turn* on a WebSocket where it is one."""
    sent = json.dumps(request or {}).encode()
    made = exchange(provider, target, [json.dumps(body).encode()], sent, **more)
    if turn:
        made = replace(made, turn=turn, method="GET", status=101)
    recording = Recording()
    recording.take(made)
    found = recording.row()
    for name in ("usage_detail", "cost_detail", "notes"):
        found[name] = json.loads(found[name] or "null")
    return found


# --- What was cached, by modality --------------------------------------------------------------


def spoken(cached, details):
    """A turn of 1,000 tokens in, 400 of them sound, and 300 out, 200 of them sound."""
    read = {"text_tokens": 600, "audio_tokens": 400, "image_tokens": 0, "cached_tokens": cached}
    usage = {
        "total_tokens": 1300,
        "input_tokens": 1000,
        "output_tokens": 300,
        "input_token_details": read | {"cached_tokens_details": details},
        "output_token_details": {"text_tokens": 100, "audio_tokens": 200},
    }
    response = {"id": "resp_1", "status": "completed", "output": [], "usage": usage}
    event = {"type": "response.done", "response": response}
    request = {"type": "realtime", "model": "gpt-realtime"}
    return row("openai", "/v1/realtime?model=gpt-realtime", event, request, turn="response")


@pytest.mark.parametrize(
    ("cached", "details", "nano_usd"),
    [
        (500, {"text_tokens": 500, "audio_tokens": 0, "image_tokens": 0}, 27_800_000),
        (500, {"text_tokens": 500}, 27_800_000),
        (500, {"text_tokens": 400, "audio_tokens": 100}, 25_000_000),
        (0, {"text_tokens": 0, "audio_tokens": 0}, 29_600_000),
        (0, None, 29_600_000),
    ],
)
def test_sound_costs_what_sound_costs_whatever_was_cached(cached, details, nano_usd):
    """Whoever drops a 0 of the cache's split sells fresh sound at the price of text."""
    found = spoken(cached, details)
    assert (found["cost_nano_usd"], found["notes"]) == (nano_usd, None)


def test_a_cache_that_nobody_tells_apart_costs_the_input_its_split_alone():
    found = spoken(500, None)
    assert "cache_read_audio" not in found["usage_detail"]
    assert found["notes"] == ["modalities_ignored"]
    assert found["cost_detail"] == {
        "cache_read": 200_000,
        "input": 2_000_000,
        "output_audio": 12_800_000,
        "output": 1_600_000,
    }


@pytest.mark.parametrize(
    ("cached", "nano_usd", "notes"),
    [
        ([("TEXT", 400)], 597_000, None),
        ([("TEXT", 300), ("AUDIO", 100)], 534_000, None),
        ([("DOCUMENT", 300), ("TEXT", 100)], 597_000, None),
        ([("TEXT", 300)], 317_000, ["modalities_ignored"]),  # of 100 nothing is told
        ([], 317_000, ["modalities_ignored"]),
    ],
)
def test_what_gemini_leaves_out_of_a_whole_split_is_none(cached, nano_usd, notes):
    usage = {
        "promptTokenCount": 1000,
        "candidatesTokenCount": 50,
        "cachedContentTokenCount": 400,
        "totalTokenCount": 1050,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 600},
            {"modality": "AUDIO", "tokenCount": 400},
        ],
        "cacheTokensDetails": [{"modality": m, "tokenCount": n} for m, n in cached],
    }
    body = {"candidates": [], "modelVersion": "gemini-2.5-flash", "usageMetadata": usage}
    found = row("google", "/v1beta/models/gemini-2.5-flash:generateContent", body)
    assert (found["cost_nano_usd"], found["notes"]) == (nano_usd, notes)


def test_an_interaction_tells_its_cache_apart_too():
    def split(**tokens):
        return [{"modality": kind, "tokens": count} for kind, count in tokens.items()]

    usage = {
        "total_input_tokens": 1000,
        "total_cached_tokens": 400,
        "total_output_tokens": 50,
        "total_tokens": 1050,
        "input_tokens_by_modality": split(text=600, audio=400),
        "cached_tokens_by_modality": split(text=400),
    }
    body = {"id": "v1_a", "model": "gemini-2.5-flash", "status": "completed", "usage": usage}
    found = row("google", "/v1beta/interactions", body, {"model": "gemini-2.5-flash"})
    assert (found["cost_nano_usd"], found["notes"]) == (597_000, None)


def test_images_of_an_edit_cost_what_images_cost_beside_cached_words():
    cached = {"text_tokens": 128, "image_tokens": 0}
    read = {"text_tokens": 200, "image_tokens": 800, "cached_tokens": 128}
    usage = {
        "total_tokens": 5160,
        "input_tokens": 1000,
        "output_tokens": 4160,
        "input_tokens_details": read | {"cached_tokens_details": cached},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": 4160},
    }
    body = {"created": 1, "data": [{"b64_json": "aGk="}], "usage": usage}
    request = {"model": "gpt-image-1.5", "prompt": "a dot"}
    found = row("openai", "/v1/images/generations", body, request)
    assert found["cost_detail"] == {
        "cache_read": 160_000,
        "input_image": 6_400_000,
        "output_image": 133_120_000,
        "input": 360_000,
    }
    assert found["notes"] is None


def test_images_of_a_tool_cost_what_images_cost_beside_cached_words():
    made = {
        "input_tokens": 1000,
        "input_tokens_details": {"text_tokens": 200, "image_tokens": 800},
        "output_tokens": 4160,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": 4160},
        "cached_tokens": 128,
        "cached_tokens_details": {"cached_text_tokens": 128, "cached_image_tokens": 0},
    }
    body = {
        "id": "resp_1",
        "status": "completed",
        "model": "gpt-5",
        "tools": [{"type": "image_generation", "model": "gpt-image-1.5"}],
        "output": [{"type": "image_generation_call", "id": "i", "status": "completed"}],
        "usage": {"input_tokens": 100, "output_tokens": 100, "total_tokens": 200},
        "tool_usage": {"image_gen": made},
    }
    found = row("openai", RESPONSES, body)
    assert found["cost_nano_usd"] == 140_040_000 + 1_125_000
    assert found["notes"] is None


# --- Nothing, said and unsaid ------------------------------------------------------------------


def answered(usage, provider="openai", model="gpt-5", **more):
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = {"id": "chatcmpl-1", "model": model, "choices": [choice], "usage": usage}
    return row(provider, CHAT, body | more, {"model": model})


@pytest.mark.parametrize(
    ("billed", "nano_usd"),
    [
        ({"input_tokens": 0, "output_tokens": 0}, 0),
        ({"input_tokens": 0, "output_tokens": 100}, 1_000_000),
        ({}, 3_500_000),
    ],
)
def test_what_cohere_bills_nothing_for_costs_nothing(billed, nano_usd):
    """Whoever drops the zeros charges for what was processed."""
    usage = {"billed_units": billed, "tokens": {"input_tokens": 1000, "output_tokens": 100}}
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    body = {"id": "1", "message": message, "finish_reason": "COMPLETE", "usage": usage}
    found = row("cohere", "/v2/chat", body, {"model": "command-a-03-2025"})
    assert (found["cost_nano_usd"], found["unpriced_reason"]) == (nano_usd, None)
    assert (found["tokens_in"], found["tokens_out"]) == (1000, 100)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"prompt_tokens": "10"}, "unreadable_usage"),
        ({"prompt_tokens": -1}, "unreadable_usage"),
        ({"completion_tokens": 5.5}, "unreadable_usage"),
        ({"prompt_tokens": "10", "completion_tokens": None}, "no_usage"),
        # What is a part of one that was read costs a little less or more, and is noted.
        ({"prompt_tokens_details": {"cached_tokens": "4"}}, None),
        ({"total_tokens": "15"}, None),
    ],
)
def test_a_count_that_is_none_leaves_no_price_of_the_rest(said, reason):
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15} | said
    found = answered(usage)
    assert found["unpriced_reason"] == reason
    assert (found["cost_nano_usd"] is None) == (reason is not None)
    assert [note for note in found["notes"] if note.endswith(": not a count")]


def test_half_of_anthropics_input_is_not_its_price():
    """Three counts make up the input; where one cannot be read, the sum is too small."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": "4000", "output_tokens": 5}
    body = {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-5", "content": []}
    found = row("anthropic", "/v1/messages", body | {"usage": usage})
    assert (found["cost_nano_usd"], found["unpriced_reason"]) == (None, "unreadable_usage")


def test_a_price_that_the_provider_tells_stands_whatever_it_counted():
    usage = {"prompt_tokens": "10", "completion_tokens": 5, "cost": 0.001}
    assert answered(usage, "openrouter", "openai/gpt-5")["cost_nano_usd"] == 1_000_000


# --- Meters that stand elsewhere ---------------------------------------------------------------

COUNTED = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def test_deepinfra_tells_the_price_as_an_estimate():
    found = answered(COUNTED | {"estimated_cost": 0.0000268}, "deepinfra", "m/llama-70b")
    assert (found["cost_nano_usd"], found["price_source"]) == (26_800, "provider")
    assert found["notes"] is None


@pytest.mark.parametrize(
    ("thoughts", "tokens_out", "notes"),
    [(4000, 4100, ["usage_mismatch"]), (60, 100, None), (0, 100, None)],
)
def test_perplexity_names_its_thoughts_beside_its_counts(thoughts, tokens_out, notes):
    """More thoughts than the answer has tokens cannot be among these."""
    usage = COUNTED | {"reasoning_tokens": thoughts, "cost": {"total_cost": 0.5}}
    found = answered(usage, "perplexity", "sonar-deep-research")
    assert (found["reasoning_tokens"], found["tokens_out"]) == (thoughts, tokens_out)
    assert (found["cost_nano_usd"], found["notes"]) == (500_000_000, notes)


@pytest.mark.parametrize(
    ("provider", "model", "nano_usd"),
    [("openai", "whisper-1", 6_000_000), ("groq", "whisper-large-v3-turbo", 666_667)],
)
def test_a_verbose_transcription_is_paid_by_its_length(provider, model, nano_usd):
    body = {"task": "transcribe", "language": "english", "duration": 60.0, "text": "Hi"}
    found = row(provider, "/v1/audio/transcriptions", body, {"model": model})
    assert (found["cost_nano_usd"], found["usage_source"]) == (nano_usd, "reported")
    assert found["usage_detail"] == {"audio_seconds": 60.0}


def test_no_seconds_cost_nothing():
    body = {"text": "", "usage": {"type": "duration", "seconds": 0}}
    found = row("openai", "/v1/audio/transcriptions", body, {"model": "whisper-1"})
    assert (found["cost_nano_usd"], found["unpriced_reason"]) == (0, None)


@pytest.mark.parametrize("target", [CHAT, "/v1/completions"])
@pytest.mark.parametrize(
    ("timings", "tokens"),
    [
        ({"cache_n": 236, "prompt_n": 1, "predicted_n": 35}, (237, 35, 236)),
        ({"cache_n": 0, "prompt_n": 9, "predicted_n": 35}, (9, 35, 0)),
        # What was cached is not told: how much was read is not known.
        ({"prompt_n": 9, "predicted_n": 35}, (None, 35, None)),
    ],
)
def test_llama_cpp_counts_in_its_timings(target, timings, tokens):
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}, "text": "Hi"}
    body = {"id": "1", "model": "m", "choices": [choice], "timings": timings}
    found = row("llamacpp", target, body, {"model": "m"})
    assert (found["tokens_in"], found["tokens_out"], found["cache_read_tokens"]) == tokens
    assert found["usage_source"] == "reported"


def test_usage_comes_before_timings():
    timings = {"cache_n": 7, "prompt_n": 1, "predicted_n": 3}
    assert answered(COUNTED, "llamacpp", "m", timings=timings)["tokens_in"] == 1000


TOOLS = {"x_search_calls": 2, "code_interpreter_calls": 1, "mcp_calls": 4}


def test_tools_of_xai_are_said_to_be_left_out_unless_it_tells_the_price():
    """Its price of the call has them in it, the lists have not."""
    usage = COUNTED | {"server_side_tool_usage_details": TOOLS}
    found = answered(usage, "xai", "grok-4")
    assert found["usage_detail"] == {"server_tools": 3}
    assert found["notes"] == ["fee_not_included:server_tools"]
    assert found["cost_nano_usd"] == 4_500_000
    told = answered(usage | {"cost_in_usd_ticks": 200_000_000}, "xai", "grok-4")
    assert (told["cost_nano_usd"], told["notes"]) == (20_000_000, None)


def test_tools_of_xai_are_counted_in_its_responses_too():
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    usage |= {"server_side_tool_usage_details": TOOLS}
    body = {"id": "resp_1", "status": "completed", "model": "grok-4", "output": [], "usage": usage}
    found = row("xai", RESPONSES, body)
    assert found["notes"] == ["fee_not_included:server_tools"]
    assert found["cost_nano_usd"] == 4_500_000
