"""Table cells of our database as people read them.

Everything here came over a wire: it is escaped before it is shown, and never marked safe itself.
Long values are left to Datasette, which cuts them on table pages and shows them whole on a row's.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from . import figures
from .laid_out import laid_out
from .site import Datasette

LONGEST = 20_000
CALL_LINKS = frozenset({"call_id", "answered_by_call_id", "continues_call_id", "duplicate_of"})
JSON_COLUMNS = frozenset(
    {
        "params", "rate_limit", "tags", "finish_reasons", "usage_detail", "usage_raw",
        "cost_detail", "tool_names", "notes", "arguments", "result", "detail",
    }
)  # fmt: skip
TEXT_COLUMNS = CALL_LINKS | JSON_COLUMNS | {"id", "content"}
SMALL = 60
LATEST_US = 253_402_300_799_000_000  # the year 9999: beyond it a number is not a time


def is_ours(column: str, value: Any) -> bool:
    """Whether a cell may be one that is shown in another way here."""
    if isinstance(value, int):
        return column.endswith(("_us", "_nano_usd"))
    if isinstance(value, float):
        return column.endswith("_usd")
    return isinstance(value, str) and column in TEXT_COLUMNS


def render(
    datasette: Datasette, database: str | None, table: str | None, column: str, value: Any
) -> Markup | None:
    """The cell, None where Datasette's own rendering is right."""
    match value:
        case int() if column.endswith("_us") and 0 < value < LATEST_US:
            return _moment(value)
        case int() if column.endswith("_nano_usd"):
            return _money(value, f"{value} nano-dollars")
        case float() if column.endswith("_usd") and math.isfinite(value):
            return _money(round(value * figures.NANO), f"{value!r} US dollars")
        case str() if column in CALL_LINKS or (column == "id" and table in ("errors", "slowest")):
            return _call(datasette, database, value)
        case str() if column == "content" and table == "messages":
            return _message(value)
        case str() if column in JSON_COLUMNS:
            return _json(value)
        case _:
            return None


def _money(nano_usd: int, exact: str) -> Markup:
    shown = figures.usd(nano_usd)
    return Markup('<span class="at-num" title="{}">{}</span>').format(exact, shown)


def _moment(us: int) -> Markup:
    text = figures.moment(us)
    iso = text.replace(" ", "T") + "Z"
    return Markup('<time datetime="{}" title="{} µs, UTC">{}</time>').format(iso, us, text)


def _call(datasette: Datasette, database: str | None, call_id: str) -> Markup:
    href = datasette.urls.row(database, "llm_calls", _tilde(call_id))
    return Markup('<a class="at-id" href="{}">{}</a>').format(href, call_id)


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
