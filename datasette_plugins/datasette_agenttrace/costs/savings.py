"""Where spend could be less: caches, failed attempts, cancelled calls, and other models.

Prices are lists' of the last day asked for, applied to the average call of each model (a long
prompt may have another price a token) and multiplied by its calls: sums are near, not exact.
Metered calls only.
"""

import sqlite3
from collections.abc import Mapping

from pydantic import computed_field

from agenttrace_mitm.model import Cost, Usage
from agenttrace_mitm.pricing import price

from .. import sums
from ..asking import Asked, Choices, Value, asked_of, choices, clauses, rows_of

MOST = 1_000  # retries or cancelled calls, each read where it lies: from disk, a page each
NO_MODEL = "(no model)"


class SavingsAsked(Asked):
    """What every page is asked, and another model: `openai/gpt-5-mini`, or one that was called."""

    instead: str = ""

    def address(self, **changed: str) -> str:
        """The query string that asks for this, with some of it changed."""
        return super().address(**({"instead": self.instead} | changed))


class Used(Value):
    """The metered calls of a model, and what they would have cost otherwise.

    Costs are nano-dollars; None where there is no price.
    """

    provider: str
    model: str
    calls: int
    tokens_in: int
    cache_read_tokens: int
    tokens_out: int
    cost_nano_usd: int | None
    listed_nano_usd: int | None
    """By price list, to compare like with like."""
    uncached_nano_usd: int | None
    """The same without a cache: every token that was read, fresh."""
    instead_nano_usd: int | None = None

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def saved_nano_usd(self) -> int | None:
        """What the cache saved; less than nothing where more was written to it than read."""
        if self.listed_nano_usd is None or self.uncached_nano_usd is None:
            return None
        return self.uncached_nano_usd - self.listed_nano_usd


class Waste(Value):
    """Calls that were paid for and brought nothing that was used."""

    calls: int
    priced: int
    cost_nano_usd: int
    lost_ms: float
    all: bool
    """Whether these are all of the time, or the newest two thousand."""


class Savings(Value):
    """The page."""

    asked: SavingsAsked
    models: tuple[Used, ...]
    retried: Waste
    cancelled: Waste
    instead_is_known: bool
    choices: Choices
    anything_recorded: bool

    @computed_field  # type: ignore[prop-decorator]
    @property
    def saved_nano_usd(self) -> int:
        """What caches saved in all."""
        return sum(one.saved_nano_usd or 0 for one in self.models)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def compared_nano_usd(self) -> int:
        """By price list, what those calls cost that can be compared with the other model."""
        return sum(one.listed_nano_usd or 0 for one in self._compared)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def instead_nano_usd(self) -> int | None:
        """What they would have cost with it; None where there is nothing to compare."""
        if not self._compared:
            return None
        return sum(one.instead_nano_usd or 0 for one in self._compared)

    @property
    def _compared(self) -> list[Used]:
        return [
            one
            for one in self.models
            if one.instead_nano_usd is not None and one.listed_nano_usd is not None
        ]


def savings_asked(arguments: Mapping[str, str], today: int) -> SavingsAsked:
    """What a query string asks for."""
    common = asked_of(arguments, today).model_dump(exclude={"first_date", "last_date"})
    return SavingsAsked(**common, instead=arguments.get("instead", "").strip()[:200])


def load(db: sqlite3.Connection, asked: SavingsAsked) -> Savings:
    """Everything the page shows."""
    rows = db.execute(sums.from_rollups(_USED, asked), sums.parameters(asked)).fetchall()
    provider, model = _other(asked.instead, rows)
    models = [_used(row, asked.until_us - 1, provider, model) for row in rows]
    return Savings(
        asked=asked,
        models=tuple(models),
        retried=_waste(db, RETRIED, "again", asked),
        cancelled=_waste(db, _CANCELLED, "ended", asked),
        instead_is_known=any(one.instead_nano_usd is not None for one in models),
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


type _Row = tuple[str, str, int, int, int, int, int, int | None]

_USED = """
    select provider, model, sum(calls), coalesce(sum(tokens_in), 0),
           coalesce(sum(cache_read_tokens), 0), coalesce(sum(cache_write_tokens), 0),
           coalesce(sum(tokens_out), 0), sum(cost_nano_usd)
    {calls} and billing in ('metered', '')
    group by provider, model
    order by sum(cost_nano_usd) desc, sum(calls) desc
"""


def _used(row: _Row, at_us: int, other_provider: str, other_model: str) -> Used:
    provider, model, calls, read, cached, written, out, cost = row

    def at(provider: str, model: str, *tokens: int) -> int | None:
        return _price(provider, model, calls, tokens, at_us)

    return Used(
        provider=provider, model=model or NO_MODEL, calls=calls, tokens_in=read,
        cache_read_tokens=cached, tokens_out=out, cost_nano_usd=cost,
        listed_nano_usd=at(provider, model, read, out, cached, written),
        uncached_nano_usd=at(provider, model, read, out, 0, 0),
        instead_nano_usd=at(other_provider, other_model, read, out, cached, written)
        if other_model else None,
    )  # fmt: skip


def _price(
    provider: str, model: str, calls: int, tokens: tuple[int, ...], at_us: int
) -> int | None:
    """The cost of *calls* that took *tokens* (in, out, cache read and written) together."""
    if not any(tokens):
        return None
    read, out, cached, written = (round(many / calls) for many in tokens)
    usage = Usage(read, out, None, min(cached, read), min(written, max(read - cached, 0)))
    found = price(
        provider=provider, dialect="", operation="chat", model=model, response_model=model,
        usage=usage, at_us=at_us,
    )  # fmt: skip
    return found.nano_usd * calls if isinstance(found, Cost) else None


def _other(said: str, rows: list[_Row]) -> tuple[str, str]:
    """The provider and model of *said*: a recorded model's name, or both with a slash between."""
    known = {model: provider for provider, model, *_ in rows}
    if said in known:
        return known[said], said
    provider, slash, model = said.partition("/")
    return (provider, model) if slash else ("", said)


# The try before each further one: the first has the operation's id, the others its number.
RETRIED = """
    with again as materialized (
        select retry_of, attempt from llm_calls indexed by llm_calls_retried
        where attempt > 1 and started_us >= :since and started_us < :until
        order by started_us desc limit :most
    )
    select {columns}
    from again cross join llm_calls c on c.id = case when again.attempt = 2
        then again.retry_of
        else (
            select q.id from llm_calls q where q.retry_of = again.retry_of
              and q.retry_of <> q.id and q.attempt = again.attempt - 1
        ) end
    where kind in ('llm', 'auxiliary') and coalesce(billing, '') in ('metered', '') {filters}
"""
_CANCELLED = """
    with ended as materialized (
        select cost_nano_usd, latency_ms, kind, billing, provider, response_model, model, agent_id
        from llm_calls indexed by llm_calls_cut
        where outcome in ('cancelled', 'interrupted')
          and started_us >= :since and started_us < :until
        order by started_us desc limit :most
    )
    select {columns}
    from ended
    where kind in ('llm', 'auxiliary') and coalesce(billing, '') in ('metered', '') {filters}
"""


_WASTED = """count(*) as calls, count(cost_nano_usd) as priced,
           coalesce(sum(cost_nano_usd), 0) as cost_nano_usd,
           coalesce(sum(latency_ms), 0.0) as lost_ms, (select count(*) from {source}) < :most as whole
"""


def _waste(db: sqlite3.Connection, sql: str, source: str, asked: Asked) -> Waste:
    given = sums.parameters(asked) | {"most": MOST}
    sql = sql.format(columns=_WASTED.format(source=source), filters=clauses(asked))
    [row] = rows_of(db.execute(sql, given))
    return Waste(all=bool(row.pop("whole")), **row)
