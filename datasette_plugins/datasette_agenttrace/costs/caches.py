"""Broken prompt caches: which calls missed what was cached, who changed what, and the cost.

The newest hundred among the newest ten thousand calls of the time asked for.  Whose message was
changed is told by its beginning, where its content is kept.
"""

import sqlite3

from pydantic import computed_field

from agenttrace_mitm.store.caches import Break, breaks

from ..asking import Asked, Choices, Value, choices

MOST = 100
CAUSES = {
    "model": "another model",
    "tools": "other tools",
    "system": "another system prompt",
    "system or tools": "another system prompt or other tools",
    "history": "an edited history",
    "time": "a pause longer than the cache lives",
    "unseen": "nothing that was seen",
}


class Broken(Value):
    """A call that read far less from the cache than the one before had left there."""

    call_id: str
    after_call_id: str
    started_us: int
    agent_id: str | None
    session_id: str | None
    model: str
    tokens_lost: int
    lost_nano_usd: int | None
    """What a hit would have spared; None where the call has no price."""
    changed: str
    position: int | None
    role: str | None
    before: str | None
    after: str | None

    @property
    def cause(self) -> str:
        """What changed, in words."""
        return CAUSES[self.changed]


class Cause(Value):
    """What one cause broke."""

    changed: str
    calls: int
    tokens_lost: int
    lost_nano_usd: int | None

    @property
    def words(self) -> str:
        """What changed, in words."""
        return CAUSES[self.changed]


class Caches(Value):
    """The page."""

    asked: Asked
    broken: tuple[Broken, ...]
    all: bool
    """Whether these are all there are of the calls that were looked at."""
    choices: Choices
    anything_recorded: bool

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def causes(self) -> tuple[Cause, ...]:
        """By cause, the dearest first."""
        found: dict[str, list[Broken]] = {}
        for one in self.broken:
            found.setdefault(one.changed, []).append(one)
        causes = [
            Cause(
                changed=changed,
                calls=len(those),
                tokens_lost=sum(one.tokens_lost for one in those),
                lost_nano_usd=_sum(those),
            )
            for changed, those in found.items()
        ]
        return tuple(sorted(causes, key=lambda one: (-(one.lost_nano_usd or 0), one.changed)))

    @computed_field  # type: ignore[prop-decorator]  # the same
    @property
    def lost_nano_usd(self) -> int | None:
        """In all; None where none has a price."""
        return _sum(self.broken)

    @property
    def tokens_lost(self) -> int:
        """In all."""
        return sum(one.tokens_lost for one in self.broken)


def _sum(broken: list[Broken] | tuple[Broken, ...]) -> int | None:
    priced = [one.lost_nano_usd for one in broken if one.lost_nano_usd is not None]
    return sum(priced) if priced else None


def load(db: sqlite3.Connection, asked: Asked) -> Caches:
    """Everything the page shows."""
    filters = {name: said or None for name, said in asked.filters.items()}
    found = breaks(db, asked.since_us, asked.until_us, most=MOST + 1, **filters)
    return Caches(
        asked=asked,
        broken=tuple(_broken(one) for one in found[:MOST]),
        all=len(found) <= MOST,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


def _broken(one: Break) -> Broken:
    return Broken(**{name: getattr(one, name) for name in Broken.model_fields})
