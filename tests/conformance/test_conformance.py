"""The recorded corpus through the running proxy: every field agrees with its truth."""

from pathlib import Path

import pytest

from tests import corpus_cases as corpus

from .__main__ import misses
from .replay import replay

needs_corpus = pytest.mark.skipif(
    corpus.corpus_folder() is None, reason="the recorded corpus is not on this machine"
)


@needs_corpus
def test_the_corpus_through_the_proxy(tmp_path: Path) -> None:
    """Clients get the bytes that were served, and rows say what the SDKs said."""
    allowed = corpus.allowed()
    results = replay(tmp_path, list(corpus.records(kinds=corpus.MODEL_KINDS)))
    assert len(results) > 4_000
    wrong = {r.record["id"]: found for r in results if (found := misses(r, allowed))}
    assert wrong == {}
