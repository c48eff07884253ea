"""Alert rules, what they found, and what has to be told: the rows of three tables."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .json import Json

Severity = Literal["warning", "critical"]
Transition = Literal["fired", "escalated", "repeated", "resolved", "test"]


class AlertRow(BaseModel):
    """Frozen and strict as a `Row` is; made of what is stored already, so no tier applies to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class AlertRule(AlertRow):
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


class Firing(AlertRow):
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


class Delivery(AlertRow):
    """A message in the outbox.  `id` stays the same however often it is tried.

    Messages of one `topic` (a rule and a subject) to one target are sent in their order.
    """

    id: str
    firing_id: str
    topic: str
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
