"""Exchanges written by hand: what a test needs to say about the wire, and nothing else."""

import json
import zlib
from typing import Any

from agenttrace_mitm.model import Arrival, Body, Exchange, Headers, Understood
from agenttrace_mitm.providers import understand


def sse(*events: Any, named: bool = False, line_end: str = "\n") -> bytes:
    """Events as a stream; strings go out as they are, *named* ones carry their `type`."""
    lines = []
    for event in events:
        if named:
            lines.append(f"event: {event['type']}")
        lines.append("data: " + (event if isinstance(event, str) else json.dumps(event)))
        lines.append("")
    return (line_end.join(lines) + line_end).encode()


def frame(name: str, value: Any, *, broken: bool = False) -> bytes:
    """An AWS event-stream frame; a *broken* one has a wrong checksum."""
    pairs = ((":event-type", name), (":message-type", "event"))
    headers = b"".join(
        bytes((len(key),)) + key.encode() + b"\x07" + len(text).to_bytes(2, "big") + text.encode()
        for key, text in pairs
    )
    payload = json.dumps(value).encode()
    total = 12 + len(headers) + len(payload) + 4
    prelude = total.to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    data = prelude + zlib.crc32(prelude).to_bytes(4, "big") + headers + payload
    return data + (zlib.crc32(data) ^ broken).to_bytes(4, "big")


def exchange(
    provider: str,
    target: str,
    response: Any,
    request: Any = None,
    *,
    status: int = 200,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    request_headers: dict[str, str] | None = None,
    complete: bool = True,
    chunk: int = 0,
) -> Exchange:
    """An exchange; objects become JSON, bytes that begin with a field are a stream.

    In pieces of *chunk* bytes, piece n arriving n microseconds after the start.
    """
    body = response if isinstance(response, bytes) else json.dumps(response).encode()
    sent = request if isinstance(request, bytes) else json.dumps(request or {}).encode()
    streams = body.startswith((b"data:", b"event:"))
    said = {"content-type": "text/event-stream" if streams else "application/json"}
    step = chunk or len(body) or 1
    ends = [min(n + step, len(body)) for n in range(0, len(body), step)]
    arrivals = tuple(Arrival(n, end) for n, end in enumerate(ends, 1))
    return Exchange(
        id="x",
        provider=provider,
        host="host",
        method=method,
        target=target,
        started_us=0,
        ended_us=len(ends),
        request_headers=Headers(tuple((request_headers or {}).items())),
        request=Body.of(sent),
        status=status,
        response_headers=Headers(tuple((said | (headers or {})).items())),
        response=Body(body, len(body), arrivals, complete),
    )


def told(provider: str, target: str, response: Any, request: Any = None, **more: Any) -> Understood:
    """What such an exchange meant."""
    return understand(exchange(provider, target, response, request, **more))
