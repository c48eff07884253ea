"""Which request and response headers are kept at tier 3: a list of what may stay.

Everything else is dropped, so that a credential in a header nobody has heard of never arrives.
Values of kept headers still go through the redactor.
"""

import functools
from collections.abc import Iterable

KEPT = frozenset(
    {
        # what the message is
        "accept",
        "accept-encoding",
        "accept-language",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "date",
        "expect",
        "transfer-encoding",
        "vary",
        # who speaks
        "agent-framework-version",
        "host",
        "http-referer",
        "originator",
        "server",
        "session_id",
        "user-agent",
        "version",
        "via",
        "x-app",
        "x-client-name",
        "x-client-request-id",
        "x-client-version",
        "x-title",
        # ids and traces
        "apim-request-id",
        "cf-ray",
        "conversation_id",
        "inference-id",
        "mistral-correlation-id",
        "request-id",
        "traceparent",
        "traceresponse",
        "tracestate",
        "x-amz-cf-id",
        "x-amzn-requestid",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-correlation-id",
        "x-debug-trace-id",
        "x-generation-id",
        "x-kong-request-id",
        "x-request-id",
        "x-session-affinity",
        "x-trace-id",
        # timing, retries, limits
        "cf-cache-status",
        "ratelimit-limit",
        "ratelimit-policy",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
        "retry-after-ms",
        "server-timing",
        "x-amzn-errortype",
        "x-api-warning",
        "x-cache",
        "x-endpoint-monthly-call-limit",
        "x-envoy-upstream-service-time",
        "x-gemini-service-tier",
        "x-goog-api-client",
        "x-max-retry-attempts-reached",
        "x-server-timeout",
        "x-should-retry",
        "x-trial-endpoint-call-limit",
        "x-trial-endpoint-call-remaining",
        "num_chars",
        "num_tokens",
        "num-chars",
        "num-tokens",
        # how a WebSocket was agreed on
        "connection",
        "sec-websocket-extensions",
        "sec-websocket-version",
        "upgrade",
    }
)

KEPT_PREFIXES = (
    "openai-",
    "anthropic-",
    "x-stainless-",
    "x-ratelimit-",
    "x-ratelimitbysize-",
    "ratelimitbysize-",
    "x-codex-",
    "x-claude-",
    "x-opencode-",
    "x-fern-",
    "x-kong-",
    "x-metrics-",
    "x-amzn-bedrock-",
    "x-agenttrace-",
    "azureai-",
    "gen_ai-",
)

NEVER = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "x-amz-security-token",
        "ocp-apim-subscription-key",
        "x-agenttrace-token",
    }
)
"""Credentials and cookies, whatever the prefixes say."""

_SECRET_WORDS = ("authorization", "cookie", "token-", "-token", "secret", "password", "api-key")
_HARMLESS = ("tokens", "token-count")


@functools.lru_cache(2048)  # the same few names come with every call
def is_kept(name: str) -> bool:
    """True for a header that may be stored."""
    name = name.lower()
    if name in NEVER or _sounds_secret(name):
        return False
    return name in KEPT or name.startswith(KEPT_PREFIXES)


def _sounds_secret(name: str) -> bool:
    for word in _HARMLESS:
        name = name.replace(word, "")
    return any(word in name for word in _SECRET_WORDS)


def keep_headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of *pairs* that may be stored, in order, names in lower case."""
    return [(name.lower(), value) for name, value in pairs if is_kept(name)]
