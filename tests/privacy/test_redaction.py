"""Secrets go, everything else stays, and it is quick."""

import base64
import hashlib
import json
import sysconfig
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from agenttrace_mitm.privacy import Redactor, lines

A36 = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
HEX = "0123456789abcdef0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(["MIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aozN3tihPmUodnudG3HdanIthO"] * 3)
    + "\n-----END RSA PRIVATE KEY-----"
)
SECRETS = {
    "anthropic_key": "sk-ant-api03-" + A36,
    "openai_key": "sk-proj-" + A36,
    "api_key": "sk-" + A36,
    "google_key": "AIzaSy" + A36[:33],
    "google_token": "ya29.a0" + A36,
    "github_token": "ghp_" + A36,
    "gitlab_token": "glpat-" + A36[:20],
    "slack_token": "xoxb-123456789012-" + A36[:24],
    "aws_key": "AKIAIOSFODNN7EXAMPLE",
    "stripe_key": "sk_live_" + A36[:24],
    "jwt": JWT,
    "private_key": PEM,
    "huggingface_token": "hf_" + A36[:34],
    "npm_token": "npm_" + A36,
    "pypi_token": "pypi-AgEIcHlwaS5vcmc" + A36 + A36,
    "telegram_token": "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
    "sendgrid_key": "SG." + A36[:22] + "." + A36 + "abcdefg",
    "twilio_key": "SK" + HEX,
    "groq_key": "gsk_" + A36,
    "xai_key": "xai-" + A36 + A36,
    "vault_token": "hvs." + A36,
    "databricks_token": "dapi" + HEX,
    "fireworks_key": "fw_" + A36[:24],
    "together_key": "tgp_v1_" + A36,
    "jina_key": "jina_" + HEX + A36[:28],
    "firecrawl_key": "fc-" + HEX,
    "grafana_token": "glsa_" + A36[:32] + "_0a1b2c3d",
    "notion_token": "ntn_" + A36 + A36[:10],
    "docker_token": "dckr_pat_" + A36[:27],
    "supabase_token": "sbp_" + HEX + "01234567",
    "figma_token": "figd_" + A36,
}
MORE = [
    ("google_key", "AQ.Ab8RN6" + A36),
    ("github_token", "github_pat_11ABCDEFG0" + A36),
    ("github_token", "gho_" + A36),
    ("api_key", "sk-or-v1-" + HEX),
    ("openai_key", "sk-svcacct-" + A36),
    ("openai_key", "ek_" + HEX),
    ("aws_key", "ASIAIOSFODNN7EXAMPLE"),
    ("private_key", PEM.replace("RSA PRIVATE", "PRIVATE")),
    ("private_key", PEM.rpartition("\n")[0]),
]
EVERY = [*SECRETS.items(), *MORE]
CONTEXTS = [
    "{}",
    "the key is {} and that is all",
    'key="{}"',
    "({})",
    "a\n{}\nb",
    "export KEY={};",
    "https://host.example/path/{}",
]


def surrounded(secret, context):
    if secret.startswith("AAHdq"):
        secret = "123456789:" + secret
    return context.replace("{}", secret)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize(("kind", "secret"), EVERY, ids=lambda v: v[:14])
def test_published_shapes_are_recognised(kind, secret, context):
    """Whole, whatever stands around, and counted under its kind."""
    redactor = Redactor()
    clean = redactor.text(surrounded(secret, context))
    assert secret not in clean
    assert secret[-12:] not in clean
    assert f"[redacted:{kind}]" in clean or "[redacted:named_secret]" in clean
    assert sum(redactor.found.values()) == 1


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(("kind", "secret"), EVERY, ids=lambda v: v[:14])
def test_secrets_inside_json_are_recognised(kind, secret, depth):
    """Also after an escaped line end, also in JSON within JSON, as bytes and as a value."""
    value = {"list": ["before\n" + surrounded(secret, "{}") + "\nafter", 1, None]}
    text = value
    for _ in range(depth):
        text = json.dumps(text)
    redactor = Redactor()
    clean = redactor.data(b"data: " + text.encode() + b"\n\n")
    tail = json.dumps(secret)[1:-1][-12:]
    assert tail.encode() not in clean
    assert f"[redacted:{kind}]".encode() in clean
    assert json.loads(clean[6:])
    walked = Redactor().json(value)
    assert walked["list"][0].startswith("before\n")
    assert walked["list"][0].endswith("\nafter")
    assert secret not in walked["list"][0]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcDEF0123456789xyz.~+/-_==", "abcDEF0123456789xyz.~+/-_=="),
        ("curl -H 'authorization: bearer 0a1b2c3d4e5f60718293'", "0a1b2c3d4e5f60718293"),
        ("Authorization: Basic dXNlcjpjYW5hcnktcGFzcw==", "dXNlcjpjYW5hcnktcGFzcw=="),
        ("postgres://me:hunter2!@db.example/x", "hunter2!"),
        ("GET /v1/models?alt=sse&key=abcdefgh01234567 HTTP", "abcdefgh01234567"),
        ("https://x.example/a?api_key=0123456789abcdef&b=1", "0123456789abcdef"),
        ("https://x.example/a?access_token=0123456789abcdef", "0123456789abcdef"),
        ("MISTRAL_API_KEY=3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5Yz0AbC", "3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5Yz0AbC"),
        ('"CO_API_KEY": "3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5"', "3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5"),
        ("x-api-key: 3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5", "3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5"),
        (
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        (
            '"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("AccountName=x;AccountKey=" + A36 * 2 + "abcd012345+/==;", A36 * 2),
        ("Authorization: 3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5Yz0AbC", "3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5Yz0AbC"),
        ("curl -H 'Authorization: Token 3fGh7Jk2Lm9Np4Qr6St8'", "3fGh7Jk2Lm9Np4Qr6St8"),
        ("X-Custom-Auth: 3fGh7Jk2Lm9Np4Qr6St8", "3fGh7Jk2Lm9Np4Qr6St8"),
        ("xai-realtime-client-secret-abcd-efgh-ijkl", "abcd-efgh-ijkl"),
        ("wss://x.example/v1?model=m&auth=0123456789abcdef", "0123456789abcdef"),
        ("https://x.example/?ek=0123456789abcdef&b=1", "0123456789abcdef"),
        ("refresh_token=1%2F%2F0gAbCdEf0123456789&grant_type=x", "0gAbCdEf0123456789"),
        ("api_key%3D3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5", "3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5"),
        ("name: auth_tokens/0123456789abcdef0123", "0123456789abcdef0123"),
        ("https://hooks.slack.com/services/T0AB/B0CD/aB3dE6gH9jK2mN5pQ8sT1vW4", "aB3dE6gH9jK2mN5p"),
        ("https://mcp.zapier.com/api/mcp/s/aB3dE6gH9jK2mN5pQ8sT1vW4/mcp", "aB3dE6gH9jK2mN5p"),
        (
            "https://discord.com/api/webhooks/1234567890/aB3dE6gH9jK2mN5pQ8sT1vW4",
            "aB3dE6gH9jK2mN5p",
        ),
        ("curl -u admin:hunter2 https://x.example", "hunter2"),
        ("curl -sSu 'me@x.example:S3cr3t!' https://x.example", "S3cr3t!"),
        ('curl https://x.example/?a=1&b=2 --user "admin:hunter2"', "hunter2"),
        ("curl -X POST \\\n  --user=admin:hunter2 \\\n  https://x.example", "hunter2"),
        ('curl -H "Accept: a/b; charset=utf-8" -u me:hunter2 https://x.example', "hunter2"),
        ("curl 'https://x.example/a?b=1|2' -u me:hunter2", "hunter2"),
        ('curl -d \'{"a": "b; c"}\' -u me:hunter2 https://x.example', "hunter2"),
        ("bash -c \"curl -H 'a: b; c' -u me:hunter2 x\"", "hunter2"),
        ("make && curl -s -u me:hunter2 x", "hunter2"),
        ("$ sudo curl -s -u me:hunter2 x", "hunter2"),
        ("id=$(curl -s -u me:hunter2 x)", "hunter2"),
        ("Try `curl -s -u me:hunter2 x`", "hunter2"),
        ("Try curl -u me:hunter2 x", "hunter2"),
        ("for i in 1 2; do curl -s -u me:hunter2 x; done", "hunter2"),
        ("a:\n  - run: curl -s -u me:hunter2 x", "hunter2"),
        ("+    curl -s -u me:hunter2 x", "hunter2"),
        ("curl " + "x" * 400 + "; curl -s -u me:hunter2 x", "hunter2"),
        ("curl -d $(curl -s " + "x" * 480 + ") -u me:hunter2 x", "hunter2"),
        ("/usr/bin/curl -s -u me:hunter2 x", "hunter2"),
        ("C:\\Windows\\System32\\curl.exe -s -u me:hunter2 x", "hunter2"),
        ("curl.exe -u me:hunter2 x", "hunter2"),
        ('& "C:\\Program Files\\curl\\curl.exe" -s -u me:hunter2 x', "hunter2"),
        ("time curl -s -u me:hunter2 x", "hunter2"),
        ("sudo -E curl -s -u me:hunter2 x", "hunter2"),
        ("timeout 5 curl https://x.example/a?b=1&c=2 -u me:hunter2", "hunter2"),
        ("if curl -sf -X POST localhost:8080/health -u me:hunter2; then a; fi", "hunter2"),
        ("until curl -s \\\n -H 'a: b; c, two plain words' \\\n -u me:hunter2 x; do", "hunter2"),
        ("nohup curl \\\n  -s -u me:hunter2 x &", "hunter2"),
        ("ssh host curl -s --proxy-user me:hunter2 x", "hunter2"),
        ("TOKEN=1 curl \"$URL/a\" -u 'me:hunter2'", "hunter2"),
        ("docker exec app curl -s $(curl -s x) -u me:hunter2 x", "hunter2"),
        ("docker run --rm curlimages/curl:8.9.1 -s -u me:hunter2 x", "hunter2"),
        ("xargs -n1 curl -o a.txt -U me:hunter2 < urls", "hunter2"),
        ("Check it with curl -s and if it fails with curl -u me:hunter2 x", "hunter2"),
        ("Check `time curl -s -u me:hunter2 x`, then wait", "hunter2"),
        ('["curl","-s","-u","admin:hunter2"]', "hunter2"),
        ('["curl", "-H", "a; b", "-d", "{\\"a\\": [1]}", "-uadmin:hunter2"]', "hunter2"),
        ('["sudo", "/usr/bin/curl", "https://x.example", "--user=admin:hunter2"]', "hunter2"),
        ("CMD ['curl', '-f', '-u', 'admin:hunter2', 'x']", "hunter2"),
        ('run([\n    "curl",\n    "-s",\n    "-u",\n    "admin:hunter2",\n])', "hunter2"),
        ('exec.Command("curl", "-s", "-u", "admin:hunter2")', "hunter2"),
        ("token: aB3dE6gH9jK2mN5pQ8sT1vW4", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
        ("a: b\n    secret: 'aB3dE6gH9jK2mN5pQ8sT1vW4'\n", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
        ("     1\ttoken: aB3dE6gH9jK2mN5pQ8sT1vW4", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
        ("     1→token: aB3dE6gH9jK2mN5pQ8sT1vW4", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
        ("@@ -1 +1 @@\n+  token: aB3dE6gH9jK2mN5pQ8sT1vW4", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
        ("db:\n  password: S3cr3t!pass\n  port: 1", "S3cr3t!pass"),
        ("db_password: 'S3cr3t!pass-9'", "S3cr3t!pass-9"),
        ('{"user":"me","password":"S3cr3t!pass"}', "S3cr3t!pass"),
        ("environment:\n  POSTGRES_PASSWORD: S3cr3t!pw\n", "S3cr3t!pw"),
        ("password: Tr0ub4dor$3x", "Tr0ub4dor$3x"),
        ('db_password: "P@ss.w0rd1"', "P@ss.w0rd1"),
        ("headers=[('x-api-key', 'aB3dE6gH9jK2mN5pQ8sT1vW4')]", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
        ("{b'api-key': b'aB3dE6gH9jK2mN5pQ8sT1vW4'}", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
        ("{'Authorization': 'Bearer aB3dE6gH9jK2mN5pQ8sT1vW4'}", "aB3dE6gH9jK2mN5pQ8sT1vW4"),
    ],
)
def test_what_stands_before_a_secret_tells(text, secret):
    clean = Redactor().text(text)
    assert secret not in clean
    assert "[redacted:" in clean
    escaped = json.dumps({"t": json.dumps({"u": text})})
    assert secret.encode() not in Redactor().data(escaped.encode())


SIGNED = [
    "X-Amz-Date=20261130T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
    "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature={}&x=1",
    "X-Amz-Security-Token={}&X-Amz-Expires=300",
    "sv=2026-01-01&sr=b&sig={}&se=2026-12-01",
    "Expires=1764500000&Signature={}&Key-Pair-Id=K1",
]


@pytest.mark.parametrize("value", [HEX * 2, "aB3%2FdE6%2BgH9jK2%2FmN5pQ8%2BsT1vW4%3D", A36])
@pytest.mark.parametrize("query", SIGNED)
@pytest.mark.parametrize("wrap", [str, quote, lambda url: url.replace("&", "&amp;"),
                                  lambda url: url.replace("&", "\\u0026")])  # fmt: skip
def test_what_opens_a_signed_url_goes(wrap, query, value):
    """Whole, percent-encoded or not, whatever its pieces; the rest of the URL stays."""
    url = "https://bucket.example/a.png?" + query
    clean = Redactor().text(f"see {wrap(url.replace('{}', value))} there")
    before, after = query.split("{}")
    assert clean == "see {} there".format(
        wrap("https://bucket.example/a.png?" + before) + "[redacted:url_signature]" + wrap(after)
    )


@pytest.mark.parametrize("name", ["api_key", "client_secret", "token", "authorization"])
def test_a_field_of_a_form_names_a_secret(name):
    form = (
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\nhunter2!\r\n'
        b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nuploads/a.png\r\n--b--\r\n'
    ) % name.encode()
    assert Redactor().data(form) == form.replace(b"hunter2!", b"[redacted:named_secret]")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_command_ends_with_its_line_in_json_as_well(depth):
    """And goes on where a backslash says so, which JSON escapes like the line's end."""
    text = "curl x\ndocker run -u root:daemon-9\ncurl x \\\n -u me:hunter2 x"
    clean = text.replace("hunter2", "[redacted:basic_auth]")
    for _ in range(depth):
        text, clean = json.dumps(text), json.dumps(clean)
    assert Redactor().text(text) == clean


@pytest.mark.parametrize("secret", ["hunter2", "h\u00fcnter-2"])
@pytest.mark.parametrize(
    "words",
    [
        ["curl", "-s", "-u", "me:{}", "x"],
        ["sudo", "C:\\bin\\curl.exe", "-s", "--user=me:{}"],
        ["bash", "-lc", "time curl -s -u me:{} x"],
        ["curl", "-H", 'a: "b"]', "-u", "me:{}", "\ud800"],
    ],
)
def test_a_list_of_words_goes_as_a_value_as_in_bytes(words, secret):
    """Of such a list no word is a secret by itself; what else is in it stays."""
    value = {"action": {"command": [word.replace("{}", secret) for word in words]}}
    clean = {"action": {"command": [word.replace("{}", "[redacted:basic_auth]") for word in words]}}
    redactor = Redactor()
    assert redactor.json(value) == clean
    assert redactor.found == {"basic_auth": 1}
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert secret.encode() not in Redactor().data(data)


def test_a_password_goes_as_a_value_as_in_bytes():
    value = {"user": "me", "Password": "S3cr3t!pass", "passwords": ["S3cr3t!pass"]}
    clean = value | {"Password": "[redacted:named_secret]"}
    assert Redactor().json(value) == clean
    for separators in ((",", ":"), (", ", ": ")):
        data = json.dumps(value, separators=separators).encode()
        assert json.loads(Redactor().data(data)) == clean


def test_a_json_key_names_a_secret():
    redactor = Redactor()
    value = {"mistral": {"api_key": "3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5Yz0AbC", "model": "x"}}
    assert redactor.json(value) == {"mistral": {"api_key": "[redacted:named_secret]", "model": "x"}}
    assert redactor.found == {"named_secret": 1}


@pytest.mark.parametrize(
    "credential",
    ["3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5Yz0AbC", "dummy-key", "a.b~c+d/e", "x" * 200, "test.with.dots-01",
     "aBcDeFgHiJkLmNoPqRsTuVwXyZ.aBcDeFgHiJkLmNoPqRsTuVwXyZ", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg=="],
)  # fmt: skip
@pytest.mark.parametrize(
    "context",
    ["{}", 'say "{}" twice {}', "k={}\n", "Invalid key: {}.", "line\\n{}\\n", "({})", "{} {} {}",
     "%20{}%20", "{}...", "see /{}/ there", "\\u0022{}\\u0022", "~{}, +{}+"],
)  # fmt: skip
def test_the_credential_of_this_exchange_is_recognised(credential, context):
    """Mistral's and Cohere's keys have no shape: the digest of the one in use does."""
    digest = hashlib.sha256(credential.encode()).hexdigest()
    text = context.replace("{}", credential)
    redactor = Redactor([(len(credential), digest)])
    assert credential not in redactor.text(text)
    assert credential.encode() not in redactor.data(json.dumps([text]).encode())
    assert redactor.found["credential"] >= 1
    other = Redactor([(len(credential), "0" * 64)])
    other.text(text)
    assert other.found["credential"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "sk-folding-cube sk-cube-grid sk-estimator-doc-link-wrapper",
        "task-1234567890123456-abc risk-averse-0123456789ABC",
        "msg_01XFDUDYJgAACzvnptvVoYEL call_abc123DEF456ghi789 resp_68ab01cd",
        "123e4567-e89b-12d3-a456-426614174000",
        "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
        "Basic authentication is not the same as Bearer tokenization_of_things",
        "api_key = os.environ['OPENAI_API_KEY']  # api_key=self.api_key_from_environment",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBa\n",
        '"-----BEGIN PRIVATE KEY-----" is how it starts',
        "http://localhost:8080/@scope/package git@github.com:a/b user@example.com",
        "max_tokens=4096 prompt_cache_key='thread-0001-0002-0003' page_token",
        '"thoughtSignature": "CsUBAVSoXO7b3fGh7Jk2Lm9Np4Qr6St8Uv1Wx5Yz0AbC"',
        "def get_access_token(oauth2_session: OAuth2SessionWithRefresh) -> str:",
        "[redacted:api_key]",
        "a signature=sig_of_the_author_in_1999_2000, design=2, X-Goog-Signature is its name",
        "https://x.example/?sig=none&model=gpt-realtime&design=0123456789abcdef01",
        "the authorization: see section 12 of the document-about-authorization-0",
        'press({"key": "ArrowDown-0123456789abcdef"})',
        "curl -u user:password, curl -u $USER:$PASSWORD, curl --user '<user>:<password>' x",
        "curl -u user:your-secret-token; curl -u x:xxxx https://x.example",
        "curl https://x.example\ndocker run -u root:daemon-9 x && curl x | sudo -u me:you-2 y",
        "curl -u 1000:1000; docker run -u 1000:1000; git -u origin:main-2",
        "token: the-name-of-a-token-0123 and secret: none",
        "a token: aB3dE6gH9jK2mN5pQ8sT1vW4 stands in a sentence",
        "token: tokens.first[0123456789]\ntoken: string\nsecret: my_secret_name_of_2026",
        "password: string\npassword: Password1\npassword: hunter2\npassword: req.body.password1",
        "password: !Sub x\npassword: *Anchor1\npassword: z.string().min(8)\npassword: ${DB_P4SS}",
        "apk add curl shadow -u app:appgroup\ncurl is better than docker; run -u node:node-1",
        "better with curl than docker run -u node:node, use curl, then python -u main.py:foo",
        '{"a": "curl https://x.example", "b": "docker run -u node:node-1"}',
        "curl 'x;y\ndocker run -u root:daemon-9\ncurl don't; docker run -u root:daemon-9",
        "prefer curl -s over docker run -u node:node-1, or time curl -s or python -u main.py:foo",
        "if curl is missing, docker run -u node:node-1; time curl and docker run -u node:node-1",
        "Run `time curl -s x` or `docker run -u node:node-1`, exec curl/wget, podman -u app:app-1",
        "use libcurl -s here, docker -u node:node-1; with curl - a tool, docker -u node:node-1",
        '{"a": "time curl -s x", "b": "sudo -u me:you-2 y"}',
        '{"a": "make && curl -s x", "b": "sudo -u me:you-2 y"}',
        '["apk", "add", "curl", "shadow"], ["docker", "run", "-u", "node:node-1"]',
        '["curl", "-s", "x"], ["docker", "run", "-u", "node:node-1"]',
        '["curl", "wget", "-u", "node:node-1"], {"curl": "-s", "docker": ["-u", "node:node-1"]}',
        '["curl", "-s", "-u", "1000:1000"], ["curl", "-s", "-u", "$USER:$PASSWORD"]',
        'password: config.get("x1")\npassword: $PASSWORD\nPASSWORD: ${DB_P4ss}',
        "password: process.env.Pass_1!\npassword: user?.Password1\npassword: Pre1$DB_PASS",
        '("authorization", "x-amz-content-sha256", "x-amz-date-0123456789")',
        '["password", "user_id_0123456789abcdef"], ["api_key", "openai_key_0123456789"]',
    ],
)
def test_ordinary_text_stays(text):
    assert Redactor([(40, "0" * 64)]).text(text) is text


def ordinary_code():
    library = Path(sysconfig.get_paths()["stdlib"])
    return b"".join(path.read_bytes() for path in sorted(library.glob("*.py")))


def test_source_code_stays():
    """The standard library, a few megabytes of it, without one false hit."""
    code = ordinary_code()
    assert len(code) > 2_000_000
    redactor = Redactor([(39, "0" * 64), (108, "1" * 64)])
    assert redactor.data(code) is code
    assert not redactor.found


def test_clean_values_are_handed_back_as_they_are():
    value = {"a": ["b", 1, 2.5, None, True], "text": "\ud800 lone"}
    assert Redactor().json(value) == value
    clean = {"a": ["b"]}
    assert Redactor().json(clean) is clean


def test_redacting_twice_changes_nothing():
    once = Redactor().text(" ".join(secret for _, secret in EVERY))
    assert Redactor().text(once) == once


HARD = {
    "base64": base64.b64encode(bytes(range(256)) * 600),
    "one long secret": b" sk-proj-" + b"a1B" * 66_000,
    "secrets only": (b" sk-proj-" + b"a1B" * 20) * 2900,
    "key headers": b"-----BEGIN PRIVATE KEY-----" * 7400,
    "plus signs": b"a+" * 100_000,
    "token starts": b"eyJ" * 66_000,
    "user info": b"://a:" * 40_000 + b"@" * 100,
    "names only": b"password=" * 22_000,
    "names of lines": b"password: " * 22_000,
    "commands": b"curl -u " * 25_000,
    "commands without an end": b"curl " * 40_000,
    "commands after commands": b";curl " * 33_000,
    "commands of backslashes": (b"`curl " + b"\\" * 490) * 400,
    "a line of commands": b"curl https://x.example/p?a&b " * 7000,
    "commands of quotes": (b"\ncurl -H '" + b"\\'\\\\'" * 90) * 400,
    "commands of sentences": b"see curl -s and " * 12_000,
    "commands of users": b"time curl -s" + b" -u a:bcd" * 22_000,
    "commands of lists": b'["curl", "-s", ' * 13_000,
    "commands of items": b'["curl", "-s", ' + b'"-u", "a:bcd", ' * 13_000,
    "commands of blanks": (b'"curl"' + b" \\n" * 300) * 200,
    "commands in quotes": (b'time curl -s "' + b"a b c " * 70) * 400,
    "a command of backslashes": b"curl " + b"\\" * 100_000 + b"n",
}


@pytest.mark.parametrize("name", HARD)
def test_hard_inputs_are_scanned_once(name):
    """Inputs on which a pattern could backtrack: a quadratic scan of them would not end today."""
    redactor = Redactor([(108, "0" * 64)])
    once = redactor.data(HARD[name])
    assert redactor.data(once) == once


COMMANDS = [name for name in HARD if name.startswith(("commands", "a line"))]


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_take_time_by_their_size(name):
    """Twice as many take about twice as long: none is scanned again by all before it."""

    def seconds(data):
        took = []
        for _ in range(3):
            began = time.process_time()
            list(lines.in_bytes(data))
            took.append(time.process_time() - began)
        return min(took)

    data = HARD[name]
    once, twice = seconds(data), seconds(data * 2)
    assert twice < 3.5 * once + 0.02
    assert once < 0.3
