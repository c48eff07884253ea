"""Recorded WebSocket sessions through the running proxy: one call a response turn."""

from pathlib import Path

import pytest

from tests import corpus_cases as corpus
from tests import socket_cases

from .sockets import replay

needs_corpus = pytest.mark.skipif(
    corpus.corpus_folder() is None, reason="the recorded corpus is not on this machine"
)


@needs_corpus
def test_each_response_turn_is_a_call_with_the_usage_that_it_reported(tmp_path: Path) -> None:
    """And the socket is one row beside them, with what crossed it."""
    held = replay(tmp_path, list(socket_cases.sessions()))
    assert len(held) > 20
    assert {one.session["id"]: one.wrong for one in held if one.wrong} == {}
    for one in held:
        (socket,) = one.sockets
        assert socket["status_code"] == 101
        assert socket["outcome"] == "ok"
        sizes = {True: 0, False: 0}
        for from_client, data in socket_cases.messages(one.session):
            sizes[from_client] += len(data)
        assert (socket["request_bytes"], socket["response_bytes"]) == (sizes[True], sizes[False])
