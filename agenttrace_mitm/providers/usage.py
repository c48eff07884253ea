"""What the dialects share in reading usage: further splits, and the check against the total."""

from collections.abc import Mapping

from ..model import Json, Usage, UsageSource
from ..wire.jsonio import Reader

MISMATCH = "usage_mismatch"


def splits(**counts: int | float | None) -> dict[str, int | float]:
    """The meters that counted something."""
    return {name: count for name, count in counts.items() if count}


def stated(**counts: int | float | None) -> dict[str, int | float]:
    """The meters that the provider named, be it with a 0: then it charges nothing."""
    return {name: count for name, count in counts.items() if count is not None}


_BILLED_CALLS = ("web_search", "x_search", "code_interpreter", "file_search", "document_search")


def server_tools(counts: Reader) -> int:
    """Calls of xAI's own tools, which are charged beside the tokens; those of MCP are not."""
    if "server_side_tool_usage_details" not in counts.value:
        return 0
    used = counts.object("server_side_tool_usage_details")
    return sum(used.count(f"{tool}_calls") or 0 for tool in _BILLED_CALLS)


def cached_parts(details: Reader) -> dict[str, int | None]:
    """OpenAI's `cached_tokens_details` by modality, `{"text": 64, "audio": 0}`."""
    cached = details.object("cached_tokens_details")
    return {kind: cached.count(f"{kind}_tokens") for kind in ("text", "audio", "image")}


def cached_splits(
    cached: int | None,
    parts: Mapping[str, int | None],
    read: Mapping[str, int | float],
) -> dict[str, int]:
    """The *parts* by modality of what was *cached*: `{"text": 64, "audio": 0}`.

    That none of the sound which was *read* came from the cache is a figure too: without it
    nobody could tell cached text from cached sound, whose prices differ.  It is told by a 0, or
    by parts that make up all that was cached without it.
    """
    known = {kind: count for kind, count in parts.items() if count is not None}
    told = bool(known) and sum(known.values()) == cached
    found: dict[str, int] = {}
    for kind in ("audio", "image", "video"):
        count = known.get(kind, 0 if told else None)
        if count or (count == 0 and read.get(f"input_{kind}")):
            found[f"cache_read_{kind}"] = count
    return found


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
