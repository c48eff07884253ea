"""What a page is, and what every page needs: a folder of this package, a line in `pages.PAGES`.

A page has a loader; the view renders what it loads and `.json` answers the same, so the API
cannot drift from the page.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from datasette.utils import sqlite_timelimit, tilde_decode, tilde_encode
from datasette.utils.asgi import NotFound, Response
from datasette.views.base import DatasetteError
from pydantic import BaseModel

from agenttrace_mitm import clock
from agenttrace_mitm.store import is_behind

from .asking import DAY_US
from .canned import CANNED_QUERIES
from .laid_out import sendable
from .site import Datasette, Site, find

PREFIX = "/-/agenttrace"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

type View = Callable[[Datasette, Any], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page at `PREFIX/name`, its data at `PREFIX/name.json`, and pages below it.

    *more* are regular expressions of whole paths, with their views.  The page that is *home* is
    at `PREFIX` itself.
    """

    name: str
    label: str
    view: View
    data: View
    more: tuple[tuple[str, View], ...] = ()
    home: bool = False
    filtered: bool = True
    """Whether it has the bar of time and filters."""

    @property
    def path(self) -> str:
        """Where it is, below `base_url`."""
        return PREFIX if self.home else f"{PREFIX}/{self.name}"

    @property
    def routes(self) -> tuple[tuple[str, View], ...]:
        """Regular expressions of its addresses, and what answers."""
        data = (rf"{PREFIX}/{self.name}\.json", self.data)
        return tuple(
            (f"^{path}$", view) for path, view in ((self.path, self.view), data, *self.more)
        )


class NoAnswer(DatasetteError):  # type: ignore[misc]  # datasette has no types
    """The database does not tell; the words are for whoever asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message, title="No answer", status=503)
        self.args = (message,)


class TooSlow(NoAnswer):
    """A page took longer to load than it may."""

    def __init__(self) -> None:
        super().__init__("This took longer than it may. Choose a shorter time, or a filter.")


class Outdated(NoAnswer):
    """The database was last written by an older version, and lacks what the page reads."""

    def __init__(self, file: str | None) -> None:
        super().__init__(
            "An older version wrote this database."
            f" Bring it up to date: agenttrace-mitm db verify --db {file or 'FILE'}"
        )


def today() -> int:
    """The number of this UTC day."""
    return clock.now_us() // DAY_US


async def reading[Found](
    datasette: Datasette, load: Callable[[sqlite3.Connection], Found]
) -> Found:
    """What *load* finds in our database.  Raises `NoAnswer` where it tells nothing."""

    def run(connection: sqlite3.Connection) -> Found:
        try:
            with sqlite_timelimit(connection, datasette.sql_time_limit_ms):
                return load(connection)
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TooSlow from None
            # The recorder and our own commands bring it up to date; a plain Datasette only reads.
            if str(error).startswith("no such ") and is_behind(connection):
                raise Outdated(database.path) from error
            raise

    database = datasette.get_database(site_of(datasette).database)
    found: Found = await database.execute_fn(run)
    return found


def site_of(datasette: Datasette) -> Site:
    """What the page shows; not found where there is nothing to show."""
    site = find(datasette)
    if site is None:
        raise NotFound("No AgentTrace database")
    return site


def in_path(name: str) -> str:
    """*name* as one step of an address, in Datasette's writing: `~2E` for a dot.

    A browser takes `%2E%2E` for `..` and leaves it out; `x%2Ejson` would ask for x as JSON.
    """
    encoded: str = tilde_encode(name)
    return encoded


def from_path(step: str) -> str:
    """What `in_path` made *step* of.  Percent signs are taken too: people write them."""
    decoded: str = unquote(step) if "%" in step else tilde_decode(step)
    return decoded


def query_address(datasette: Datasette, database: str, sql: str, **given: str | int) -> str:
    """Datasette's page of *sql*, filled in and run with the parameters *given*."""
    path: str = datasette.urls.database(database)
    return f"{path}?{urlencode({'sql': sql, **given})}"


async def one_of[Found](
    datasette: Datasette, load: Callable[[sqlite3.Connection], Found | None], what: str
) -> Found:
    """The *what* that *load* finds.  Not found where there is none."""
    found = await reading(datasette, load)
    if found is None:
        raise NotFound(f"There is no {what} with this id")
    return found


async def as_json(found: Awaitable[BaseModel]) -> Response:
    """What a page shows, as JSON; 503 where nothing is told."""
    try:
        return Response.json((await found).model_dump(mode="json"))
    except NoAnswer as reason:
        return Response.json({"ok": False, "error": str(reason)}, status=503)


async def render(
    datasette: Datasette, request: Any, template: str, context: dict[str, Any], status: int = 200
) -> Response:
    """One of our templates as an answer that runs no script but our files."""
    context = {"saved": _saved(datasette, request.path), **context}
    html = sendable(await datasette.render_template(template, context, request=request))
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
    return Response.html(html, status=status, headers=headers)


def _saved(datasette: Datasette, path: str) -> list[tuple[str, str, str]]:
    """The saved queries whose page this is: title, description, address."""
    _, _, name = path.partition(f"{PREFIX}/")
    site = find(datasette)
    if not name or site is None:
        return []
    return [
        (one.title, one.description, datasette.urls.query(site.database, one.name))
        for one in CANNED_QUERIES
        if one.page.partition("?")[0] == name
    ]
