"""Messages as e-mail, by SMTP.

`SMTP_HOST`, `SMTP_PORT` (587), `SMTP_USER`, `SMTP_PASS`, `SMTP_FROM`, `SMTP_SECURE`: `true` speaks
TLS from the start (465), `starttls` insists on it, otherwise it is used where the server offers
it.  A password goes over TLS, or to this machine.  The Message-ID is made of the message's id.
"""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime
from typing import NamedTuple

from ..model import Delivery
from .messages import text_of
from .moments import local
from .targets import TIMEOUT_S, NotDelivered

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Server(NamedTuple):
    """A mail server, and who we are to it."""

    host: str
    port: int
    user: str
    password: str
    sender: str
    secure: str


def server_of(said: Mapping[str, str]) -> Server:
    """The server that the variables name.  Raises `NotDelivered` when they name none."""
    host = said.get("SMTP_HOST", "")
    if not host:
        raise NotDelivered("SMTP_HOST is not set")
    secure = said.get("SMTP_SECURE", "").lower()
    secure = "tls" if secure in ("true", "1", "yes", "tls", "ssl") else secure
    port = said.get("SMTP_PORT") or ("465" if secure == "tls" else "587")
    if not port.isdigit():
        raise NotDelivered(f"SMTP_PORT is {port!r}, not a number")
    user = said.get("SMTP_USER", "")
    sender = said.get("SMTP_FROM") or (user if "@" in user else "agenttrace@localhost")
    return Server(host, int(port), user, said.get("SMTP_PASS", ""), sender, secure)


def send(
    address: str, delivery: Delivery, said: Mapping[str, str], timeout_s: float = TIMEOUT_S
) -> None:
    """Mail *delivery* to *address*.  Raises `NotDelivered` unless the server took it."""
    server = server_of(said)
    try:
        message = _message(address, delivery, server.sender)
        with _connected(server, timeout_s) as smtp:
            if server.user:
                smtp.login(server.user, server.password)
            smtp.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise NotDelivered(f"{server.host}: {str(error) or type(error).__name__}"[:300]) from None


def _connected(server: Server, timeout_s: float) -> smtplib.SMTP:
    if server.secure == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(server.host, server.port, timeout=timeout_s, context=context)
    smtp = smtplib.SMTP(server.host, server.port, timeout=timeout_s)
    try:
        smtp.ehlo()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=ssl.create_default_context())
        elif server.secure == "starttls":
            raise NotDelivered(f"{server.host} does not offer STARTTLS")
        elif server.user and server.host not in LOOPBACK:
            raise NotDelivered(f"{server.host} offers no TLS; the password was not sent")
    except BaseException:  # whatever it was, the connection is not left open
        smtp.close()
        raise
    return smtp


def _message(address: str, delivery: Delivery, sender: str) -> EmailMessage:
    body = delivery.body if isinstance(delivery.body, dict) else {}
    message = EmailMessage()
    message["From"], message["To"] = sender, address
    message["Subject"] = f"AgentTrace: {body['message']}"[:200]
    message["Date"] = format_datetime(local(delivery.created_us, None))
    message["Message-ID"] = f"<{delivery.id}@agenttrace>"
    # All messages about a firing are one conversation.
    message["References"] = f"<{delivery.firing_id}@agenttrace>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text_of(body) + "\n")
    return message
