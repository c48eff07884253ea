"""`/api/events/export`: what `/api/events` would answer, all of it, as a file that streams.

One cursor on a connection of its own, read in a thread a few rows at a time: neither the size of
the answer nor a slow reader matters to anybody else.
"""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args
from urllib.parse import quote

from datasette.utils.asgi import AsgiStream
from pydantic import Field

from agenttrace_mitm.errors import AgentTraceError
from agenttrace_mitm.export import parquet

from .endpoint import Call, Endpoint, Refused, unavailable
from .events import EventsAsked, Happened, happened, selecting

AT_ONCE = 500
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": parquet.FORMAT.media_type,
}


class ExportAsked(EventsAsked):
    """Which events, and how; `limit` and `cursor` play no part."""

    format: Literal["csv", "json", "jsonl", "parquet"] = Field("csv", description="of the file")


async def _export(call: Call) -> AsgiStream:
    asked: ExportAsked = call.query
    sql, given = selecting(asked, limited=False)
    mutable = call.datasette.get_database(call.site.database).is_mutable
    uri = f"file:{quote(str(call.database))}?{'mode=ro' if mutable else 'immutable=1'}"
    try:
        db = sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise unavailable(error) from None
    try:
        pieces = PIECES[asked.format](_rows(db, sql, given))
    except AgentTraceError as error:
        db.close()
        raise Refused(501, error.problem, error.remedy) from None

    async def stream(writer: Any) -> None:
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                # Its `write` takes text alone.
                body = piece if isinstance(piece, bytes) else piece.encode()
                await writer.send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            db.close()

    headers = {
        "content-disposition": f'attachment; filename="agenttrace-events.{asked.format}"',
        "cache-control": "no-store",
    }
    return AsgiStream(stream, headers=headers, content_type=MEDIA_TYPES[asked.format])


def _rows(
    db: sqlite3.Connection, sql: str, given: dict[str, Any]
) -> Iterator[list[dict[str, Any]]]:
    cursor = db.execute(sql, given)
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(AT_ONCE):
        yield [happened(dict(zip(names, row, strict=True))).model_dump(mode="json") for row in rows]


def _csv(groups: Iterator[Sequence[dict[str, Any]]]) -> Iterator[str]:
    names = list(Happened.model_fields)
    yield ",".join(names) + "\r\n"
    for rows in groups:
        text = io.StringIO()
        writer = csv.writer(text)
        for row in rows:
            values = (row[name] for name in names)
            writer.writerow(
                json.dumps(one, ensure_ascii=False) if isinstance(one, dict | list) else one
                for one in values
            )
        yield text.getvalue()


def _jsonl(groups: Iterator[Sequence[dict[str, Any]]]) -> Iterator[str]:
    for rows in groups:
        yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _json(groups: Iterator[Sequence[dict[str, Any]]]) -> Iterator[str]:
    lead = '{"events": [\n'
    for rows in groups:
        yield lead + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        lead = ",\n"
    yield "\n]}\n" if lead == ",\n" else lead + "]}\n"


def _parquet(groups: Iterator[Sequence[dict[str, Any]]]) -> Iterator[bytes]:
    types = {name: _sql_type(field.annotation) for name, field in Happened.model_fields.items()}
    return parquet.in_groups(types, groups)


def _sql_type(annotation: Any) -> str:
    kinds = {annotation, *get_args(annotation)}
    return "real" if float in kinds else "integer" if int in kinds else "text"


PIECES: dict[str, Callable[[Iterator[Sequence[dict[str, Any]]]], Iterator[str | bytes]]] = {
    "csv": _csv, "json": _json, "jsonl": _jsonl, "parquet": _parquet,
}  # fmt: skip

ENDPOINTS = (
    Endpoint(
        "GET", "/api/events/export", "read",
        "The same as a file: csv, json, jsonl or parquet, all of it.",
        None, _export, query=ExportAsked, media_types=tuple(MEDIA_TYPES.values()),
        others={501: "Parquet without the package pyarrow"},
    ),
)  # fmt: skip
