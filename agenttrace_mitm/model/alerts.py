"""Alert rules, what they found, and what has to be told: the rows of three tables."""

from typing import Literal

from .json import Json
from .row import Row

Severity = Literal["warning", "critical"]
Transition = Literal["fired", "escalated", "repeated", "resolved", "test"]


class AlertRule(Row):
    """A rule that somebody set up.  `params` are the settings of its type.

    `deliver` lists targets, such as `https://...`, `slack:https://...`, `mailto:me@example.com`.
    A firing is told again every `repeat_minutes`; None tells it once.
    """

    id: str
    name: str
    type: str
    params: Json
    deliver: tuple[str, ...] = ()
    enabled: bool = True
    repeat_minutes: int | None = None
    tell_resolved: bool = True
    silenced_until_us: int | None = None
    created_us: int
    updated_us: int
    checked_us: int | None = None
    problem: str | None = None


class Firing(Row):
    """One episode of one rule about one subject: it fires until `resolved_us`.

    `episode` separates what must not run together, such as the budgets of two days.
    `told_us` is when a message about it was last put in the outbox.
    """

    id: str
    rule_id: str
    rule_name: str
    rule_type: str
    subject: str
    episode: str = ""
    severity: Severity = "critical"
    message: str
    value: float | None = None
    started_us: int
    seen_us: int
    resolved_us: int | None = None
    resolution: str | None = None
    acknowledged_us: int | None = None
    told_us: int | None = None
    evidence: Json = None


class Delivery(Row):
    """A message in the outbox.  `id` stays the same however often it is tried."""

    id: str
    firing_id: str
    transition: Transition
    target: str
    body: Json
    created_us: int
    due_us: int
    attempts: int = 0
    leased_until_us: int | None = None
    delivered_us: int | None = None
    failed_us: int | None = None
    problem: str | None = None
