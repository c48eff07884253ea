"""A page that is a list, newest first: the same filter bar, the same way to older ones.

`calls`, `traces` and `sessions` differ in what they load and show.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from datasette.utils.asgi import Response

from . import figures
from .asking import LABELS
from .page import NoAnswer, reading, render
from .site import Datasette


class Addressed(Protocol):
    """What was asked for, and the address that asks for it."""

    def address(self, **changed: str) -> str:
        """The query part of the address, with some of it *changed*."""
        ...


class Listed(Protocol):
    """What was found."""

    @property
    def older(self) -> str | None:
        """Where older ones begin; none where these are the last."""
        ...


async def show_list[Wanted: Addressed, Shown: Listed](
    datasette: Datasette,
    request: Any,
    name: str,
    asked: Wanted,
    load: Callable[[sqlite3.Connection, Wanted], Shown],
    **more: Any,
) -> Response:
    """The template `agenttrace_NAME.html`, in which what was found is called *name*."""
    context: dict[str, Any] = {
        "asked": asked,
        "ranges": [(label, each, asked.address(range=each)) for each, label in LABELS.items()],
        "figures": figures,
        "data_address": f"{name}.json{asked.address()}",
        **more,
    }
    template = f"agenttrace_{name}.html"
    try:
        found = await reading(datasette, lambda db: load(db, asked))
    except NoAnswer as reason:
        context |= {name: None, "problem": str(reason)}
        return await render(datasette, request, template, context, status=503)
    older = asked.address(before=found.older) if found.older else None
    return await render(datasette, request, template, context | {name: found, "older": older})
