"""Recorded traffic of five providers, read without a network, against an independent truth.

The corpus lies beside the checkout (see tests/corpus_cases.py).  Where it is, every record of a
exchange has to agree in every field; what deviates stands in tests/corpus_allowed.json with
the reason seen in the bytes.
"""

import pytest
from msgspec.structs import replace

from agenttrace_mitm.providers import understand
from tests import corpus_cases as corpus

pytestmark = pytest.mark.skipif(
    corpus.corpus_folder() is None, reason="the corpus of recorded traffic is not here"
)

FAMILIES = [
    (provider, kind)
    for provider, kinds in {
        "openai": "chat responses completions embeddings count_tokens images audio moderation"
        " batch files models other",
        "anthropic": "messages completions count_tokens batch files models other",
        "google": "generateContent streamGenerateContent chat embeddings count_tokens batch files"
        " models other",
        "mistral": "chat fim embeddings audio moderation ocr models other",
        "cohere": "chat completions embeddings rerank other",
    }.items()
    for kind in kinds.split()
]
SMALL = 6_000


@pytest.mark.parametrize(("provider", "kind"), FAMILIES)
def test_every_record_agrees_with_the_truth(provider, kind):
    """Model, tokens, finish, tools, ids, errors, text: all as the SDKs saw them."""
    allowed = corpus.allowed()
    seen, wrong = 0, {}
    for record in corpus.records([provider], [kind]):
        seen += 1
        understood = understand(corpus.exchange(record))
        observed = corpus.observed_in(understood, record["status"])
        found = corpus.disagreements(record["expected"], record, observed)
        assert (record["id"] in allowed) <= bool(found), f"{record['id']} needs no allowance"
        if found and record["id"] not in allowed:
            wrong[record["id"]] = found
    assert seen
    assert wrong == {}


def test_no_family_is_left_out():
    """What is in the corpus is in the list above."""
    present = {(record["provider"], record["endpoint_kind"]) for record in corpus.records()}
    assert present <= set(FAMILIES)


def small_streams(limit=None):
    count = 0
    for record in corpus.records(kinds=corpus.MODEL_KINDS):
        if record["streamed"] and record["size"] < SMALL and record["status"] == 200:
            count += 1
            if limit and count > limit:
                return
            yield record


def test_chunking_does_not_matter():
    """The same bytes mean the same call however they were cut."""
    seen = 0
    for record in small_streams():
        seen += 1
        whole = understand(corpus.exchange(record))
        pieces = understand(corpus.exchange(record, chunk=1))
        # Only the arrival of the first content tells the two apart.
        timeless = [replace(u.reply, first_content_us=None) for u in (whole, pieces)]
        assert timeless[0] == timeless[1], record["id"]
        assert replace(whole, reply=pieces.reply) == pieces, record["id"]
    assert seen > 100


def test_first_content_comes_when_its_bytes_came():
    """Time to first token is the arrival of the byte that completed the first content."""
    for record in small_streams():
        first = understand(corpus.exchange(record, chunk=1)).reply.first_content_us
        if first is None or record["content_encoding"]:
            continue
        before = understand(corpus.exchange(record, until=first - 1)).reply
        after = understand(corpus.exchange(record, until=first)).reply
        assert after.first_content_us is not None, record["id"]
        assert not before.text or before.text == after.text


def test_cut_streams_still_tell():
    """A dropped connection leaves a shorter story, not an error."""
    for record in small_streams(limit=60):
        whole = understand(corpus.exchange(record)).reply
        length = len(corpus.response_bytes(record))
        for end in range(0, length, 1 + length // 250):
            cut = understand(corpus.exchange(record, until=end)).reply
            assert whole.text.startswith(cut.text), (record["id"], end)
            assert len(cut.tool_calls) <= len(whole.tool_calls)
            assert cut.usage.source in ("none", "partial", "reported", "estimated")
            if not cut.complete and cut.usage.source == "reported":
                assert cut.usage == whole.usage, (record["id"], end)
