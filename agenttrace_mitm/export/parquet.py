"""Parquet, with the optional package `pyarrow`: `pip install agenttrace-mitm[parquet]`."""

import io
import itertools
from collections.abc import Iterator
from typing import Any

from ..errors import AgentTraceError
from ..store.exporting import Export
from .format import Format, json_text

GROUP = 10_000


def pieces(export: Export) -> Iterator[bytes]:
    """The file, a row group at a time.  Raises `AgentTraceError` without `pyarrow`."""
    try:
        import pyarrow as arrow  # noqa: PLC0415  # optional
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise AgentTraceError(
            "Parquet needs the package pyarrow", "Run: pip install 'agenttrace-mitm[parquet]'"
        ) from None
    types = {"integer": arrow.int64(), "real": arrow.float64(), "float": arrow.float64()}
    schema = arrow.schema(
        [(name, types.get(export.types[name], arrow.string())) for name in export.columns]
    )
    out = _Sink()
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in itertools.batched(export.rows(), GROUP):
            rows = [{name: _value(row[name]) for name in export.columns} for row in group]
            writer.write_table(arrow.Table.from_pylist(rows, schema))
            yield out.taken()
    yield out.taken()


def _value(value: Any) -> Any:
    return json_text(value) if isinstance(value, list | dict) else value


class _Sink(io.RawIOBase):
    """Gives on what is written, and knows the position, which the file's end names."""

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        held = bytes(data)
        self._held += held
        self._position += len(held)
        return len(held)

    def tell(self) -> int:
        return self._position

    def taken(self) -> bytes:
        """What was written since the last time."""
        said, self._held = bytes(self._held), bytearray()
        return said


FORMAT = Format("parquet", "application/vnd.apache.parquet", pieces)
