"""What an endpoint is, and what its handler gets and may answer."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.store.alerting import AlertStore
from agenttrace_mitm.store.tokens import Scope

from ..alerts.loading import using
from ..page import NoAnswer, reading, site_of
from ..site import Datasette, Site

type Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

RETRY_AFTER_S = 2


class Said(BaseModel):
    """What a request brings: unknown names are mistakes, and are said to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """What is answered; ours, so strict."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Answer):
    """What went wrong."""

    error: str
    remedy: str | None = None
    retry_after_ms: int | None = None


class Refused(Exception):
    """The request gets this answer instead."""

    def __init__(self, status: int, error: str, remedy: str = "", wait_ms: int = 0) -> None:
        super().__init__(error)
        self.status = status
        self.problem = Problem(error=error, remedy=remedy or None, retry_after_ms=wait_ms or None)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in and judged."""

    datasette: Datasette
    who: str
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def site(self) -> Site:
        """What is served."""
        return site_of(self.datasette)

    @property
    def database(self) -> Path:
        """The database's file."""
        return Path(self.datasette.get_database(self.site.database).path)

    async def reading[Found](self, load: Callable[[sqlite3.Connection], Found]) -> Found:
        """What *load* finds in the database."""
        try:
            return await reading(self.datasette, load)
        except NoAnswer as reason:
            raise Refused(503, str(reason), wait_ms=RETRY_AFTER_S * 1000) from None

    async def writing[Found](self, work: Callable[[sqlite3.Connection], Found]) -> Found:
        """Do *work* on the writing connection, in a transaction; 503 when it is locked."""

        def run(connection: sqlite3.Connection) -> Found:
            with connection:
                return work(connection)

        database = self.datasette.get_database(self.site.database)
        try:
            found: Found = await database.execute_write_fn(run)
        except sqlite3.OperationalError as error:
            raise unavailable(error) from None
        return found

    async def alerts[Found](self, work: Callable[[AlertStore], Found]) -> Found:
        """What *work* makes of the alerts; a mistake in a name is 404, an outage 503."""
        try:
            return await using(self.datasette, work)
        except StoreError as error:
            if error.problem.startswith("There is no "):
                raise Refused(404, error.problem) from None
            if error.problem.startswith("There is a rule"):
                raise Refused(409, error.problem, error.remedy) from None
            raise unavailable(error) from None


def unavailable(error: Exception) -> Refused:
    """503: later it may go well."""
    return Refused(503, str(error), wait_ms=RETRY_AFTER_S * 1000)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path, such as `/api/agents/{id}`, and what it does.

    *handle* answers an `Answer`, or a pair of status and `Answer`.
    The body is judged by *body* first, unless the handler does that itself: *judges_body*.
    *others* are statuses besides 200 and the usual refusals, with their meaning.
    """

    method: Method
    path: str
    scope: Scope
    summary: str
    answer: type[BaseModel] | None
    handle: Callable[[Call], Awaitable[Any]]
    query: type[Said] | None = None
    body: Any = None
    others: Mapping[int, str] = field(default_factory=dict)
    judges_body: bool = False
    media_types: tuple[str, ...] = ("application/json",)
