"""The policy list of headers."""

import pytest

from agenttrace_mitm.privacy import keep_headers


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "x-api-key", "api-key",
        "x-goog-api-key", "X-Amz-Security-Token", "x-goog-upload-url", "x-stainless-api-key",
        "openai-ephemeral-token", "anthropic-session-cookie", "x-unheard-of", "x-forwarded-for",
        "x-agenttrace-token", "x-codex-secret", "www-authenticate", "location",
    ],
)  # fmt: skip
def test_credentials_and_strangers_are_dropped(name):
    assert keep_headers([(name, "v")]) == []


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type", "User-Agent", "x-request-id", "request-id", "OpenAI-Organization",
        "anthropic-version", "anthropic-beta", "x-stainless-retry-count", "retry-after",
        "x-ratelimit-remaining-tokens", "anthropic-ratelimit-input-tokens-limit", "traceparent",
        "x-ratelimit-limit-tokens-minute", "anthropic-ratelimit-unified-5h-utilization",
        "openai-processing-ms", "x-gemini-service-tier", "mistral-correlation-id",
        "x-amzn-bedrock-input-token-count", "x-amzn-ErrorType",
    ],
)  # fmt: skip
def test_ids_limits_and_clients_are_kept(name):
    assert keep_headers([(name, "v")]) == [(name.lower(), "v")]


def test_order_and_repetition_stay():
    pairs = [("Vary", "a"), ("Cookie", "c"), ("vary", "b")]
    assert keep_headers(pairs) == [("vary", "a"), ("vary", "b")]
