"""`openapi.json` (3.1), made from the endpoints, and a page that shows it without any script."""

import re
from collections.abc import Iterable
from typing import Any

from datasette.utils.asgi import Response
from pydantic import BaseModel, TypeAdapter

from agenttrace_mitm import __version__

from ..page import View, render, site_of
from ..site import Datasette
from .dispatch import refused_to_read
from .endpoint import Endpoint, Problem

REF = "#/components/schemas/{model}"
USUAL = {
    400: "The request is wrong",
    401: "No valid token",
    403: "The token's scope is too small",
}


def document(endpoints: Iterable[Endpoint]) -> View:
    """The view of `openapi.json`."""
    endpoints = tuple(endpoints)

    async def view(datasette: Datasette, request: Any) -> Response:
        site_of(datasette)
        return refused_to_read(request) or Response.json(described(endpoints))

    return view


def viewer(endpoints: Iterable[Endpoint]) -> View:
    """The view of the page at `/api`."""
    endpoints = tuple(endpoints)

    async def view(datasette: Datasette, request: Any) -> Response:
        site_of(datasette)
        if refusal := refused_to_read(request):
            return refusal
        context = {"endpoints": endpoints, "parameters": _parameters}
        return await render(datasette, request, "agenttrace_api.html", context)

    return view


def described(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole description."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AgentTrace",
            "version": __version__,
            "description": "What agents did, cost and broke; and a way to tell of more.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "description": f"Scope: {endpoint.scope}.",
        "operationId": _name_of(endpoint),
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.body is not None:
        schema = _schema(endpoint.body, schemas, "validation")
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done"}
    if endpoint.answer is not None:
        schema = _schema(endpoint.answer, schemas, "serialization")
        good["content"] = {media: {"schema": schema} for media in endpoint.media_types}
    else:  # a file
        good["content"] = {media: {"schema": {}} for media in endpoint.media_types}
    problem = {"application/json": {"schema": _schema(Problem, schemas, "serialization")}}
    responses: dict[str, Any] = {"200": good}
    for status, words in endpoint.others.items():
        content = good.get("content") if status < 300 else problem
        if status == 400:  # all of it was wrong, or it could not be understood
            content = _either(good["content"], problem)
        responses[str(status)] = {"description": words, "content": content}
    for status, words in USUAL.items():
        responses.setdefault(str(status), {"description": words, "content": problem})
    responses["503"] = {"description": "Not now; see Retry-After", "content": problem}
    if "{" in endpoint.path:
        responses["404"] = {"description": "There is no such thing", "content": problem}
    if endpoint.body is not None:
        responses["413"] = {"description": "The body is too large", "content": problem}
        responses["415"] = {"description": "Not in this encoding", "content": problem}
    return responses


def _either(*contents: dict[str, Any]) -> dict[str, Any]:
    schemas = [content["application/json"]["schema"] for content in contents]
    return {"application/json": {"schema": {"anyOf": schemas}}}


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    named = re.findall(r"\{(\w+)\}", endpoint.path)
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in named
    ]
    if endpoint.query:
        schema = endpoint.query.model_json_schema()
        required = schema.get("required", ())
        for name, each in schema.get("properties", {}).items():
            plain = {
                key: value for key, value in each.items() if key not in ("title", "description")
            }
            found.append(
                {"name": name, "in": "query", "required": name in required, "schema": plain,
                 "description": each.get("description", "")}
            )  # fmt: skip
    return found


def _schema(model: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    made = TypeAdapter(model).json_schema(ref_template=REF, mode=mode)
    schemas.update(made.pop("$defs", {}))
    if isinstance(model, type) and issubclass(model, BaseModel):
        schemas[model.__name__] = made
        return {"$ref": REF.format(model=model.__name__)}
    return made


def _name_of(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path.removeprefix("/api"))
    return "_".join([endpoint.method.lower(), *words])
