"""Sums over calls as the cells of a table: made here, for a template takes three times as long.

The heads of these columns are in `_agenttrace_sums.html`; so is `spend`, in the same words.
"""

from markupsafe import Markup, escape

from . import figures
from .sums import Figures

NOT_BILLED = "Nothing is billed: the calls failed, run on, or are not metered"


def cells(some: Figures, calls_at: str = "") -> Markup:
    """Spend, calls, tokens, latencies and failures: a `td` each, in the order of `heads`.

    *calls_at* is where the calls are listed, if anywhere.
    """
    failed = "at-num at-warn" if some.failed else "at-num"
    calls = f"{some.calls:,}"
    if calls_at:
        calls = f'<a href="{escape(calls_at)}">{calls}</a>'
    found = (
        f'<td class="at-num" data-label="Spend">{_spend(some)}</td>',
        f'<td class="at-num" data-label="Calls">{calls}</td>',
        _tokens("Tokens in", some.tokens_in),
        _tokens("from cache", some.cache_read_tokens),
        _tokens("Tokens out", some.tokens_out),
        f'<td class="at-num" data-label="Median">{figures.duration(some.p50_ms)}</td>',
        f'<td class="at-num" data-label="95th pct.">{figures.duration(some.p95_ms)}</td>',
        f'<td class="{failed}" data-label="Failed">'
        f"{figures.percent(some.failed, some.finished)}</td>",
    )
    return Markup("\n".join(found))  # noqa: S704  # numbers and words of ours


def _tokens(label: str, many: int | None) -> str:
    shown = figures.compact(many)
    return f'<td class="at-num" data-label="{label}" title="{many}">{shown}</td>'


def _spend(some: Figures) -> str:
    if some.cost_nano_usd is None:
        if some.unpriced:
            return '<span class="at-warn">unpriced</span>'
        return f'<span title="{NOT_BILLED}">{figures.UNKNOWN}</span>'
    spent = escape(figures.usd(some.cost_nano_usd))  # it may be <$0.0001
    if some.unpriced:
        return f'{spent} <small class="at-warn">+ {some.unpriced:,} unpriced</small>'
    return spent
