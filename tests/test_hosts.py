"""Hosts are names, and a label before a domain at most: what is none of them is nobody's."""

import pytest

from agenttrace_mitm.hosts import hosts, permitted_names, provider_among, provider_of
from agenttrace_mitm.profiles import PROFILES


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("API.OpenAI.com.", "openai"),
        ("api.openai.com:443", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("generativelanguage.googleapis.com", "google"),
        ("api.us.mistral.ai", "mistral"),
        ("api.cohere.ai", "cohere"),
        ("openai.com", None),
        ("xx.api.openai.com", None),
        ("api.openai.com.evil.example", None),
        ("evil-api.openai.com", None),
        ("api.openai.com@evil.example", None),
        ("chatgpt.com", None),
        ("cloudcode-pa.googleapis.com", None),
        ("", None),
    ],
)
def test_only_exact_names_are_somebody_s(host, provider):
    assert provider_of(host) == provider


def test_settings_add_enable_and_disable():
    known = hosts(
        added={"LLM.Example": "openai"}, disabled=["api.cohere.ai"], enabled=["chatgpt", "nonsense"]
    )
    assert provider_among("llm.example:8443", known) == "openai"
    assert provider_among("chatgpt.com", known) == "openai"
    assert provider_among("api.cohere.ai", known) is None
    assert provider_among("api.cohere.com", known) == "cohere"
    assert provider_of("llm.example") is None


def test_an_address_is_nobody_s_but_on_this_machine():
    """No certificate of ours could vouch for it."""
    added = dict.fromkeys(
        ("192.168.1.5", "10.0.0.1:8443", "::1", "[fd00::1]", "127.0.0.1", "127.0.0.1:8000"),
        "openai",
    )
    assert hosts(added=added).keys() - hosts() == {"127.0.0.1:8000"}


def test_the_authority_vouches_for_these_names_alone():
    names = permitted_names()
    assert len(names) == 14
    assert "chatgpt.com" not in names
    assert permitted_names(["chatgpt"]) == sorted([*names, "chatgpt.com"])


@pytest.mark.parametrize(
    ("profile", "host", "provider"),
    [
        ("azure", "my-resource.openai.azure.com", "azure"),
        ("azure", "a.b.openai.azure.com", None),
        ("azure", "openai.azure.com", None),
        ("azure", "my-resource.openai.azure.com.evil.example", None),
        ("vertex", "europe-west4-aiplatform.googleapis.com", "vertex"),
        ("bedrock", "bedrock-runtime.eu-central-1.amazonaws.com", "bedrock"),
        ("bedrock", "s3.eu-central-1.amazonaws.com", None),
        ("codestral", "codestral.mistral.ai", "mistral"),
        ("openrouter", "openrouter.ai", "openrouter"),
        ("ollama", "localhost:11434", "ollama"),
        ("ollama", "localhost:8000", None),
        ("ollama", "localhost", None),
    ],
)
def test_a_profile_stands_for_its_hosts_and_no_others(profile, host, provider):
    assert provider_among(host, hosts(enabled=[profile])) == provider


def test_the_authority_vouches_for_a_wildcards_domain_and_for_no_plain_server():
    assert "openai.azure.com" in permitted_names(["azure"])
    assert permitted_names(["ollama"]) == permitted_names()
    for name in permitted_names(PROFILES):
        assert "*" not in name and ":" not in name
        assert name not in ("amazonaws.com", "api.aws", "googleapis.com")
