"""Sends what is in the outbox until it has arrived, from any number of processes.

A message is leased before it is sent and marked when it has arrived.  Whoever dies in between
leaves the lease to run out; the message is then sent again under the same id, so that a receiver
that drops ids it knows sees each once.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..clock import now_us
from ..errors import SettingsError
from ..model import Delivery
from ..settings import Settings
from ..store.alerting import AlertStore
from .moments import DAY_US, MINUTE_US, SECOND_US
from .targets import NotDelivered, target_of

log = logging.getLogger(__name__)

LEASE_US = MINUTE_US
QUICK_RETRIES_S = (1, 4, 16)
SLOW_RETRIES_S = (60, 300, 900, 3_600)
GIVE_UP_US = 7 * DAY_US

type Send = Callable[[Delivery], None]


@dataclass(slots=True)
class Sent:
    """What became of the messages that were tried."""

    arrived: int = 0
    failed: int = 0
    last_problem: str = ""


def drain(
    store: AlertStore,
    send: Send,
    wait_s: float = 0,
    *,
    now: Callable[[], int] = now_us,
    sleep: Callable[[float], object] = time.sleep,
) -> Sent:
    """Send what is due, and what falls due within *wait_s*; what became of it.

    *sleep* may return True to stop early.
    """
    sent = Sent()
    ends_us = now() + int(wait_s * SECOND_US)
    while True:
        while delivery := store.lease(now(), now() + LEASE_US):
            _try(store, send, delivery, sent, now)
        due_us = store.next_due()
        if due_us is None or due_us > ends_us:
            return sent
        if sleep(max((due_us - now()) / SECOND_US, 0.01)):
            return sent


def _try(
    store: AlertStore, send: Send, delivery: Delivery, sent: Sent, now: Callable[[], int]
) -> None:
    try:
        send(delivery)
    except (NotDelivered, SettingsError) as error:
        sent.failed += 1
        sent.last_problem = str(error)
        due_us = _next_try(delivery, now())
        store.missed(delivery, str(error), due_us, now())
        log.warning("an alert did not arrive (%s)%s", error, "" if due_us else "; given up")
    else:
        sent.arrived += 1
        store.arrived(delivery, now())


def _next_try(delivery: Delivery, at_us: int) -> int | None:
    """1, 4 and 16 seconds after a failure, then less and less often, for a week."""
    if at_us - delivery.created_us >= GIVE_UP_US:
        return None
    waits = QUICK_RETRIES_S + SLOW_RETRIES_S
    return at_us + waits[min(delivery.attempts, len(waits)) - 1] * SECOND_US


def sender(settings: Settings) -> Send:
    """Sends a message to its target, whatever that is."""
    said = {**settings.smtp, **{k: v for k, v in os.environ.items() if k.startswith("SMTP_")}}

    def send(delivery: Delivery) -> None:
        target = target_of(delivery.target)
        match target.how:
            case "mail":
                from . import mail  # noqa: PLC0415  # most checks send nothing

                mail.send(target.where, delivery, said)
            case "command":
                from . import command  # noqa: PLC0415

                command.send(target.where, delivery)
            case _:
                from . import webhook  # noqa: PLC0415

                file = settings.webhook_key_file
                try:
                    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    key = webhook.key_of(file)
                except (OSError, ValueError) as error:
                    raise NotDelivered(f"{file} cannot be used ({error})") from None
                webhook.send(target, delivery, key, now_us() // SECOND_US)

    return send
