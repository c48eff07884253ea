"""Who is calling, by the marks that programs leave in their headers.

Product headers first, then the product names in the user agent, most specific first.  A user
agent can be overridden, so this is a hint.  What we do not recognise goes by its own first word.
"""

import re

from ..model import Headers

# Searched in the lower-cased user agent, in this order: what embeds an SDK stands before it.
_USER_AGENTS = (
    ("claude-cli/", "claude-code"),
    ("claude-code/", "claude-code"),
    ("codex", "codex"),
    ("geminicli", "gemini-cli"),
    ("opencode/", "opencode"),
    ("langchain", "langchain"),
    ("litellm", "litellm"),
    ("pydantic-ai", "pydantic-ai"),
    ("agents/python", "openai-agents"),
    ("agents/javascript", "openai-agents"),
    ("ai-sdk", "vercel-ai"),
    ("ai/", "vercel-ai"),
    ("azureopenai/python", "openai-python"),
    ("openai/python", "openai-python"),
    ("openai/js", "openai-node"),
    ("anthropic/python", "anthropic-python"),
    ("anthropicbedrock/python", "anthropic-python"),
    ("anthropicvertex/python", "anthropic-python"),
    ("anthropic/js", "anthropic-node"),
    ("google-genai-sdk/", "google-genai"),
    ("mistral-client-python/", "mistral-python"),
    ("mistral-client-typescript/", "mistral-node"),
    ("cohere-ai/", "cohere-node"),
    ("cohere/", "cohere-python"),
    ("groq/python", "groq-python"),
    ("together/python", "together-python"),
    ("ollama-python/", "ollama-python"),
    ("lm15/", "dspy"),
    ("curl/", "curl"),
    ("python-httpx/", "httpx"),
    ("python-requests/", "requests"),
    ("python-urllib/", "urllib"),
    ("aiohttp/", "aiohttp"),
    ("axios/", "axios"),
    ("undici", "node"),
    ("node", "node"),
    ("bun/", "bun"),
    ("go-http-client/", "go"),
)
# What a program is written with says little about which program it is.
_LIBRARIES = frozenset(client for _, client in _USER_AGENTS) - {
    "claude-code",
    "codex",
    "gemini-cli",
    "opencode",
}
_WORD = re.compile(r"[A-Za-z][\w.+-]{0,39}")


def client_of(user_agent: str, headers: Headers) -> str:
    """The recognised client, such as `claude-code` or `openai-python`; empty when unknown."""
    marked = _by_product_header(headers)
    if marked:
        return marked
    agent = user_agent.lower()
    for mark, client in _USER_AGENTS:
        at = agent.find(mark)
        # A short mark must begin a word: `ai/` is no part of `openai/`, nor of `cohere-ai/`.
        if at == 0 or (at > 0 and agent[at - 1] in " /("):
            return client
        if at > 0 and mark.endswith("/python") and agent.startswith("async"):
            return client
    own = _WORD.match(user_agent)
    return own.group().lower() if own else ""


def is_library(client: str) -> bool:
    """True for SDKs, frameworks and HTTP libraries, false for programs such as `claude-code`."""
    return client in _LIBRARIES


def _by_product_header(headers: Headers) -> str:
    if "x-claude-code-session-id" in headers:
        return "claude-code"
    originator = headers.get("originator").lower()
    if originator.startswith("codex"):
        return "codex"
    if originator == "opencode":
        return "opencode"
    if "langchain" in headers.get("x-client-name") or "langchain" in headers.get(
        "x-goog-api-client"
    ):
        return "langchain"
    if "litellm" in headers.get("request-source"):
        return "litellm"
    return ""


def attempt_of(headers: Headers) -> int:
    """Which attempt this is: 1, and one more for each retry that the SDK counted."""
    told = headers.get("x-stainless-retry-count")
    return min(int(told), 1000) + 1 if told.isascii() and told.isdigit() else 1
