"""What counts as what: conditions on `llm_calls`, for sums, pages, alerts and the gate alike."""

MODEL_CALLS = "kind in ('llm', 'auxiliary')"
"""What "calls" means wherever figures are shown."""

FAILED = "outcome in ('error', 'interrupted')"
"""A call that its client cancelled did not fail."""

METERED = "coalesce(billing, '') in ('metered', '')"
"""What is paid by the token: a subscription or a free tier covers the others."""

UNPRICED = (
    "cost_nano_usd is null and outcome not in ('error', 'in_flight') and duplicate_of is null"
)
"""Nobody knows what it cost; an error is free unless its usage was reported."""

WITHOUT_USAGE = (
    f"{UNPRICED} and usage_source <> 'reported' and coalesce(tokens_in, tokens_out) is null"
)
"""Nobody knows what it read and wrote: what is counted otherwise was reported, or has a price."""


def known_sum(cost: str = "cost_nano_usd", of: str = "1") -> str:
    """The sum of *cost* over the calls *of* which it is; null where none of them has any.

    That is no zero: pages show a dash.  Zero is the sum of calls that cost nothing, and of none.
    Beside a sum stands how many are `UNPRICED`.
    """
    return (
        f"coalesce(sum(case when {of} then {cost} end), case when sum({of}) then null else 0 end)"
    )
