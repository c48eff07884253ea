"""Messages as HTTP requests: our JSON, signed, or what Slack, Discord and Teams take.

Signed as https://www.standardwebhooks.com say (2026-11): `webhook-id`, `webhook-timestamp` and
`webhook-signature: v1,BASE64(HMAC-SHA256(key, "id.timestamp.body"))`.  The id is the message's, so
that a receiver can drop what it has seen.  Redirects are not followed: what is signed for one
address is not for another.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..model import Delivery
from .messages import text_of
from .targets import TIMEOUT_S, How, NotDelivered, Target

PREFIX = "whsec_"


def key_of(file: Path) -> bytes:
    """The key in *file*, made when missing, readable by its owner only."""
    with contextlib.suppress(FileExistsError):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(PREFIX + base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return base64.b64decode(file.read_text("ascii").strip().removeprefix(PREFIX), validate=True)


def sign(key: bytes, id_: str, at_s: int, body: bytes) -> str:
    """The signature of a message."""
    signed = f"{id_}.{at_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def send(
    target: Target, delivery: Delivery, key: bytes, at_s: int, timeout_s: float = TIMEOUT_S
) -> None:
    """Post *delivery*.  Raises `NotDelivered` unless the answer is 2xx, within *timeout_s*."""
    said = delivery.body if isinstance(delivery.body, dict) else {}
    body = json.dumps(SHAPES[target.how](said), ensure_ascii=False).encode()
    headers = {
        "content-type": "application/json",
        "user-agent": "AgentTrace",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": sign(key, delivery.id, at_s, body),
    }
    status, reason = _post(target.where, body, headers, timeout_s)
    if not 200 <= status < 300:
        raise NotDelivered(f"answered {status} {reason}".strip())


def _post(
    address: str, body: bytes, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, str]:
    parts = urlsplit(address)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    # The timeout of a socket starts anew with every byte; this one does not.
    late = threading.Event()
    alarm = threading.Timer(timeout_s, _hang_up, (connection, late))
    alarm.daemon = True
    alarm.start()
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.reason[:100]
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise NotDelivered(f"no answer within {timeout_s:g} s") from None
        raise NotDelivered(str(error) or type(error).__name__) from None
    finally:
        alarm.cancel()
        connection.close()


def _hang_up(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


# ------------------------------------------------------------------ shapes


def _slack(body: dict[str, Any]) -> dict[str, Any]:
    # https://docs.slack.dev/messaging/formatting-message-text (2026-11): three letters to escape
    text = text_of(body).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": text[:3_000]}


def _discord(body: dict[str, Any]) -> dict[str, Any]:
    # https://docs.discord.com/developers/resources/webhook (2026-11): 2,000 letters at most
    return {"content": text_of(body)[:1_990], "allowed_mentions": {"parse": []}}


def _teams(body: dict[str, Any]) -> dict[str, Any]:
    # What the webhook of a Teams workflow takes: an adaptive card.
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": line, "wrap": True} for line in text_of(body).splitlines()
        ],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


SHAPES: Mapping[How, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "webhook": lambda body: body,
    "slack": _slack,
    "discord": _discord,
    "teams": _teams,
}
