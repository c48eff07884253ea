"""What a format is."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..store.exporting import Export


@dataclass(frozen=True, slots=True)
class Format:
    """A format: *pieces* are what the file is made of, in order, each after at most one call."""

    name: str
    media_type: str
    pieces: Callable[[Export], Iterator[bytes]]


def json_text(value: Any) -> str:
    """*value* as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
