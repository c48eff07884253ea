"""What we read in header fields, and what of it may leave this process."""

import base64
from dataclasses import dataclass, field

from mitmproxy import http

from ..frames import Pairs
from . import policy

TAG = "x-agenttrace-tag-"
TOKEN = "x-agenttrace-token"  # noqa: S105 - a header's name
CALLER_FIELDS = {
    "x-agenttrace-agent": "agent",
    "x-agenttrace-session": "session",
    "x-agenttrace-trace": "trace",
}


@dataclass(slots=True)
class Told:
    """What the client said about itself in headers meant for us."""

    caller: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def login_of(request: http.Request) -> str:
    """The proxy login of *request*; programs with a base URL of ours send the token by itself."""
    if token := request.headers.get(TOKEN, ""):
        return "Basic " + base64.b64encode(f":{token}".encode()).decode()
    return str(request.headers.get("proxy-authorization", ""))


def take_ours(request: http.Request, *, login: bool) -> Told:
    """Remove the headers meant for us, the proxy *login* among them, and read them."""
    told = Told()
    ours = set()
    for raw_name, value in request.headers.fields:
        lower = raw_name.lower()
        if lower.startswith(b"x-agenttrace-"):
            name, text = lower.decode("ascii", "replace"), value.decode("utf-8", "replace").strip()
            if name in CALLER_FIELDS:
                told.caller[CALLER_FIELDS[name]] = text
            elif name.startswith(TAG):
                told.tags[name.removeprefix(TAG)] = text
        elif not (login and lower == b"proxy-authorization"):
            continue
        ours.add(lower)
    if ours:
        fields = request.headers.fields
        request.headers.fields = tuple(f for f in fields if f[0].lower() not in ours)
    return told


def pairs(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[Pairs, list[policy.Digest]]:
    """Header fields without credentials, and the digests of those."""
    kept: Pairs = []
    digests: list[policy.Digest] = []
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("utf-8", "replace"), raw_value.decode("utf-8", "replace")
        lower = name.lower()
        if policy.is_credential(lower):
            digests += policy.digests(lower, value)
            value = policy.REDACTED
        kept.append((name, value))
    return kept, digests
