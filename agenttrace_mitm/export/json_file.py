"""JSON: a list of objects, with the names of the columns."""

from collections.abc import Iterator

from ..store.exporting import Export
from .format import Format, json_text


def pieces(export: Export) -> Iterator[bytes]:
    """The list, a call at a time."""
    lead = "[\n"
    for row in export.rows():
        yield f"{lead}{json_text(row)}".encode()
        lead = ",\n"
    yield b"[]\n" if lead == "[\n" else b"\n]\n"


FORMAT = Format("json", "application/json", pieces)
