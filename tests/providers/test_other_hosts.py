"""Recorded traffic of compatible servers and clouds: nothing is lost, and the counts agree."""

import json

import pytest

from agenttrace_mitm.providers import understand
from tests import corpus_cases as corpus
from tests import other_hosts

pytestmark = pytest.mark.skipif(
    corpus.corpus_folder() is None, reason="the corpus of recorded traffic is not here"
)
ENOUGH = 0.98


@pytest.fixture(scope="module")
def read():
    """Every record and what we made of it: reading must not raise."""
    records = list(other_hosts.records())
    return [(record, understand(corpus.exchange(record))) for record in records]


def test_tokens_agree_with_the_truth(read):
    wrong, seen = {}, 0
    for record, understood in read:
        if other_hosts.is_counted(record):
            seen += 1
            observed = corpus.observed_in(understood, record["status"])
            if found := other_hosts.differences(record, observed):
                wrong[record["id"]] = found
    assert seen > 1_000
    assert 1 - len(wrong) / seen >= ENOUGH, wrong


def test_bedrock_counts_what_its_answers_say(read):
    """Of Bedrock the truth says little: here it is dug out of the answers themselves."""
    seen = 0
    for record, understood in read:
        path = record["path"]
        if record["status"] != 200 or not path.endswith(("/converse", "/converse-stream")):
            continue
        seen += 1
        usage = understood.reply.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens, record["id"]
        if path.endswith("/converse"):
            said = json.loads(corpus.response_bytes(record))["usage"]
            assert usage.raw == said
            assert usage.output_tokens == said["outputTokens"]
        assert understood.reply.complete
    assert seen > 150


def test_bedrock_s_models_are_read_whatever_their_body_is_like(read):
    """What was answered, and how many tokens: AWS says it a second time in its headers."""
    seen = 0
    for record, understood in read:
        if record["status"] != 200 or "/invoke" not in record["path"]:
            continue
        seen += 1
        reply, usage = understood.reply, understood.reply.usage
        heads = {name.lower(): value for name, value in record["response_headers"]}
        said = [heads.get(f"x-amzn-bedrock-{way}-token-count") for way in ("input", "output")]
        cached = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
        if said[0]:
            assert usage.input_tokens == int(said[0]) + cached, record["id"]
        if said[1]:
            assert usage.output_tokens == int(said[1]), record["id"]
        if understood.streamed:
            assert reply.complete, record["id"]
            assert usage.output_tokens, record["id"]
        if usage.output_tokens:
            assert reply.finish_reason not in ("", "other"), record["id"]
            assert reply.text or reply.tool_calls, record["id"]
    assert seen > 60


def test_streams_of_aws_are_the_same_however_they_are_cut(read):
    seen = 0
    for record, whole in read:
        if not record["path"].endswith("-stream") or record["size"] > 6_000:
            continue
        seen += 1
        pieces = understand(corpus.exchange(record, chunk=1)).reply
        assert (pieces.text, pieces.usage) == (whole.reply.text, whole.reply.usage)
        length = len(corpus.response_bytes(record))
        for end in range(0, length, 1 + length // 40):
            cut = understand(corpus.exchange(record, until=end)).reply
            assert whole.reply.text.startswith(cut.text), (record["id"], end)
    assert seen > 5


def test_ollama_counts_its_last_line(read):
    seen = [u for r, u in read if u.dialect in ("ollama.chat", "ollama.generate")]
    counted = [u for u in seen if u.reply.usage.output_tokens]
    assert len(counted) > 40
    assert all(u.reply.complete for u in counted)


def test_a_providers_own_price_is_read(read):
    """OpenRouter says what each answer cost."""
    priced = [
        understood.reply.cost_nano_usd is not None
        for record, understood in read
        if record["provider"] == "openrouter" and '"cost":' in record["response_body"]
    ]
    assert len(priced) > 100
    assert sum(priced) / len(priced) > ENOUGH


def test_bedrocks_counts_are_counts(read):
    found = [u for r, u in read if r["path"].endswith("/count-tokens") and r["status"] == 200]
    assert found
    assert all(u.kind == "count" and u.reply.usage.detail["counted_tokens"] for u in found)
