"""Base-URL mode: whose call it is that was addressed to the proxy itself.

`OPENAI_BASE_URL=http://127.0.0.1:4000/v1` makes a program send its calls to our port as if we
were the provider.  What comes in is a request's head, what goes out says where it belongs, or why
that cannot be told.  Only hosts that are recorded are ever named: this is no relay to elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .gate import Gate

TARGET = "x-target-url"
"""Header that names a recorded host, with a path to put in front if there is one."""

NAMES: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "gemini": "google",
    "mistral": "mistral",
    "cohere": "cohere",
}
"""First segments of a path that name a provider; recorded hosts do so as well."""

COHERE_V1 = frozenset(
    f"/v1/{word}"
    for word in ("chat", "generate", "embed", "rerank", "classify", "tokenize", "detokenize")
)
HOW = "name it in front of the path (/mistral/v1/...) or in the header x-target-url"

type Headers = Mapping[str, str]
"""Header fields by name in lower case."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request belongs: the host, and its target there."""

    host: str
    target: str


class UnknownDestinationError(Exception):
    """A request that cannot be forwarded, and why, as a sentence for who sent it."""


def destination(gate: Gate, target: str, headers: Headers) -> Destination:
    """Where a request for *target* belongs.  Raises `UnknownDestinationError`."""
    if not target.startswith("/"):
        raise UnknownDestinationError(f"{target!r} is not a path")
    if wanted := headers.get(TARGET, "").strip():
        return _told(gate, wanted, target)
    name, rest = _first_segment(target)
    if gate.provider(name):
        return Destination(name.lower(), rest)
    if name in NAMES:
        return Destination(_host(gate, NAMES[name]), rest)
    provider = provider_of(target, headers)
    if provider is None:
        path = target.partition("?")[0]
        raise UnknownDestinationError(
            f"it cannot be told whose {path} is; {HOW}, or check the base URL:"
            " it ends in /v1 for OpenAI, in nothing for Anthropic and Google"
        )
    return Destination(_host(gate, provider), target)


def provider_of(target: str, headers: Headers) -> str | None:
    """The provider that a request for *target* is made for, None when nothing tells."""
    return next((name for name, holds in MARKS if holds(target.partition("?")[0], headers)), None)


def _is_google(path: str, headers: Headers) -> bool:
    return (
        "x-goog-api-key" in headers
        or "x-goog-api-client" in headers
        or path.startswith(("/v1beta/", "/v1alpha/", "/upload/v1beta/"))
        or (path.startswith("/v1/models/") and ":" in path)
    )


def _is_anthropic(path: str, headers: Headers) -> bool:
    return (
        "x-api-key" in headers
        or any(name.startswith("anthropic-") for name in headers)
        or headers.get("authorization", "").startswith("Bearer sk-ant-")
        or path.startswith(("/v1/messages", "/v1/complete"))
    )


def _is_mistral(path: str, headers: Headers) -> bool:
    return headers.get("user-agent", "").startswith("mistral-client") or path.startswith(
        ("/v1/fim/", "/v1/ocr", "/v1/agents/")
    )


def _is_cohere(path: str, headers: Headers) -> bool:
    return (
        headers.get("user-agent", "").startswith("cohere")
        or path.startswith(("/v2/", "/compatibility/v1/"))
        or path in COHERE_V1
    )


def _is_openai(path: str, headers: Headers) -> bool:
    return path.startswith("/v1/")


MARKS: tuple[tuple[str, Callable[[str, Headers], bool]], ...] = (
    ("google", _is_google),
    ("anthropic", _is_anthropic),
    ("mistral", _is_mistral),
    ("cohere", _is_cohere),
    ("openai", _is_openai),
)
"""What tells a provider, most certain first: /v1/ alone is OpenAI's, as everybody copies it."""


def _told(gate: Gate, wanted: str, target: str) -> Destination:
    try:
        parts = urlsplit(wanted if "://" in wanted else f"https://{wanted}")
        port = parts.port or 443
    except ValueError:
        parts, port = urlsplit(""), 0
    host = parts.hostname or ""
    if parts.scheme != "https" or port != 443 or not gate.provider(host):
        raise UnknownDestinationError(
            f"{TARGET} may only name a host that is recorded, with https on port 443"
            " (see `agenttrace-mitm hosts`)"
        )
    path = parts.path.rstrip("/")
    return Destination(host, target if _is_below(target, path) else path + target)


def _is_below(target: str, path: str) -> bool:
    return target == path or target.startswith((f"{path}/", f"{path}?"))


def _first_segment(target: str) -> tuple[str, str]:
    """`mistral` and `/v1/x?y` of `/mistral/v1/x?y`."""
    path, mark, query = target.partition("?")
    name, _, rest = path[1:].partition("/")
    return name, f"/{rest}{mark}{query}"


def _host(gate: Gate, provider: str) -> str:
    host = gate.host_of(provider)
    if host is None:
        raise UnknownDestinationError(f"no host of {provider} is recorded")
    return host
