"""HAR 1.2, for browsers' network tabs and proxies: bodies and headers as they are stored.

Bodies are redacted and decoded, and there at privacy tier 3 alone.  What HAR wants and we do not
know is -1, as the format says; our own figures are in `_agenttrace`.
"""

import base64
import time
from collections.abc import Iterator
from typing import Any

from .. import __version__
from ..store.exporting import Export, Wire
from .format import Format, json_text

NOTHING = Wire([], [], None, None)


def pieces(export: Export) -> Iterator[bytes]:
    """The log, an entry at a time."""
    creator = json_text({"name": "AgentTrace", "version": __version__})
    lead = f'{{"log":{{"version":"1.2","creator":{creator},"entries":[\n'
    for row in export.rows():
        entry = _entry(row, export.wire(row["id"]) or NOTHING)
        yield f"{lead}{json_text(entry)}".encode()
        lead = ",\n"
    yield (lead if lead != ",\n" else "").encode() + b"\n]}}\n"


def _entry(row: dict[str, Any], wire: Wire) -> dict[str, Any]:
    latency, first = row["latency_ms"], row["ttfb_ms"]
    waited = first if first is not None else latency if latency is not None else -1
    received = latency - first if latency is not None and first is not None else 0
    return {
        "startedDateTime": _moment(row["started_us"]),
        "time": latency if latency is not None else -1,
        "request": _request(row, wire),
        "response": _response(row, wire),
        "cache": {},
        "timings": {"send": 0, "wait": waited, "receive": received},
        "_agenttrace": {
            name: row[name]
            for name in ("id", "model", "response_model", "tokens_in", "tokens_out", "cost_usd",
                         "outcome", "agent_id", "session_id", "trace_id")
        },
    }  # fmt: skip


def _request(row: dict[str, Any], wire: Wire) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": row["method"] or "POST",
        "url": f"https://{row['host']}{row['path']}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(wire.request_headers),
        "queryString": [],
        "headersSize": -1,
        "bodySize": row["request_bytes"],
    }
    if wire.request_body is not None:
        text, encoding = _text(wire.request_body)
        request["postData"] = {"mimeType": _type(wire.request_headers), "text": text}
        if encoding:
            request["postData"]["comment"] = encoding
    return request


def _response(row: dict[str, Any], wire: Wire) -> dict[str, Any]:
    content: dict[str, Any] = {"size": -1, "mimeType": _type(wire.response_headers)}
    if wire.response_body is not None:
        content["size"] = len(wire.response_body)
        content["text"], encoding = _text(wire.response_body)
        if encoding:
            content["encoding"] = encoding
    return {
        "status": row["status_code"] or 0,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(wire.response_headers),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": row["response_bytes"],
    }


def _headers(pairs: list[list[str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _type(pairs: list[list[str]]) -> str:
    return next((value for name, value in pairs if name.lower() == "content-type"), "")


def _text(body: bytes) -> tuple[str, str]:
    """The body as text, and its encoding where it is none."""
    try:
        return body.decode(), ""
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


def _moment(at_us: int) -> str:
    seconds, micros = divmod(at_us, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{micros // 1000:03}Z"


FORMAT = Format("har", "application/json", pieces)
