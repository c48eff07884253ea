"""Recorded traffic of hosts beyond the five: which records, and where we differ from the truth."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests import corpus_cases as corpus

TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_FAMILY = ("openai", "anthropic", "google", "bedrock")
_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def records() -> Iterator[corpus.Record]:
    """Every record, under a name that a certificate can bear."""
    for record in corpus.records(["other_hosts"]):
        host = record["host"].replace("<aws_region>", "us-east-1")
        if not _NAME.fullmatch(host) or host.replace(".", "").isdigit():
            host = f"{record['provider']}.example.com"
        yield record | {"host": host}


def is_counted(record: corpus.Record) -> bool:
    """True where the truth says what a compatible or cloud host counted."""
    known = any(record["expected"].get(name) is not None for name in TOKENS)
    return known and record["dialect"] in _FAMILY


def differences(record: corpus.Record, observed: Mapping[str, Any]) -> list[str]:
    """The token counts that differ from the truth."""
    expected = record["expected"]
    return [
        f"{name}: expected {expected[name]!r} got {observed[name]!r}"
        for name in TOKENS
        if expected.get(name) is not None and expected[name] != (observed[name] or 0)
    ]
