"""A recorded request as a program: run with the real libraries, it sends the same JSON again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agenttrace_mitm.model import LlmCall, Payload, Record
from datasette_agenttrace.calls.curl import curl
from datasette_agenttrace.calls.one import Wire
from datasette_agenttrace.calls.program import program
from tests.datasette_agenttrace.listed import CALLS, call, store

ASKED = [{"role": "user", "content": 'Say "hi"\nand \u202eodd\x07 things'}]
TOOL = {
    "type": "function",
    "function": {
        "name": "look", "description": "looks", "parameters": {"type": "object", "properties": {}}
    },
}  # fmt: skip
CHAT = {"model": "m", "messages": ASKED, "temperature": 0.5, "tools": [TOOL], "stop": None}
CONTENTS = [{"role": "user", "parts": [{"text": "hello"}]}]


@pytest.fixture
def server():
    """Remembers what it is sent, and refuses it."""
    took = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            took.append((self.path, json.loads(body), dict(self.headers)))
            self.send_response(400)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"error": {"message": "no"}}')

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", took
    server.shutdown()
    server.server_close()
    thread.join()


def written(dialect, url, body, headers=(), provider="openai", *, long=False):
    host, _, path = url.partition("/")
    call = LlmCall(
        id="1", started_us=1, provider=provider, dialect=dialect, host=host, path=f"/{path}",
        method="POST", outcome="ok", streamed=body.get("stream", False),
    )  # fmt: skip
    wire = Wire(
        request=json.dumps(body)[: 20 if long else None],
        request_cut=long,
        request_names=tuple(body),
        request_headers=(
            ("Content-Type", "application/json"), ("Accept-Encoding", "gzip"), *headers,
        ),
    )  # fmt: skip
    return program(call, wire)


LIBRARIES = [
    ("openai.chat", "api.openai.com/v1/chat/completions", "openai", CHAT),
    ("openai.chat", "api.openai.com/v1/chat/completions", "openai",
     CHAT | {"stream": True, "stream_options": {"include_usage": True}, "top_k": 5}),
    ("openai.chat", "llm.example.com/api/v2/chat/completions", "example", CHAT | {"seed": 1}),
    ("openai.responses", "api.openai.com/v1/responses", "openai",
     {"model": "m", "input": "hello", "reasoning": {"effort": "low"}, "stream": True}),
    ("openai.embeddings", "api.openai.com/v1/embeddings", "openai",
     {"model": "m", "input": ["a", "b"], "encoding_format": "float"}),
    ("anthropic.messages", "api.anthropic.com/v1/messages", "anthropic",
     {"model": "m", "max_tokens": 5, "messages": ASKED, "stream": True, "mcp_servers": []}),
    ("gemini.generate", "generativelanguage.googleapis.com/v1beta/models/g-1.5:generateContent",
     "google",
     {"contents": CONTENTS, "systemInstruction": {"parts": [{"text": "be kind"}]},
      "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9}}),
    ("mistral.chat", "api.mistral.ai/v1/chat/completions", "mistral",
     {"model": "m", "messages": ASKED, "max_tokens": 3, "tools": [TOOL]}),
    ("cohere.v2chat", "api.cohere.com/v2/chat", "cohere",
     {"model": "m", "messages": ASKED, "k": 3, "stream": True}),
    ("cohere.rerank", "api.cohere.com/v2/rerank", "cohere",
     {"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1}),
]  # fmt: skip


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(("dialect", "url", "provider", "body"), LIBRARIES)
def test_the_library_sends_the_same_again(
    server, monkeypatch, tmp_path, dialect, url, provider, body, long
):
    """A long request is read from a file."""
    address, took = server
    (tmp_path / "request.json").write_text(json.dumps(body))
    monkeypatch.chdir(tmp_path)
    beta = (("anthropic-beta", "some-2026"),) if provider == "anthropic" else ()
    said = written(dialect, url, body, beta, provider, long=long)
    assert "httpx" not in said
    assert ("request.json" in said) == long
    for name in ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "CO", "EXAMPLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "a-key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", address)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    said = said.replace("https://llm.example.com", address)
    said = said.replace("Mistral(", f'Mistral(server_url="{address}", ')
    said = said.replace("ClientV2(", f'ClientV2(base_url="{address}"')
    with pytest.raises(Exception) as refused:  # of each library's own type
        exec(compile(said, "program", "exec"), {})
    assert took, refused.value
    [(path, sent, headers)] = took
    assert path.partition("?")[0] == "/" + url.partition("/")[2]
    added = {name for name in sent if name not in body}
    assert added <= {"stream", "parallel_tool_calls"}
    assert {name: sent.get(name) for name in body} == body
    assert headers.get("accept-encoding", "").lower() != "gzip", "the library's own"
    assert headers.get("anthropic-beta") == (beta[0][1] if beta else None)


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(
    ("dialect", "url", "provider", "body"),
    [
        ("openai.chat", "x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
         "azure", CHAT),
        ("cohere.v2chat", "api.cohere.com/v2/chat", "cohere", {"model": "m", "new_thing": 1}),
        ("other", "llm.example.com/ask", "example", {"question": "?"}),
    ],
)  # fmt: skip
def test_what_no_library_says_is_said_with_httpx(
    server, monkeypatch, tmp_path, dialect, url, provider, body, long
):
    address, took = server
    (tmp_path / "request.json").write_text(json.dumps(body))
    monkeypatch.chdir(tmp_path)
    said = written(dialect, url, body, (("accept", "*/*"),), provider, long=long)
    for name in ("AZURE_OPENAI", "COHERE", "EXAMPLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "a-key")
    exec(compile(said.replace(f"https://{url.partition('/')[0]}", address), "program", "exec"), {})
    [(path, sent, headers)] = took
    assert path == "/" + url.partition("/")[2]
    assert sent == body
    assert "a-key" in (headers.get("api-key"), headers.get("authorization", "")[7:])
    assert headers["accept"] == "*/*"


async def test_what_is_no_json_object_has_no_program(database, get):
    """A form, a list: there is a command for those."""
    for number, body in enumerate((b"a=b", b"[1]", b'{"a": ', b'{"a": 1}'), 1):
        payload = Payload(request_headers=[], request_body=body, response_body=b"")
        store(database, Record(call=call(number), payload=payload))
        page = (await get(f"{CALLS}/call-{number:03d}")).text
        assert ("Repeat with Python" in page) == (number == 4)
        assert "Repeat with curl" in page


@pytest.mark.parametrize(
    "path, sent",
    [
        ("/v1beta/models/g:generateContent?alt=sse&key=REDACTED", "?alt=sse"),
        ("/v1beta/models/g:generateContent?key=REDACTED", ""),
        ("/v1/x?sig=[redacted:named_secret]&api-version=2", "?api-version=2"),
        ("/v1/x?name=REDACTED-not&empty=&flag", "?name=REDACTED-not&empty=&flag"),
        ("/v1/x", ""),
    ],
)
def test_an_address_to_repeat_has_no_place_for_a_secret(path, sent):
    """The key goes by header; a redacted parameter beside it would be taken for a wrong one."""
    asked = LlmCall(
        id="1", started_us=1, provider="google", host="api.example.com", path=path, method="POST",
        outcome="ok",
    )  # fmt: skip
    wire = Wire(request="{}", request_names=("a",))
    address = f"https://api.example.com{path.partition('?')[0]}{sent}"
    assert curl(asked, wire).split(" \\\n")[0].split()[-1].strip("'") == address
    assert f'    "{address}",\n' in program(asked, wire)
    assert "$GEMINI_API_KEY" in curl(asked, wire)
