"""Secrets that are known by where they stand in JSON, in bytes and in values."""

import json

import pytest

from agenttrace_mitm.privacy import Redactor

PLAIN = "correct horse battery"  # no shape, no digit: its place alone tells
OPAQUE = "Zk3vQ9xLw7Tn2Rb8"
GONE = "[redacted:named_secret]"


def mcp(**more):
    return {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example/sse"} | more


DEFINED = {
    "authorization of a tool": lambda s: {"tools": [mcp(authorization=s)]},
    "in a session": lambda s: {"type": "x", "session": {"tools": [mcp(authorization=s)]}},
    "unknown header": lambda s: {"tools": [mcp(headers={"X-Auth": s})]},
    "header without scheme": lambda s: {"tools": [mcp(headers={"Authorization": s})]},
    "headers as a list": lambda s: {"tools": [mcp(headers=[{"name": "X-Auth", "value": s}])]},
    "Gemini's servers": lambda s: {
        "tools": [{"mcpServers": [{"streamableHttpTransport": {"headers": {"x-a": s}}}]}]
    },
    "Anthropic's servers": lambda s: {"mcp_servers": [{"url": "u", "authorization_token": s}]},
    "a coding agent's servers": lambda s: {"mcpServers": {"headers": {}, "env": {"A_TOKEN": s}}},
    "a data source": lambda s: {
        "data_sources": [{"parameters": {"authentication": {"type": "api_key", "key": s}}}]
    },
    "a data source's connection": lambda s: {
        "data_sources": [{"parameters": {"authentication": {"connection_string": s}}}]
    },
    "a data source's encoded key": lambda s: {
        "data_sources": [{"parameters": {"authentication": {"encoded_api_key": s}}}]
    },
    "a data source's embedding": lambda s: {
        "dataSources": [{"parameters": {"embedding_dependency": {"authentication": {"key": s}}}}]
    },
    "an older data source": lambda s: {
        "dataSources": [{"type": "AzureSearch", "parameters": {"key": s, "indexName": "i"}}]
    },
    "a secret of a domain": lambda s: {
        "tools": [{"container": {"network": {"domain_secrets": [{"name": "K", "value": s}]}}}]
    },
    "a key of a Google tool": lambda s: {
        "tools": [{"googleMaps": {"authConfig": {"apiKeyConfig": {"apiKeyString": s}}}}]
    },
    "a connector": lambda s: {"name": "n", "service_auth": {"type": "bearer", "token": s}},
    "a connector's login": lambda s: {"oauth": {"client_id": "a", "client_secret": s}},
}  # fmt: skip
ANYWHERE = {
    "authorization": lambda s: {"authorization": s},
    "a header": lambda s: {"url": "u", "headers": {"X-Custom-Token": s}},
    "a client secret": lambda s: {"client_secret": {"value": s, "expires_at": 1}},
    "a client secret that came last": lambda s: {"client_secret": {"expires_at": 1, "value": s}},
    "a value that expires": lambda s: {"value": s, "expires_at": 1, "session": {"tools": []}},
    "one that expires, told before": lambda s: {"expires_at": 1, "session": {}, "value": s},
    "token": lambda s: {"token": s},
    "secret": lambda s: {"object": "webhook", "secret": s},
}
EVERY = [(place, PLAIN) for place in DEFINED] + [
    (place, OPAQUE) for place in [*DEFINED, *ANYWHERE] if place not in ("token", "secret")
] + [(place, OPAQUE + "4x5") for place in ("token", "secret")]  # fmt: skip


def made(place, secret):
    return (DEFINED | ANYWHERE)[place](secret)


@pytest.mark.parametrize(("place", "secret"), EVERY)
def test_its_place_tells_a_secret(place, secret):
    """In a value in memory; nothing else of it changes."""
    assert Redactor().json(made(place, secret)) == made(place, GONE)
    assert not Redactor().is_clean(made(place, secret))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize(("place", "secret"), EVERY)
def test_so_it_does_in_bytes(place, secret, depth, indent):
    """However it is laid out, and as JSON in a string of JSON; it stays JSON."""
    value, clean = made(place, secret), made(place, GONE)
    for _ in range(depth):
        value = {"é\n": [json.dumps(value, indent=indent)]}
        clean = {"é\n": [json.dumps(clean, indent=indent)]}
    sent = json.dumps(value, indent=indent).encode()
    assert json.loads(Redactor().data(sent)) == clean
    lines = b"event: x\ndata: " + json.dumps(value).encode() + b"\n\n"
    assert secret.encode() not in Redactor().data(lines * 2)


@pytest.mark.parametrize("place", [place for place in DEFINED if "list" not in place])
def test_a_body_that_was_cut_tells_as_much(place):
    sent = json.dumps(made(place, OPAQUE)).encode()
    end = sent.index(OPAQUE.encode()) + len(OPAQUE) + 1
    assert OPAQUE.encode() not in Redactor().data(sent[:end])


@pytest.mark.parametrize(
    "escape",
    [
        lambda text: text.replace('"', "\\u0022"),
        lambda text: text.replace('"', '\\"').replace("/", "\\/"),
        lambda text: text.replace('"', '\\"').replace("h", "\\u0068", 1),
    ],
)
def test_how_json_in_json_is_escaped_does_not_matter(escape):
    inner = escape(json.dumps(made("authorization of a tool", OPAQUE)))
    sent = f'{{"arguments":"é \\ud83d\\ude00 {inner}"}}'
    clean = Redactor().data(sent.encode())
    assert OPAQUE.encode() not in clean
    told = json.loads(clean)["arguments"].removeprefix("é 😀 ")
    assert json.loads(told) == made("authorization of a tool", GONE)


@pytest.mark.parametrize(
    "value",
    [
        "sid=abc12345; x=y",
        "AWS4-HMAC-SHA256 Credential=x/2026, SignedHeaders=h, Signature=0123456789",
        "Bearer abc12345",
        "AbCdEfGhIjKlMnOpQr",
    ],
)
@pytest.mark.parametrize("name", ["Cookie", "Authorization", "X-Api-Key"])
def test_credentials_in_headers_of_a_tool_call(name, value):
    """What else such a call says stays: it is data."""
    said = {"url": "u", "headers": {"X-Team": "blue-0001", name: value}}
    clean = {"url": "u", "headers": {"X-Team": "blue-0001", name: GONE}}
    assert Redactor().json(said) == clean
    assert json.loads(Redactor().data(json.dumps(said).encode())) == clean


def test_what_a_header_may_say_stays():
    """By the list of the headers that a stored exchange may have."""
    headers = {"Content-Type": "application/json", "User-Agent": "x/1", "X-Tenant": "blue"}
    value = {"tools": [mcp(headers=headers)]}
    clean = {"tools": [mcp(headers=headers | {"X-Tenant": GONE})]}
    assert Redactor().json(value) == clean
    assert json.loads(Redactor().data(json.dumps(value).encode())) == clean


SCHEMA = {
    "type": "object",
    "properties": {
        "headers": {"type": "object", "description": "Sent as they are, such as X-Auth: 12345678"},
        "authorization": {"type": "string", "description": "The token2 to use", "default": "none"},
        "key": {"type": "string", "enum": ["Enter", "Escape", "F5"]},
        "client_secret": {"type": "string"},
        "token": {"type": "string", "examples": ["abc"]},
    },
    "required": ["authorization", "headers"],
}


@pytest.mark.parametrize(
    "value",
    [
        {"tools": [{"type": "function", "name": "get", "parameters": SCHEMA}]},
        {"tools": [{"name": "get", "input_schema": SCHEMA}]},
        {"tools": [{"functionDeclarations": [{"name": "get", "parameters": SCHEMA}]}]},
        {"tools": [{"name": "get", "parameter_definitions": SCHEMA["properties"]}]},
        {"type": "tool_use", "name": "press", "input": {"key": "value", "token": "Enter"}},
        {"input": {"url": "u", "headers": {"Accept": "*/*", "X-Team": "blue-0001"}}},
        {"tools": [mcp(authorization="${MCP_TOKEN}", headers={"Authorization": "Bearer {{key}}"})]},
        {"tools": [mcp(authorization=None, headers=None)]},
        {"tools": [mcp(authorization="<redacted>", headers={"Authorization": "***"})]},
        {"sort": {"key": "created_at_0001"}, "order": "desc"},
        {"authorization": "required", "authentication": {"type": "api_key", "key": "optional"}},
        {"text": "authorization: see above. The headers are \"x\": {y}. Her secret is: 12345."},
        {"max_tokens": 4096, "usage": {"prompt_tokens": 12, "token_count": "123456789"}},
        {"logprobs": [{"token": "Zürich-0001", "logprob": -0.1}], "token_type": "bearer"},
        {"value": "a value of 12345678 things", "name": "x"},
        {"value": "2026-11-30T00:00:00Z", "expires_after": {"anchor": "created_at"}},
        {"logprobs": [{"token": "1234567890123456", "logprob": -0.1}]},
        {"tokens": [{"token": "ApplicationContext2025Holder", "pos": "NN"}]},
        {"kind": "Ingress", "tls": [{"secret": "my-app-tls-2024-cert"}]},
        {"coupon": {"value": "2025-11-30T00:00:00Z", "expires_at": 1764460800}},
        {"value": "order-20251130-77", "expires_at": "2026"},
        {"oauth": {"scopes": ["read"], "token": "url"}},
        {"result": {"headers": {"etag": "12345678", "x-cache-key": "GET:/v1/products/1234"}}},
        {"text": "https://x.org/a?sig=readme-section-heading-1&signature=Method.Name.WithParts"},
        {"prompt": "What is Basic authorization?", "headers": ["Authorization", "X-Api-Key"]},
        {"next_page_token": "abc", "id": "file-0123456789abcdef", "expires_at": 1764500000},
    ],
    ids=lambda value: json.dumps(value)[:60],
)  # fmt: skip
def test_what_only_sounds_like_a_secret_stays(value):
    """Schemas, placeholders, plain arguments, counts, prose: users want to see them."""
    assert Redactor().json(value) is value
    for sent in (json.dumps(value), json.dumps({"text": json.dumps(value)})):
        data = sent.encode()
        assert Redactor().data(data) is data


def test_long_strings_that_come_again_are_clean_again():
    """They are read once, and where else the same one stands does not matter."""
    result = json.dumps([{"n": n} for n in range(999)] + [made("a header", OPAQUE)])
    for before in ("", "x" * 77):
        sent = json.dumps({"before": before, "messages": [{"content": result}]}).encode()
        clean = json.loads(Redactor().data(sent))
        assert json.loads(clean["messages"][0]["content"])[-1] == made("a header", GONE)


@pytest.mark.parametrize(("place", "secret"), EVERY)
def test_twice_changes_no_more_than_once(place, secret):
    once = Redactor().data(json.dumps(made(place, secret)).encode())
    assert Redactor().data(once) is once


@pytest.mark.parametrize(
    "data",
    [
        b'"headers":{' * 30_000,
        b'"authorization":"' * 30_000,
        b"ecret" * 60_000,
        b'{"client_secret":[' * 20_000,
        b'{"auth":"x","messages":' + b"[" * 100_000 + b'"",' * 100_000,
        b'{"headers":{"a":' + b"[{" * 50_000 + b'"a":"b",' * 50_000,
        b'\\"headers\\":{\\"' * 30_000,
        b'"headers"' + b" " * 300_000 + b":{",
        b"?sig=%3Fsig=" * 30_000,
        b'--b\r\nform-data; name="token"\r\n' * 10_000,
    ],
    ids=lambda data: data[:16].decode(),
)
def test_hard_inputs_are_read_once(data):
    """Inputs on which a reader could go back again and again: it would not end today."""
    once = Redactor().data(data)
    assert Redactor().data(once) == once
