"""Parquet, with the optional package `pyarrow`: `pip install agenttrace-mitm[parquet]`."""

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import AgentTraceError
from ..store.exporting import Export
from .format import Format, json_text

GROUP = 10_000


def pieces(export: Export) -> Iterator[bytes]:
    """The file, a row group at a time.  Raises `AgentTraceError` without `pyarrow`."""
    types = {name: export.types[name] for name in export.columns}
    return in_groups(types, itertools.batched(export.rows(), GROUP))


def in_groups(
    types: Mapping[str, str], groups: Iterable[Sequence[Mapping[str, Any]]]
) -> Iterator[bytes]:
    """The file of rows whose columns are of these SQL *types*; a piece for each of *groups*.

    Raises `AgentTraceError` without `pyarrow`, before anything is read.
    """
    try:
        import pyarrow as arrow  # noqa: PLC0415  # optional
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise AgentTraceError(
            "Parquet needs the package pyarrow", "Run: pip install 'agenttrace-mitm[parquet]'"
        ) from None
    known = {"integer": arrow.int64(), "real": arrow.float64(), "float": arrow.float64()}
    schema = arrow.schema(
        [(name, known.get(type_, arrow.string())) for name, type_ in types.items()]
    )

    def written() -> Iterator[bytes]:
        out = _Sink()
        with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
            for group in groups:
                rows = [{name: _value(row[name]) for name in types} for row in group]
                writer.write_table(arrow.Table.from_pylist(rows, schema))
                yield out.taken()
        yield out.taken()

    return written()


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
