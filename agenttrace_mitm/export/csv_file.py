"""CSV with a header line (RFC 4180), UTF-8; JSON columns as JSON, unknown as nothing."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from ..store.exporting import Export
from .format import Format, json_text


def pieces(export: Export) -> Iterator[bytes]:
    """The header, then a line for each call."""
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(export.columns)
    for row in export.rows():
        yield _taken(line)
        writer.writerow([_cell(row[name]) for name in export.columns])
    yield _taken(line)


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json_text(value)
    return "" if value is None else value


def _taken(line: io.StringIO) -> bytes:
    said = line.getvalue().encode()
    line.seek(0)
    line.truncate()
    return said


FORMAT = Format("csv", "text/csv; charset=utf-8", pieces)
