"""What the dialects share in reading usage: further splits, and the check against the total."""

from collections.abc import Mapping

from ..model import Json, Usage, UsageSource

MISMATCH = "usage_mismatch"


def splits(**counts: int | float | None) -> dict[str, int | float]:
    """The meters that counted something."""
    return {name: count for name, count in counts.items() if count}


def usage(
    raw: Json,
    notes: list[str],
    *,
    input_tokens: int | None,
    output_tokens: int | None,
    total_tokens: int | None = None,
    cache_read_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    detail: Mapping[str, int | float] | None = None,
) -> Usage:
    """A `Usage`; notes where the provider's own total is not the sum of its parts."""
    counted = total_of(input_tokens, output_tokens)
    if counted is not None and total_tokens is not None and total_tokens != counted:
        notes.append(MISMATCH)
    source: UsageSource = "reported" if raw else "none"
    return Usage(
        input_tokens,
        output_tokens,
        total_tokens,
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens,
        detail or {},
        raw or None,
        source,
    )


def with_thoughts(
    read: int | None, written: int | None, thoughts: int | None, total: int | None
) -> int | None:
    """Everything generated, where *thoughts* are reported beside what was *written*.

    They come on top, unless the *total* says that what was written holds them already.
    """
    if thoughts and thoughts <= (written or 0) and total == total_of(read, written):
        return written
    return total_of(written, thoughts)


def total_of(*counts: int | None) -> int | None:
    """The sum of what was reported; None when nothing was."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
