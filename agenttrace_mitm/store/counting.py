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
