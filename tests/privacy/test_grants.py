"""OAuth's token requests: what opens an account goes by its name, whatever it looks like."""

import json
from urllib.parse import urlencode

import pytest

from agenttrace_mitm.privacy import is_grant, without_grant
from agenttrace_mitm.store import request_of, response_of

from ..providers.exchanges import exchange
from ..support.recording import Recording

SHORT = "canaryCANARYabcdefghS"
NAMES = [
    *("client_secret", "refresh_token", "password", "access_token", "code", "code_verifier"),
    *("assertion", "client_assertion", "subject_token", "device_code"),
]
KEPT = {"grant_type": "refresh_token", "client_id": "9d1c250a", "scope": "user:inference"}


def form(values):
    return urlencode(values).encode()


def indented(values):
    return json.dumps(values, indent=2).encode()


WAYS = [form, indented, lambda values: json.dumps(values, separators=(",", ":")).encode()]


def stored(path, request, response=None):
    """The bodies of such an exchange as they are stored."""
    recording = Recording()
    recording.take(exchange("anthropic", path, response or {}, request))
    return request_of(recording.db, "x"), response_of(recording.db, "x")


@pytest.mark.parametrize("secret", [SHORT, "word", 'x y+/=&"\\', "hunter2!"])
@pytest.mark.parametrize("write", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a_grant_s_secrets_go_by_name(name, write, secret):
    """First, last, and beside what says who asks for what."""
    for values in ({name: secret} | KEPT, KEPT | {name: secret}):
        body = write(values)
        assert is_grant("/token", body)
        clean = without_grant(body, answered=False)
        assert clean == write(values | {name: "\0"}).replace(
            b"%00" if write is form else b"\\u0000", b"[redacted:named_secret]"
        )
        assert without_grant(clean, answered=False) == clean


@pytest.mark.parametrize("write", WAYS)
def test_a_token_request_is_stored_without_them(write):
    values = {"client_id": "9d1c250a", "client_secret": SHORT, "code": "c0de", "pin": 1}
    named = {"grant_type": "authorization_code"}
    for path, more in (("/v1/oauth/token?x=1", {}), ("/login", named)):
        answer = {"access_token": SHORT, "token_type": "Bearer", "expires_in": 28800}
        asked, answered = stored(path, write(values | more), answer)
        assert SHORT.encode() not in asked + answered
        assert b"c0de" not in asked
        assert b"9d1c250a" in asked
        assert json.loads(answered) == answer | {"access_token": "[redacted:named_secret]"}


def test_what_an_answer_says_went_wrong_stays():
    error = {"error": {"code": "invalid_grant", "message": "the code is used up"}}
    _, answered = stored("/v1/oauth/token", form(KEPT), error)
    assert json.loads(answered) == error


def test_what_was_cut_has_none_either():
    body = indented(KEPT | {"refresh_token": SHORT, "pin": "12345"})
    start = body.index(SHORT.encode())
    for end in range(start + 1, len(body)):
        clean = without_grant(body[:end], answered=False)
        assert clean == body[:start] + b"[redacted:named_secret]" + body[start + len(SHORT) : end]
    assert without_grant(b'{"password": 12345}', answered=False) == (
        b'{"password": "[redacted:named_secret]"}'
    )


@pytest.mark.parametrize(
    ("path", "request_body"),
    [
        ("/v1/files", b'{"code": "grant_type", "a": {"grant_type": "x"}}'),
        ("/v1/files", b"what=grant_type&code=word"),
        ("/v1/tokens", b'{"code": "word"}'),
        ("/v1/messages", b'{"tokenizer": "x"}'),
        ("/v1/files", b"the words code=word and grant_type=x"),
        ("/v1/files", None),
    ],
)
def test_what_only_sounds_like_a_grant_is_none(path, request_body):
    assert not is_grant(path, request_body)


@pytest.mark.parametrize("path", ["/v1/oauth/token", "/oauth2/v4/token", "/deviceauth/token",
                                  "/oauth2/revoke", "/oauth/token/"])  # fmt: skip
def test_an_address_tells_a_grant(path):
    assert is_grant(path, None)


@pytest.mark.parametrize("body", [b"a=&" * 100_000, b"{" + b'"grant_type" ' * 50_000,
                                  b'{"a": "' + b"\\" * 300_000, b"=" * 300_000])  # fmt: skip
def test_hard_bodies_are_read_once(body):
    assert not is_grant("/", body)
    assert without_grant(body, answered=False) == body
