"""Which calls a query string asks for, and in which order."""

import re
from collections.abc import Mapping

from ..asking import Asked, asked_of, choice_of, with_notes
from .terms import terms_of

OUTCOMES = {
    "failed": "('error', 'interrupted')",
    "ok": "('ok')",
    "error": "('error')",
    "interrupted": "('interrupted')",
    "cancelled": "('cancelled')",
    "in_flight": "('in_flight')",
}
TOOL_FAILED = "tool_failed"
OUTCOME_LABELS = {
    "failed": "failed", "ok": "ok", "error": "error", "interrupted": "cut short",
    "cancelled": "cancelled by the client", "in_flight": "running", TOOL_FAILED: "a tool failed",
}  # fmt: skip
NEWEST_FIRST = "started_us"
ORDERS = {
    "slowest": "cast(round(latency_ms * 1000) as integer)",
    "dearest": "cost_nano_usd",
}
"""What calls are sorted by, the most first; whole numbers, so that a page ends at one of them."""


NONE = "(none)"
OWN = ("outcome", "error", "status", "session", "prompt", "tool", "kind", "q", "sort")


class CallsAsked(Asked):
    """Which calls to list, in which order; `before` is where the page before ended."""

    outcome: str = ""
    session: str = ""
    prompt: str = ""
    """The id of a version of an agent's prompt."""
    error: str = ""
    """The type of their error, and `status` that of their answer; `NONE` where they had none."""
    status: str = ""
    tool: str = ""
    kind: str = ""
    q: str = ""
    sort: str = ""
    before: str = ""

    @property
    def filters(self) -> dict[str, str]:
        """Those of every page, and those of this one."""
        return super().filters | {name: said for name in OWN if (said := self[name])}

    @property
    def order(self) -> str:
        """What they are sorted by."""
        return ORDERS.get(self.sort, NEWEST_FIRST)

    @property
    def end(self) -> tuple[int, str] | None:
        """What the last call of the page before was sorted by, and its id."""
        place, dot, id_ = self.before.partition(".")
        return (int(place), id_) if dot else None

    @property
    def is_bounded(self) -> bool:
        """Whether only the newest calls are looked at; a search has its own bounds."""
        unindexed = self.sort or self.tool or self.outcome == TOOL_FAILED
        return bool(unindexed) and not terms_of(self.q)

    def __getitem__(self, name: str) -> str:
        said: str = getattr(self, name)
        return said


def calls_asked(arguments: Mapping[str, str], today: int) -> CallsAsked:
    """What a query string asks for."""
    asked = asked_of(arguments, today, own=(*OWN, "before"))
    common = asked.model_dump(exclude={"first_date", "last_date"})
    outcome, no_outcome = choice_of(arguments, "outcome", OUTCOME_LABELS)
    kind, no_kind = choice_of(arguments, "kind", ("all",))
    sort, no_order = choice_of(arguments, "sort", ORDERS)
    before = arguments.get("before", "")
    return CallsAsked(
        **with_notes(common, no_outcome, no_kind, no_order),
        outcome=outcome,
        session=arguments.get("session", "").strip(),
        prompt=arguments.get("prompt", "").strip(),
        error=arguments.get("error", ""),
        status=arguments.get("status", "").strip(),
        tool=arguments.get("tool", "").strip(),
        kind=kind,
        q=arguments.get("q", "").replace("\0", "").strip(),
        sort=sort,
        before=before if re.fullmatch(r"\d{1,18}\.[^.]{1,80}", before, re.ASCII) else "",
    )
