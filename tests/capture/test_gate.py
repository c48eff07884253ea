"""Decisions without a network: gate, policy, and what the hooks survive."""

import base64
import hashlib
import logging

import pytest
from mitmproxy.test import tflow

from agenttrace_mitm.capture import addon, complaints, policy, taps
from agenttrace_mitm.capture.gate import Gate, targets
from agenttrace_mitm.capture.heads import pairs
from agenttrace_mitm.detours import Target
from agenttrace_mitm.errors import CaptureError


def test_only_whole_names_count():
    """Case and a final dot do not matter, everything else does."""
    gate = Gate({"api.openai.com": "openai"})
    assert gate.provider("API.OpenAI.com.") == "openai"
    for name in ("xapi.openai.com", "api.openai.com.evil.net", "openai.com", "", None):
        assert gate.provider(name) is None


def test_targets():
    """host:port means TLS; a URL says itself."""
    assert targets({"A.b": "h:1", "c": "https://h", "d": "http://[::1]:8"}) == {
        "a.b": Target("https", "h", 1),
        "c": Target("https", "h", 443),
        "d": Target("http", "::1", 8),
    }
    for wrong in (
        "",
        "ftp://h",
        "http://h/path",
        "h:port",
        "https://h?x=1",
        "foo bar",
        "http://:1",
    ):
        with pytest.raises(CaptureError, match="upstream_map"):
            targets({"a": wrong})


def test_a_tunnel_ends():
    """It is for one client and one host, and for ten minutes."""
    now = [0.0]
    gate = Gate({}, clock=lambda: now[0])
    gate.refuse("api.openai.com", "127.0.0.1", "curl")
    assert gate.is_tunnelled("api.openai.com", "127.0.0.1", "curl")
    assert gate.is_tunnelled("api.openai.com", "127.0.0.1", "")
    assert not gate.is_tunnelled("api.openai.com", "127.0.0.1", "node")
    assert not gate.is_tunnelled("api.openai.com", "127.0.0.1 run", "curl")
    assert not gate.is_tunnelled("api.mistral.ai", "127.0.0.1", "curl")
    now[0] = 601
    assert not gate.is_tunnelled("api.openai.com", "127.0.0.1", "curl")


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/v1?a=1", "/v1?a=1"),
        ("/v1", "/v1"),
        ("/v1?", "/v1?"),
        ("/v1?KEY=abcdefgh&x", "/v1?KEY=REDACTED&x"),
        ("/v1?a=1&access_token=s&token=t&api%5Fkey=u", None),
        ("/v1?keys=1&monkey=2", "/v1?keys=1&monkey=2"),
        ("/v1?model=m&auth=s&ek=t", "/v1?model=m&auth=REDACTED&ek=REDACTED"),
        ("/v1?api-key=s&X-Amz-Signature=t", "/v1?api-key=REDACTED&X-Amz-Signature=REDACTED"),
        ("/v1?code=s&clientSecret=t", "/v1?code=REDACTED&clientSecret=REDACTED"),
        ("/v1?page_token=p&sort_key=k&alt=sse", "/v1?page_token=p&sort_key=k&alt=sse"),
    ],
)
def test_queries(target, kept):
    """Secrets go, everything else stays as it was written."""
    said, _ = policy.without_secrets(target)
    expected = "/v1?a=1&access_token=REDACTED&token=REDACTED&api%5Fkey=REDACTED"
    assert said == (kept or expected)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("authorization", True),
        ("x-api-key", True),
        ("ocp-apim-subscription-key", True),
        ("x-amz-security-token", True),
        ("x-client-secret-id", True),
        ("x-custom-auth", True),
        ("sec-websocket-protocol", True),
        ("sec-websocket-key", False),
        ("www-authenticate", False),
        ("idempotency-key", False),
        ("anthropic-ratelimit-tokens-remaining", False),
        ("x-request-id", False),
    ],
)
def test_headers(name, secret):
    """The list, its endings, and what only looks like it."""
    assert policy.is_credential(name) is secret


@pytest.mark.parametrize(
    "said",
    [
        "realtime, openai-insecure-api-key.{}, openai-beta.realtime-v1",
        "token, {}",
        "Bearer.{}",
    ],
)
def test_keys_in_subprotocols(said):
    """A browser's way to send one: an echo of it in a body will be known."""
    key = "sk.with-dots_0123456789"
    kept, digests = pairs(((b"Sec-WebSocket-Protocol", said.format(key).encode()),))
    assert kept == [("Sec-WebSocket-Protocol", "REDACTED")]
    assert digests == [(len(key), hashlib.sha256(key.encode()).hexdigest())]


class Broken:
    """A handover that fails whatever it is asked."""

    def __getattr__(self, name):
        raise RuntimeError("broken")


def test_hooks_do_not_raise(monkeypatch, caplog):
    """In production a bug of ours costs the record; under pytest it costs the test."""
    watching = addon.AgentTrace(Gate({"address": "openai"}), Broken())  # type: ignore[arg-type]
    flow = tflow.tflow(resp=True)
    flow.request.scheme = "https"
    flow.client_conn.sni = "address"
    with pytest.raises(RuntimeError):
        watching.requestheaders(flow)
    tap = taps.ResponseTap(Broken(), taps.Watch(None), print)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        tap(b"data")
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(complaints, "complaints", complaints.Complaints())
    with caplog.at_level(logging.ERROR):
        watching.requestheaders(flow)
        for _ in range(100):
            assert tap(b"data") == b"data"
            assert tap(b"") == b""
    assert flow.request.stream is True
    assert len(caplog.records) == complaints.MAX_COMPLAINTS


@pytest.mark.parametrize(
    ("peer", "password", "welcome"),
    [
        ("127.0.0.1", "", True),
        ("::1", "", True),
        ("::ffff:127.0.0.1", "", True),
        ("192.0.2.7", "", True),  # the address that was dialled: ourselves
        ("192.0.2.8", "", False),
        ("192.0.2.8", "wrong", False),
        ("192.0.2.8", "a-token-of-some-length", True),
        ("", "", False),
    ],
)
def test_other_machines_need_the_token(tmp_path, peer, password, welcome):
    """As the password of the proxy, with and without CONNECT."""
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length\n")
    watching = addon.AgentTrace(Gate({}), Broken(), token_file=token)  # type: ignore[arg-type]
    login = "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
    flow = tflow.tflow()
    flow.client_conn.peername, flow.client_conn.sockname = (peer, 1), ("192.0.2.7", 4000)
    flow.client_conn.timestamp_tls_setup = None
    flow.request.headers["proxy-authorization"] = login
    watching.http_connect(flow)
    assert (flow.response is None) is welcome
    if not welcome:
        assert flow.response
        assert flow.response.status_code == 407
    flow.response = None
    watching.requestheaders(flow)
    assert (flow.error is None) is welcome


def test_a_token_that_cannot_be_read_admits_nobody(tmp_path):
    """Closed, not open, when something is wrong."""
    token = tmp_path / "token"
    token.mkdir()
    watching = addon.AgentTrace(Gate({}), Broken(), token_file=token)  # type: ignore[arg-type]
    flow = tflow.tflow()
    flow.client_conn.peername = ("192.0.2.8", 1)
    watching.http_connect(flow)
    assert flow.response
    assert flow.response.status_code == 407
