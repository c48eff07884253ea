"""A host of the user's own, through the running proxy: its dialect is read, its name is its own."""

import json

import pytest

from agenttrace_mitm.pricing import read_user_prices, use
from agenttrace_mitm.pricing.overrides import NO_OVERRIDES
from agenttrace_mitm.recorder.assembly import Assembly
from tests.support.fake_upstream import Upstream
from tests.support.proxy import Capture, answer, closed, post
from tests.support.recording import Recording

HOST = "llm.acme.example"
USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 2, "total_tokens": 1_000_002}
CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-5.5",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
    ],
    "usage": USAGE,
}
COHERE = {
    "id": "1",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "yes"}]},
    "usage": {"tokens": {"input_tokens": 9, "output_tokens": 2}},
}
ASKED = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(autouse=True)
def built_in_prices():
    yield
    use(NO_OVERRIDES)


async def recorded(tmp_path, added, said, path="/v1/chat/completions", host=HOST):
    """The row of a call to *host*, whose setting is *added*, answered with *said*."""

    async def saying(exchange):
        await exchange.read_body()
        await exchange.respond(
            200, json.dumps(said).encode(), (("Content-Type", "application/json"),)
        )

    async with (
        Upstream(tmp_path, saying, hosts=[host]) as upstream,
        Capture(
            upstream,
            hosts_added={host: added},
            upstream_map=upstream.map(host),
        ) as capture,
    ):
        reader, writer = await capture.connect(host)
        writer.write(post(json.dumps(ASKED).encode(), path, Host=host))
        await answer(reader)
        await closed(writer)
        [seen] = await capture.recorder.finished()
    assembly, recording = Assembly(), Recording()
    ended = [one for frame in seen.frames if (one := assembly.add(frame))]
    for one in ended:
        recording.take(one)
    return recording.row(ended[-1].id)


async def test_a_gateway_that_speaks_openais_dialect_is_not_openai(tmp_path):
    row = await recorded(tmp_path, {"speaks": "openai", "provider": HOST}, CHAT)
    assert (row["provider"], row["dialect"]) == (HOST, "openai.chat")
    assert row["tokens_in"] == 1_000_000
    assert (row["cost_nano_usd"], row["unpriced_reason"]) == (None, "unknown_provider")


async def test_the_users_prices_apply_to_it(tmp_path):
    entry = {"provider": "acme", "models": ["gpt-5.5"], "prices": {"input_mtok": "1"}}
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"models": [entry]}))
    use(read_user_prices(file))
    row = await recorded(tmp_path, {"speaks": "openai", "provider": "acme"}, CHAT)
    assert (row["provider"], row["cost_nano_usd"]) == ("acme", 10**9)


async def test_a_dialect_that_goes_by_its_provider_is_read_under_another_name(tmp_path):
    row = await recorded(tmp_path, {"speaks": "cohere", "provider": "acme"}, COHERE, "/v2/chat")
    assert (row["provider"], row["dialect"], row["tokens_in"]) == ("acme", "cohere.v2chat", 9)


async def test_the_old_form_and_a_known_name_are_priced_as_ever(tmp_path):
    for added in ("openai", {"speaks": "openai", "provider": "openai"}):
        row = await recorded(tmp_path, added, CHAT)
        assert (row["provider"], row["dialect"]) == ("openai", "openai.chat")
        assert row["cost_nano_usd"] > 0
