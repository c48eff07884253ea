"""Base-URL mode: whose call a request is that was addressed to the proxy itself."""

import pytest

from agenttrace_mitm.capture.baseurl import Destination, UnknownDestinationError, destination
from agenttrace_mitm.capture.gate import Gate
from agenttrace_mitm.providers import HOSTS

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"
GOOGLE = "generativelanguage.googleapis.com"
MISTRAL = "api.mistral.ai"
COHERE = "api.cohere.com"


@pytest.mark.parametrize(
    ("target", "headers", "host"),
    [
        ("/v1/chat/completions", {}, OPENAI),
        ("/v1/realtime?model=x", {"upgrade": "websocket"}, OPENAI),
        ("/v1/models", {"authorization": "Bearer sk-proj-1"}, OPENAI),
        ("/v1/messages?beta=true", {}, ANTHROPIC),
        ("/v1/models", {"x-api-key": "k"}, ANTHROPIC),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, ANTHROPIC),
        ("/api/hello", {"anthropic-beta": "x"}, ANTHROPIC),
        ("/v1/models", {"authorization": "Bearer sk-ant-oat01-x"}, ANTHROPIC),
        ("/v1beta/models/gemini:streamGenerateContent?alt=sse", {}, GOOGLE),
        ("/v1/models/gemini:generateContent", {}, GOOGLE),
        ("/upload/v1beta/files", {}, GOOGLE),
        ("/v1/models", {"x-goog-api-key": "k"}, GOOGLE),
        ("/v1/chat/completions", {"user-agent": "mistral-client-python/3.7.0"}, MISTRAL),
        ("/v1/fim/completions", {}, MISTRAL),
        ("/v2/chat", {}, COHERE),
        ("/v1/rerank", {}, COHERE),
        ("/v1/models", {"user-agent": "cohere/7.3.1"}, COHERE),
    ],
)
def test_the_request_tells_the_provider(target, headers, host):
    """By headers that only one provider knows, by its paths, and /v1 is OpenAI's."""
    assert destination(Gate(HOSTS), target, headers) == Destination(host, target)


@pytest.mark.parametrize(
    ("target", "host", "rest"),
    [
        ("/mistral/v1/chat/completions?a=1", MISTRAL, "/v1/chat/completions?a=1"),
        ("/gemini/v1beta/models", GOOGLE, "/v1beta/models"),
        ("/openai/v1/models/gpt%2F5", OPENAI, "/v1/models/gpt%2F5"),
        ("/api.eu.mistral.ai/v1/models", "api.eu.mistral.ai", "/v1/models"),
        ("/anthropic", ANTHROPIC, "/"),
    ],
)
def test_the_path_may_begin_with_it(target, host, rest):
    """A provider's name or a recorded host, which the provider does not get to see."""
    headers = {"x-api-key": "somebody else's"}
    assert destination(Gate(HOSTS), target, headers) == Destination(host, rest)


@pytest.mark.parametrize(
    ("wanted", "target", "expected"),
    [
        ("api.mistral.ai", "/v1/models", Destination(MISTRAL, "/v1/models")),
        ("https://api.mistral.ai/v1", "/models?x", Destination(MISTRAL, "/v1/models?x")),
        ("https://api.mistral.ai/v1/", "/v1/models", Destination(MISTRAL, "/v1/models")),
        ("https://API.mistral.ai:443", "/v1", Destination(MISTRAL, "/v1")),
    ],
)
def test_the_header_may_say_it(wanted, target, expected):
    """Its path goes in front, unless it is there already."""
    assert destination(Gate(HOSTS), target, {"x-target-url": wanted}) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        "https://example.com",
        "https://api.openai.com.example.com",
        "https://api.openai.com@example.com",
        "http://api.openai.com",
        "https://api.openai.com:8443",
        "https://127.0.0.1",
        "https://[::1",
        "file:///etc/passwd",
    ],
)
def test_it_is_no_open_relay(wanted):
    """Hosts that are not recorded are not reachable this way, on no port and by no trick."""
    with pytest.raises(UnknownDestinationError, match="only name a host that is recorded"):
        destination(Gate(HOSTS), "/v1/models", {"x-target-url": wanted})


@pytest.mark.parametrize("target", ["/", "/favicon.ico", "/chat/completions", "*", "/v3/x"])
def test_what_cannot_be_told_is_said(target):
    """No guess where nothing tells."""
    with pytest.raises(UnknownDestinationError):
        destination(Gate(HOSTS), target, {"user-agent": "curl/8"})


def test_hosts_that_are_switched_off_are_not_used():
    """The provider's next host is; without any, the reason is said."""
    eu_only = {host: name for host, name in HOSTS.items() if host != OPENAI}
    assert destination(Gate(eu_only), "/v1/models", {}).host == "us.api.openai.com"
    with pytest.raises(UnknownDestinationError, match="no host of openai"):
        destination(Gate({MISTRAL: "mistral"}), "/v1/models", {})
