"""JSON lines: an object a call, with the names of the columns."""

from collections.abc import Iterator

from ..store.exporting import Export
from .format import Format, json_text


def pieces(export: Export) -> Iterator[bytes]:
    """A line for each call."""
    for row in export.rows():
        yield f"{json_text(row)}\n".encode()


FORMAT = Format("jsonl", "application/x-ndjson", pieces)
