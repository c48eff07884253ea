"""From a request to an endpoint's answer: method, scope, query, body, errors, audit."""

import asyncio
import contextlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from datasette.utils.asgi import AsgiStream, Response
from pydantic import TypeAdapter, ValidationError

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.scheduling import give_way
from agenttrace_mitm.store import tokens

from ..asking import arguments_of
from ..page import View, site_of
from ..site import Datasette
from .endpoint import Call, Endpoint, Refused

MOST_NAMED = 10
"""Unknown names that are told."""
LARGEST_BODY = 5 * 1024 * 1024
HEADERS = {"cache-control": "no-store"}


def routes(endpoints: Iterable[Endpoint]) -> list[tuple[str, View]]:
    """A route for each path, answering all of its methods; fixed paths before those with names."""
    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, []).append(endpoint)
    ordered = sorted(by_path, key=lambda path: path.count("{"))
    return [(_pattern(path), _view(by_path[path])) for path in ordered]


def _pattern(path: str) -> str:
    pieces = re.split(r"(\{\w+\})", path)
    return "^" + "".join(
        rf"(?P<{piece[1:-1]}>[^/]{{1,4096}})" if piece.startswith("{") else re.escape(piece)
        for piece in pieces
    ) + "$"  # fmt: skip


def _view(endpoints: Sequence[Endpoint]) -> View:
    methods: dict[str, Endpoint] = {endpoint.method: endpoint for endpoint in endpoints}

    async def view(datasette: Datasette, request: Any) -> Any:
        site_of(datasette)
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = methods.get(method)
        if endpoint is None:
            allowed = {"allow": ", ".join(methods)}
            return _json(405, {"error": f"{method} is not for this address"}, allowed)
        return await _answer(datasette, request, endpoint)

    return view


async def _answer(datasette: Datasette, request: Any, endpoint: Endpoint) -> Any:
    give_way()  # to the calls of programs that are recorded: there may be many of these
    actor = request.actor or {}
    who = str(actor.get("name", tokens.OWNER))
    try:
        _permit(actor, endpoint)
        call = await _call(datasette, request, endpoint, who)
        give_way()
        said = await endpoint.handle(call)
        give_way()
    except Refused as refused:
        await _audit(datasette, endpoint, request, who, refused.status)
        wait = refused.problem.retry_after_ms
        headers = {"retry-after": str(-(-wait // 1000))} if wait else {}
        return _json(refused.status, refused.problem.model_dump(exclude_none=True), headers)
    if isinstance(said, AsgiStream):
        return said
    status, body = said if isinstance(said, tuple) else (200, said)
    await _audit(datasette, endpoint, request, who, status)
    return _json(status, body.model_dump_json(by_alias=True))


def refused_to_read(request: Any) -> Response | None:
    """The answer to somebody whose token is not for reading; None where it is."""
    scopes = (request.actor or {}).get("scopes", tokens.SCOPES)
    if {"read", "admin"} & set(scopes):
        return None
    return _json(403, {"error": "This wants the scope read"})


def _permit(actor: dict[str, Any], endpoint: Endpoint) -> None:
    scopes = actor.get("scopes", tokens.SCOPES)
    if endpoint.scope not in scopes and "admin" not in scopes:
        raise Refused(403, f"This wants the scope {endpoint.scope}", "Use another token")


async def _call(datasette: Datasette, request: Any, endpoint: Endpoint, who: str) -> Call:
    for name in request.args:
        if len(request.args.getlist(name)) > 1:
            raise Refused(400, f"{name}: given more than once")
    query = _judged(endpoint.query, arguments_of(request)) if endpoint.query else None
    if endpoint.query is None and request.args:
        raise Refused(400, f"{next(iter(request.args))}: not known here")
    body = None
    if endpoint.body is not None:
        sent = await _sent(request)
        body = sent if endpoint.judges_body else _judged(endpoint.body, sent)
    path = {name: unquote(value) for name, value in request.url_vars.items()}
    return Call(datasette, who, path, query, body)


def _judged(model: Any, value: Any) -> Any:
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        raise Refused(400, _mistakes(error)) from None


def _mistakes(error: ValidationError) -> str:
    """The first mistake, and which names are not known here: a wrong name may be why one lacks."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [one for one in found if one["type"] == "extra_forbidden"]
    first = next((one for one in found if one not in told), None)
    said = (
        [f"{_place(first)}: {first['msg']}" if _place(first) else str(first["msg"])]
        if first
        else []
    )
    if told:
        names = ", ".join(_place(one)[:100] for one in told[:MOST_NAMED])
        more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        said.append(f"{names}{more}: not known here")
    return "; ".join(said)


def _place(mistake: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in mistake["loc"])


async def _sent(request: Any) -> Any:
    """The body's JSON, of bounded size, also when it is compressed."""
    data = await _body(request)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is not JSON") from None


async def _body(request: Any) -> bytes:
    inflate = None
    if (encoding := request.headers.get("content-encoding", "identity")) == "gzip":
        inflate = zlib.decompressobj(31)
    elif encoding != "identity":
        raise Refused(415, f"content-encoding {encoding}: send it plain, or as gzip")
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise Refused(400, "The request was cut short")
        piece = message.get("body", b"")
        try:
            body += inflate.decompress(piece, LARGEST_BODY + 1 - len(body)) if inflate else piece
        except zlib.error:
            raise Refused(400, "The body is not gzip") from None
        if len(body) > LARGEST_BODY or (inflate and inflate.unconsumed_tail):
            raise Refused(413, f"The body is larger than {LARGEST_BODY:,} bytes")
        if not message.get("more_body"):
            return bytes(body)


async def _audit(
    datasette: Datasette, endpoint: Endpoint, request: Any, who: str, status: int
) -> None:
    """Remember writes.  Events speak for themselves: they have a row each."""
    if endpoint.method == "GET" or endpoint.scope == "ingest":
        return
    site = site_of(datasette)
    path = datasette.get_database(site.database).path
    write = tokens.Write(who, endpoint.method, request.path, status)
    with contextlib.suppress(StoreError):  # it was done, or refused, all the same
        await asyncio.to_thread(tokens.note_write, Path(path), write)


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """*body* as JSON, or the JSON that it is already."""
    return Response(
        body if isinstance(body, str) else json.dumps(body),
        status=status,
        headers=HEADERS | (headers or {}),
        content_type="application/json; charset=utf-8",
    )
