"""Table cells of our database as people read them, and what they name as links to our pages.

Everything here came over a wire: it is escaped before it is shown, and never marked safe itself.
Long values are left to Datasette, which cuts them on table pages and shows them whole on a row's.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from . import figures
from .laid_out import laid_out
from .page import PREFIX, in_path
from .site import Datasette, databases

type Row = Mapping[str, Any]
"""A row as Datasette has it: a mapping by its columns."""

LONGEST = 20_000
CALL_LINKS = frozenset(
    {
        "call_id", "answered_by_call_id", "continues_call_id", "last_call_id", "after_call_id",
        "first_call_id", "duplicate_of", "retry_of", "operation_id",
    }
)  # fmt: skip
PLACES = frozenset({"trace_id", "session_id"})
OF_CALLS = frozenset(
    {"llm_calls", "errors", "slowest", "billed_but_cancelled", "estimates", "broken_caches"}
)
"""Tables and views whose `id` is that of a call."""
# What rows of alerts, events, feedback and tokens have: their ids look like those of calls.
NOT_OF_CALLS = frozenset(
    {"at_us", "created_us", "episode", "firing_id", "rule_id", "rule_type", "score", "severity"}
)
JSON_COLUMNS = frozenset(
    {
        "params", "rate_limit", "tags", "finish_reasons", "usage_detail", "usage_raw",
        "cost_detail", "tool_names", "notes", "arguments", "result", "detail",
    }
)  # fmt: skip
TEXT_COLUMNS = CALL_LINKS | PLACES | JSON_COLUMNS | {"id", "content"}
SMALL = 60
LATEST_US = 253_402_300_799_000_000  # the year 9999: beyond it a number is not a time
SIDE_KINDS = frozenset({"auxiliary", "count", "admin", "telemetry"})
_OUR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_IN_ADDRESS = re.compile(r"[^/.]{1,100}")  # what the addresses of calls and traces hold


def is_ours(column: str, value: Any, table: str | None) -> bool:
    """Whether a cell may be one that is shown in another way here; a query has no *table*."""
    if table is None and isinstance(value, int | float):
        return True
    if isinstance(value, int):
        return column.endswith(("_us", "_nano_usd", "_ms"))
    if isinstance(value, float):
        return column.endswith(("_usd", "_ms"))
    if isinstance(value, dict):  # a foreign key, with the label of what it names
        return column in CALL_LINKS
    return isinstance(value, str) and column in TEXT_COLUMNS


def render(
    datasette: Datasette,
    database: str | None,
    table: str | None,
    column: str,
    value: Any,
    *,
    row: Row,
) -> Markup | None:
    """The cell, None where Datasette's own rendering is right."""
    match value:
        case int() if column.endswith("_us") and 0 < value < LATEST_US:
            return _moment(value, _started(datasette, database, table, column, row))
        case int() if column.endswith("_nano_usd"):
            return _money(value, f"{value} nano-dollars")
        case float() if column.endswith("_usd") and math.isfinite(value):
            return _money(round(value * figures.NANO), f"{value!r} US dollars")
        case int() | float() if column.endswith("_ms") and math.isfinite(value):
            return _exactly(figures.duration(value), f"{value!r} ms")
        case {"value": str(call_id), "label": label} if column in CALL_LINKS:
            return _call(datasette, database, call_id, label)
        case int() | float() if table is None:  # results of queries say no types
            return Markup('<span class="at-num">{}</span>').format(value)
        case str() if column in CALL_LINKS or (column == "id" and _is_of_call(table, value, row)):
            return _call(datasette, database, value)
        case str() if column in PLACES:
            return _place(datasette, database, column, value, row)
        case str() if column == "content" and table == "messages":
            return _message(value)
        case str() if column in JSON_COLUMNS:
            return _json(value)
        case _:
            return None


def call_address(datasette: Datasette, database: str | None, call_id: str) -> str | None:
    """The page of a call; None where there is none: its id does not fit, or it is elsewhere."""
    if not _is_shown(datasette, database) or not _IN_ADDRESS.fullmatch(call_id):
        return None
    path: str = datasette.urls.path(f"{PREFIX}/calls/{quote(call_id, safe='')}")
    return path


def _is_shown(datasette: Datasette, database: str | None) -> bool:
    """Whether our pages are about *database*: they are about the first of ours."""
    return databases(datasette)[:1] == (database,)


def _is_of_call(table: str | None, value: str, row: Row) -> bool:
    """Whether an `id` is a call's; rows of a query have no table, only columns and values."""
    if table is not None:
        return table in OF_CALLS
    return bool(_OUR_ID.fullmatch(value)) and NOT_OF_CALLS.isdisjoint(row.keys())


def _exactly(shown: str, exact: str) -> Markup:
    return Markup('<span class="at-num" title="{}">{}</span>').format(exact, shown)


def _money(nano_usd: int, exact: str) -> Markup:
    return _exactly(figures.usd(nano_usd), exact)


def _moment(us: int, href: str | None) -> Markup:
    text = figures.moment(us)
    iso = text.replace(" ", "T") + "Z"
    shown = Markup('<time datetime="{}" title="{} µs, UTC">{}</time>').format(iso, us, text)
    return Markup('<a href="{}">{}</a>').format(href, shown) if href else shown


def _started(
    datasette: Datasette, database: str | None, table: str | None, column: str, row: Row
) -> str | None:
    """Where the start of a call leads, as on our pages: Datasette links its id to its row."""
    call_id = _said(row, "id")
    if table != "llm_calls" or column != "started_us" or not isinstance(call_id, str):
        return None
    return call_address(datasette, database, call_id)


def _said(row: Row, name: str) -> Any:
    """What *row* has as *name*; None where it has no such column."""
    return row[name] if name in row.keys() else None  # noqa: SIM118  # it iterates over its values


def _call(
    datasette: Datasette, database: str | None, call_id: str, label: str | None = None
) -> Markup:
    """A call by its id, and by its *label* as Datasette puts one before."""
    href = call_address(datasette, database, call_id)
    if href is None:
        href = datasette.urls.row(database, "llm_calls", _tilde(call_id))
    if label not in (None, call_id):
        return Markup('<a href="{}">{}</a>&nbsp;<em>{}</em>').format(href, label, call_id)
    return Markup('<a class="at-id" href="{}">{}</a>').format(href, call_id)


def _place(
    datasette: Datasette, database: str | None, column: str, id_: str, row: Row
) -> Markup | None:
    """The trace or session of a row; only what agents do themselves has a trace or a replay."""
    if not id_ or not _is_shown(datasette, database):
        return None
    placed = _said(row, "kind") not in SIDE_KINDS and _said(row, "outcome") != "in_flight"
    if column == "session_id":
        calls = f"calls?{urlencode({'session': id_, 'range': '90d'})}"
        path = f"sessions/{in_path(id_)}" if placed else calls
    elif placed and _IN_ADDRESS.fullmatch(id_):
        path = f"traces/{quote(id_, safe='')}"
    else:
        return None
    href = datasette.urls.path(f"{PREFIX}/{path}")
    return Markup('<a class="at-id" href="{}">{}</a>').format(href, id_)


def _tilde(text: str) -> str:
    from datasette.utils import tilde_encode  # noqa: PLC0415  # slow to import, rarely needed

    encoded: str = tilde_encode(text)
    return encoded


def _json(text: str) -> Markup | None:
    value = _parsed(text)
    if not isinstance(value, dict | list):
        return None
    if len(text) <= SMALL:
        return Markup('<code class="at-json">{}</code>').format(text)
    pretty = laid_out(value)
    return Markup('<pre class="at-json" tabindex="0">{}</pre>').format(pretty)


def _message(text: str) -> Markup | None:
    """A message's parts, one after the other."""
    parts = _parsed(text)
    if not isinstance(parts, list):
        return None
    return Markup('<div class="at-message" tabindex="0">{}</div>').format(_parts(parts))


def _parts(parts: Iterable[Any]) -> Markup:
    return Markup("").join(_part(part if isinstance(part, dict) else {}) for part in parts)


def _part(part: dict[str, Any]) -> Markup:
    kind = str(part.get("type", ""))
    for field in ("text", "content"):
        if isinstance(part.get(field), str):
            label = Markup("") if kind == "text" else Markup("<b>{}</b> ").format(kind)
            return Markup("<p>{}{}</p>").format(label, part[field])
    named = " ".join(str(part[field]) for field in ("type", "name") if part.get(field))
    rest = {key: value for key, value in part.items() if key not in ("type", "name")}
    pretty = escape(laid_out(rest))
    return Markup("<p><b>{}</b></p><pre>{}</pre>").format(named, pretty)


def _parsed(text: str) -> Any:
    if len(text) > LONGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
