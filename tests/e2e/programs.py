"""Programs that make one call, in every language that agents are written in.

Each is as its users write it: no proxy, no certificate, no setting for us.  It gets a URL and a
body where its client lets it choose, and prints what it was answered.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RUNTIMES = Path(__file__).with_name("runtimes")
URL = "https://api.openai.com/v1/chat/completions"
BODY = '{"model":"gpt-5.5","messages":[{"role":"user","content":"Hello"}]}'
GRPC_METHOD = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent"


@dataclass(frozen=True)
class Program:
    """One client in one runtime.

    `runtime` is what it needs on this machine; `source` goes into a file called `file`, after
    which the process is called.  `env` says whether the environment of `run` reaches it.
    """

    runtime: str
    file: str
    source: str
    env: bool = True
    """Not reached by variables and hooks: only `--transparent` helps."""
    told: str = ""
    """The text of the answer that an SDK prints; without one, the body is printed as it came."""

    @property
    def id(self) -> str:
        """For test names and agents."""
        return f"{self.runtime}-{self.file.partition('.')[0]}"

    @property
    def interpreter(self) -> str | None:
        """The program that runs it, None where there is none."""
        if self.runtime == "python":
            return sys.executable
        if self.runtime in ("node-new", "bun", "deno"):
            name = self.runtime.removesuffix("-new")
            found = RUNTIMES / "node_modules" / ".bin" / name
            return str(found) if found.exists() else None
        return shutil.which(self.runtime)

    def prepare(self, folder: Path) -> list[str]:
        """Its command line.  Raises `LookupError` when something that it needs is not here."""
        interpreter = self.interpreter
        if interpreter is None:
            raise LookupError(f"{self.runtime} is not installed")
        if self.runtime in ("curl", "wget"):
            return [interpreter, *self.source.split(), BODY, URL]
        source = folder / self.file
        source.write_text(self.source)
        if self.runtime in ("node", "node-new", "bun"):
            if not (RUNTIMES / "node_modules").is_dir():
                raise LookupError("scripts/runtimes was not run")
            modules = folder / "node_modules"
            if not modules.is_symlink():
                modules.symlink_to(RUNTIMES / "node_modules")
        if self.runtime == "go":
            return [str(_built(interpreter, source)), URL, BODY]
        before = {"deno": ["run", "--allow-net"]}.get(self.runtime, [])
        return [interpreter, *before, str(source), URL, BODY]


@cache
def _built(go: str, source: Path) -> Path:
    """A static binary: it asks no C library for names or certificates."""
    binary = source.with_suffix("")
    environ = {"PATH": str(Path(go).parent), "CGO_ENABLED": "0", "GO111MODULE": "off"}
    # The standard library takes a minute to build, so it is kept with what npm brought.
    modules = RUNTIMES / "node_modules"
    kept = modules if modules.is_dir() else source.parent
    caches = {"GOCACHE": str(kept / ".go-cache"), "GOPATH": str(source.parent / "path")}
    subprocess.run([go, "build", "-o", binary, source], env=environ | caches, check=True)
    return binary


def _js(head: str, call: str) -> str:
    return f"{head}\nconst [url, body] = process.argv.slice(2);\n{call}\n"


_JSON = '{ "content-type": "application/json" }'
_FETCH = f"""
const response = await fetch(url, {{ method: "POST", headers: {_JSON}, body }});
process.stdout.write(await response.text());
"""
_HTTPS = f"""
https.request(url, {{ method: "POST", headers: {_JSON} }}, (response) => {{
  response.pipe(process.stdout);
}}).end(body);
"""
_AXIOS = f"""
const response = await axios.post(url, body, {{ headers: {_JSON}, responseType: "text" }});
process.stdout.write(response.data);
"""
_UNDICI = f"""
const response = await request(url, {{ method: "POST", headers: {_JSON}, body }});
process.stdout.write(await response.body.text());
"""
_OPENAI = """
const client = new OpenAI({ apiKey: "sk-runtimes-0123456789abcdef" });
const answer = await client.chat.completions.create(JSON.parse(body));
process.stdout.write(answer.choices[0].message.content);
"""
NODE = {
    "fetch.mjs": _js("", _FETCH),
    "https.mjs": _js('import https from "node:https";', _HTTPS),
    "axios.mjs": _js('import axios from "axios";', _AXIOS),
    "undici.mjs": _js('import { request } from "undici";', _UNDICI),
    "openai.mjs": _js('import OpenAI from "openai";', _OPENAI),
}
DENO = """
const [url, body] = Deno.args;
const response = await fetch(url, { method: "POST", body });
await Deno.stdout.write(new Uint8Array(await response.arrayBuffer()));
"""
PYTHON = {
    "with_httpx.py": """
import sys, httpx
print(end=httpx.post(sys.argv[1], content=sys.argv[2]).text)
""",
    "with_requests.py": """
import sys, requests
print(end=requests.post(sys.argv[1], data=sys.argv[2]).text)
""",
    "with_urllib.py": """
import sys, urllib.request
print(end=urllib.request.urlopen(sys.argv[1], sys.argv[2].encode()).read().decode())
""",
    "with_aiohttp.py": """
import asyncio, sys, aiohttp
async def call():
    async with aiohttp.ClientSession() as session:  # which ignores proxy variables by default
        async with session.post(sys.argv[1], data=sys.argv[2]) as response:
            print(end=await response.text())
asyncio.run(call())
""",
}
SDKS = {
    "with_openai.py": """
import json, sys, openai
client = openai.OpenAI(api_key="sk-runtimes-0123456789abcdef")
answer = client.chat.completions.create(**json.loads(sys.argv[2]))
print(end=answer.choices[0].message.content)
""",
    "with_anthropic.py": """
import anthropic
client = anthropic.Anthropic(api_key="sk-ant-runtimes-0123456789")
said = [{"role": "user", "content": "Hello"}]
answer = client.messages.create(model="claude-sonnet-5-5", max_tokens=99, messages=said)
print(end=answer.content[0].text)
""",
    "with_genai.py": """
from google import genai
client = genai.Client(api_key="AIza-runtimes-0123456789")
answer = client.models.generate_content(model="gemini-3-pro", contents="Hello")
print(end=answer.candidates[0].content.parts[0].text)
""",
}
GRPC = f"""
import sys, grpc
host = "generativelanguage.googleapis.com:443"
request = b"\\x0a\\x0fmodels/gemini-x\\x12\\x0f\\x0a\\x07\\x12\\x05Hello\\x12\\x04user"
with grpc.secure_channel(host, grpc.ssl_channel_credentials()) as channel:
    call = channel.unary_unary({GRPC_METHOD!r})
    sys.stdout.buffer.write(call(request, metadata=[("x-goog-api-key", "AIza-0123456789")]))
"""
GO = """
package main

import (
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	answer, err := http.Post(os.Args[1], "application/json", strings.NewReader(os.Args[2]))
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, answer.Body)
}
"""
JAVA = """
import java.net.URI;
import java.net.http.*;
public class Call {
    public static void main(String[] given) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(given[0]))
            .POST(HttpRequest.BodyPublishers.ofString(given[1])).build();
        System.out.print(HttpClient.newHttpClient()
            .send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""
RUBY = """
require "net/http"
print Net::HTTP.post(URI(ARGV[0]), ARGV[1]).body
"""
PHP_CURL = """<?php
$curl = curl_init($argv[1]);
curl_setopt($curl, CURLOPT_POSTFIELDS, $argv[2]);
if (!curl_exec($curl)) { fwrite(STDERR, curl_error($curl)); exit(1); }
"""
PHP_STREAM = """<?php
$how = ["method" => "POST", "header" => "Content-Type: application/json", "content" => $argv[2]];
echo file_get_contents($argv[1], false, stream_context_create(["http" => $how]));
"""


def programs(text: str) -> tuple[Program, ...]:
    """All of them; SDKs print *text* when they were answered."""
    told = {"openai.mjs": text}
    return (
        *(Program("python", file, source) for file, source in PYTHON.items()),
        *(Program("python", file, source, told=text) for file, source in SDKS.items()),
        Program("python", "with_grpc.py", GRPC),
        *(
            Program(runtime, file, source, told=told.get(file, ""))
            for runtime in ("node", "node-new")
            for file, source in NODE.items()
        ),
        Program("bun", "fetch.mjs", NODE["fetch.mjs"]),
        Program("bun", "https.mjs", NODE["https.mjs"], env=False),
        Program("deno", "fetch.ts", DENO),
        Program("go", "call.go", GO),
        Program("java", "Call.java", JAVA),
        Program("ruby", "call.rb", RUBY),
        Program("php", "curl.php", PHP_CURL),
        Program("php", "stream.php", PHP_STREAM, env=False),
        Program("curl", "curl", "-sSN -d"),
        Program("wget", "wget", "-q -O- --post-data"),
    )
