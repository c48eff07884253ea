"""Secrets of OAuth's token requests and their answers, known by their names alone.

Comes in: a body for an address, or one that names a `grant_type`.  There a `code`, a `password`
or an `assertion` is what opens the account, however short and whatever it looks like; elsewhere
those are words.
"""

import re
from urllib.parse import unquote_plus

from ..secret_names import is_credential_parameter

_ADDRESS = re.compile(r"auth[\w.-]*(?:/v\d+)?/(?:token|revoke|introspect)/?\Z")
_GRANT = re.compile(
    rb"(?:(?!grant_type=)[^\s&={}]*=[^\s&]*&)*+grant_type=|\s*\{[^{}]*\"grant_type\"\s*:"
)
"""A form or a JSON object with a `grant_type`."""

_ONLY_HERE = frozenset(
    ("assertion", "authorization_code", "client_assertion", "code_verifier", "device_code")
)
_ANSWERED = frozenset(("code", "key"))
"""In an answer these say what went wrong, not what opens the account."""

_FIELD = re.compile(rb"(?<![^&])([^\s&={}\"]+)=([^\s&]+)")
_MEMBER = re.compile(
    rb"\"(\w+)\"\s*:\s*(?:\"((?:[^\"\\]|\\.)+)|([0-9][\w.+-]*))", re.DOTALL
)  # a body may be cut: no closing quote is waited for
_REDACTED = b"[redacted:named_secret]"


def is_grant(path: str, request: bytes | None) -> bool:
    """True where what opens an account is sent to *path*, or asked for with *request*."""
    return bool(_ADDRESS.search(path) or (request and _GRANT.match(request)))


def without_grant(body: bytes | None, *, answered: bool) -> bytes | None:
    """*body*, JSON or a form, without what opens an account; *answered* by the server."""
    if body is None:
        return None

    def field(found: re.Match[bytes]) -> bytes:
        name = unquote_plus(found[1].decode("utf-8", "replace"))
        return found[1] + b"=" + _REDACTED if _is_secret(name, answered) else found[0]

    def member(found: re.Match[bytes]) -> bytes:
        if not _is_secret(found[1].decode("utf-8", "replace"), answered):
            return found[0]
        before = found[0][: found.start(2 if found[2] else 3) - found.start()]
        return before + (_REDACTED if found[2] else b'"%b"' % _REDACTED)

    return _MEMBER.sub(member, body) if body.lstrip()[:1] in b"{[" else _FIELD.sub(field, body)


def _is_secret(name: str, answered: bool) -> bool:
    if answered and name in _ANSWERED:
        return False
    return name in _ONLY_HERE or is_credential_parameter(name)
