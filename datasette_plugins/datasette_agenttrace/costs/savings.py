"""Where spend could be less: caches, failed attempts, cancelled calls, and other models.

Prices are lists' of the last day asked for, applied to the average call of each model (a long
prompt may have another price a token) and multiplied by its calls: sums are near, not exact.
Metered calls only.
"""

import sqlite3
from collections.abc import Iterable, Mapping

from pydantic import computed_field

from agenttrace_mitm.model import Cost, Usage
from agenttrace_mitm.pricing import chat_models, maker_of, price

from .. import sums
from ..asking import Asked, Choices, Value, asked_of, choices, clauses, rows_of

MOST = 1_000  # retries or cancelled calls, each read where it lies: from disk, a page each
NO_MODEL = "(no model)"
MAKERS = ("openai", "anthropic", "google", "mistral", "cohere")
"""Whose models are suggested, and looked through for a name that tells nobody."""
CHATS = frozenset({"chat", "generate_content", "text_completion"})


class SavingsAsked(Asked):
    """What every page is asked, and another model: `gpt-5-mini`, or `openai/gpt-5-mini`."""

    instead: str = ""

    def address(self, **changed: str) -> str:
        """The query string that asks for this, with some of it changed."""
        return super().address(**({"instead": self.instead} | changed))


class Metered(Value):
    """Sums over metered calls; tokens that nobody reported are None, and so is spend."""

    calls: int
    unpriced: int
    tokens_in: int | None
    cache_read_tokens: int | None
    tokens_out: int | None
    cost_nano_usd: int | None


class Used(Metered):
    """The metered calls of a model, and what they would have cost otherwise.

    Costs are nano-dollars; None where there is no price.
    """

    provider: str
    model: str
    listed_nano_usd: int | None
    """By price list, to compare like with like."""
    uncached_nano_usd: int | None
    """The same without a cache: every token that was read, fresh."""
    instead_nano_usd: int | None = None
    """With the other model; None where nothing is compared."""
    left_out: str = ""
    """Why it is not compared with the other model."""

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
    instead_provider: str
    instead_model: str
    """What the calls are compared with; empty where nothing is asked, or it has no price."""
    choices: Choices
    anything_recorded: bool

    @property
    def instead_is_known(self) -> bool:
        """Whether there is another model to compare with."""
        return bool(self.instead_model)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def totals(self) -> Metered:
        """Over all models."""
        names = [name for name in Metered.model_fields if name not in ("calls", "unpriced")]
        return Metered(
            calls=sum(one.calls for one in self.models),
            unpriced=sum(one.unpriced for one in self.models),
            **{name: _sum(getattr(one, name) for one in self.models) for name in names},
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def saved_nano_usd(self) -> int:
        """What caches saved in all."""
        return sum(one.saved_nano_usd or 0 for one in self.models)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def compared_nano_usd(self) -> int | None:
        """By price list, what those calls cost that are compared; None where none is."""
        compared = (one for one in self.models if one.instead_nano_usd is not None)
        return _sum(one.listed_nano_usd for one in compared)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def instead_nano_usd(self) -> int | None:
        """What they would have cost with the other model."""
        return _sum(one.instead_nano_usd for one in self.models)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None where none is."""
    known = [one for one in numbers if one is not None]
    return sum(known) if known else None


def savings_asked(arguments: Mapping[str, str], today: int) -> SavingsAsked:
    """What a query string asks for."""
    asked = asked_of(arguments, today, own=("instead",))
    common = asked.model_dump(exclude={"first_date", "last_date"})
    return SavingsAsked(**common, instead=arguments.get("instead", "").strip()[:200])


def load(db: sqlite3.Connection, asked: SavingsAsked) -> Savings:
    """Everything the page shows."""
    rows = db.execute(sums.from_rollups(_USED, asked), sums.parameters(asked)).fetchall()
    at_us = asked.until_us - 1
    models = [_used(row, at_us) for row in rows]
    provider, model = other = _other(asked.instead, models, at_us) or ("", "")
    if model:
        doing = _operations(db, models)
        models = [
            _compared(one, _tokens(row), doing.get(one.model, "other"), other, at_us)
            for one, row in zip(models, rows, strict=True)
        ]
    return Savings(
        asked=asked,
        models=tuple(models),
        retried=_waste(db, RETRIED, "again", asked),
        cancelled=_waste(db, _CANCELLED, "ended", asked),
        instead_provider=provider,
        instead_model=model,
        choices=choices(db),
        anything_recorded=bool(db.execute("select 1 from llm_calls limit 1").fetchone()),
    )


def suggestions(found: Savings) -> dict[str, str]:
    """Models to compare with, and whose they are: those that were called, and current ones."""
    current = {
        model: maker for maker in MAKERS for model in chat_models(maker, found.asked.last_day)
    }
    return {one.model: one.provider for one in found.models if not one.left_out} | current


type _Row = tuple[str, str, int, int, int | None, int | None, int | None, int | None, int | None]

_USED = """
    select provider, model, sum(calls), sum(unpriced), sum(tokens_in), sum(cache_read_tokens),
           sum(cache_write_tokens), sum(tokens_out), sum(cost_nano_usd)
    {calls} and billing in ('metered', '')
    group by provider, model
    order by sum(cost_nano_usd) desc, sum(calls) desc, model
"""


def _used(row: _Row, at_us: int) -> Used:
    provider, model, calls, unpriced, read, cached, _, out, cost = row
    read_fresh = (read or 0, out or 0, 0, 0)
    return Used(
        provider=provider, model=model or NO_MODEL, calls=calls, unpriced=unpriced,
        tokens_in=read, cache_read_tokens=cached, tokens_out=out, cost_nano_usd=cost,
        listed_nano_usd=_price(provider, model, calls, _tokens(row), at_us),
        uncached_nano_usd=_price(provider, model, calls, read_fresh, at_us),
    )  # fmt: skip


def _tokens(row: _Row) -> tuple[int, ...]:
    """In, out, read from the cache and written to it."""
    *_, read, cached, written, out, _ = row
    return read or 0, out or 0, cached or 0, written or 0


def _compared(
    used: Used, tokens: tuple[int, ...], operation: str, other: tuple[str, str], at_us: int
) -> Used:
    """*used* with what it would have cost with the *other* model, or why that is not said."""
    left_out = ""
    if operation not in (*CHATS, "other"):
        left_out = operation.replace("_", " ")
    elif not any(tokens):
        left_out = "no tokens"
    elif operation == "other" and not used.tokens_out:
        left_out = "no chat"
    elif used.listed_nano_usd is None:
        left_out = "no list price"
    if left_out:
        return used.model_copy(update={"left_out": left_out})
    instead = _price(*other, used.calls, tokens, at_us)
    return used.model_copy(update={"instead_nano_usd": instead})


# Of the newest call: rollups do not tell chats from embeddings.
_OPERATION = """
    select operation from llm_calls
    where coalesce(response_model, model) = ? and kind in ('llm', 'auxiliary')
    order by started_us desc limit 1
"""


def _operations(db: sqlite3.Connection, models: Iterable[Used]) -> dict[str, str]:
    """What each of *models* was last asked to do, as far as a call of it is kept."""
    found = ((one.model, db.execute(_OPERATION, (one.model,)).fetchone()) for one in models)
    return {model: row[0] for model, row in found if row}


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


def _other(said: str, models: Iterable[Used], at_us: int) -> tuple[str, str] | None:
    """The provider and model of *said*: one that was called, `provider/model`, or a name alone.

    A name alone is its maker's model, whoever else sells it.  None where nobody has a price for
    what such a model writes.
    """
    if not said:
        return None
    provider, slash, model = said.partition("/")
    tried = [(one.provider, said) for one in models if one.model == said]
    tried += [(provider, model)] if slash else []
    tried += [(maker, said) for maker in (maker_of(said), *MAKERS) if maker]
    writing = (0, 1_000_000, 0, 0)
    return next((one for one in tried if _price(*one, 1, writing, at_us) is not None), None)


# The attempt before each further one: the first has the operation's id, the others its number.
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
           coalesce(sum(latency_ms), 0.0) as lost_ms,
           (select count(*) from {source}) < :most as whole"""


def _waste(db: sqlite3.Connection, sql: str, source: str, asked: Asked) -> Waste:
    given = sums.parameters(asked) | {"most": MOST}
    sql = sql.format(columns=_WASTED.format(source=source), filters=clauses(asked))
    [row] = rows_of(db.execute(sql, given))
    return Waste(all=bool(row.pop("whole")), **row)
