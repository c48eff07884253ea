"""AgentTrace's pages inside Datasette: the plugin's hooks, each handing on to the module it names.

Every hook does nothing in a Datasette without an AgentTrace database.
"""

import sqlite3
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from datasette import hookimpl
from datasette.utils.asgi import Response

from . import (
    api,
    assets,
    cells,
    chrome,
    commands,
    counts,
    described,
    figures,
    hidden,
    limits,
    live,
    metrics,
)
from .gate import App, Gate
from .page import in_path, site_of
from .pages import HOME, PAGES
from .site import Datasette, databases, find


@hookimpl(trylast=True)  # last to wrap is outermost: nothing answers before the gate
def asgi_wrapper(datasette: Datasette) -> Callable[[App], App]:
    """The gate before every page."""
    return lambda app: Gate(datasette, app)


@hookimpl
def register_commands(cli: Any) -> None:
    """`datasette agenttrace ...`, for those who have Datasette in their crontab already."""
    commands.register(cli)


@hookimpl
def startup(datasette: Datasette) -> None:
    """Limits that suit a growing log, where the user set none, and counts that do."""
    if find(datasette):
        limits.apply(datasette)
        counts.install(datasette)


@hookimpl
def prepare_connection(
    conn: sqlite3.Connection, database: str | None, datasette: Datasette
) -> None:
    """Readers wait for the recorder, and see no addresses of webhooks."""
    if database in databases(datasette):
        limits.prepare(conn)
        hidden.hide(conn)


@hookimpl
def register_routes(datasette: Datasette) -> list[tuple[str, Any]]:
    """The pages, their data, and our static files."""
    routes: list[tuple[str, Any]] = [
        (assets.ROUTE, assets.served()),
        (live.PATH, live.of_page),
        (metrics.PATH, metrics.view),
    ]
    for page in PAGES:
        routes += page.routes
    site = find(datasette)
    if site:
        routes += api.ROUTES
    if site and site.own_server:
        routes.append((r"^/$", _home))
    return routes


@hookimpl
def skip_csrf(datasette: Datasette, scope: dict[str, Any]) -> bool:
    """The API takes JSON of programs; the gate has refused what other sites make browsers send."""
    return scope["path"].startswith(datasette.urls.path("/api/")) and find(datasette) is not None


@hookimpl
def menu_links(datasette: Datasette) -> list[dict[str, str]]:
    """Our pages in Datasette's menu."""
    if not find(datasette):
        return []
    return [{"href": datasette.urls.path(page.path), "label": page.label} for page in PAGES]


@hookimpl
def extra_css_urls(datasette: Datasette) -> list[str]:
    """One look for Datasette's pages and ours."""
    return [assets.address(datasette, chrome.STYLE)] if find(datasette) else []


@hookimpl
def extra_template_vars(datasette: Datasette) -> dict[str, Any]:
    """What the header of every page shows."""
    return {"agenttrace": chrome.header(datasette, PAGES)}


@hookimpl
def prepare_jinja2_environment(env: Any, datasette: Datasette) -> None:
    """Our frame around Datasette's own pages, and how our templates write addresses and names."""
    asset = partial(assets.address, datasette)
    env.filters |= {"asset": asset, "in_path": in_path, "named": figures.named}
    chrome.frame_core_pages(env, datasette, PAGES)


@hookimpl
def canned_queries(datasette: Datasette, database: str) -> dict[str, Any]:
    """The questions people ask first."""
    return described.queries() if database in databases(datasette) else {}


@hookimpl
def get_metadata(datasette: Datasette, key: str | None) -> dict[str, Any]:
    """Descriptions, order and facets of our tables, whatever the database is called."""
    # Not find(): it asks for the plugin's configuration, which is metadata.
    return {"databases": {name: described.tables(key) for name in databases(datasette)}}


@hookimpl(hookwrapper=True)
def register_facet_classes() -> Generator[None, Any, None]:
    """Facets of calls without counting a million of them; others as they were."""
    # datasette.facets imports Datasette, which may be loading us.
    from datasette.facets import ColumnFacet  # noqa: PLC0415

    from .facets import CallsFacet  # noqa: PLC0415

    registered = yield
    registered.force_result(
        [
            [CallsFacet if one is ColumnFacet else one for one in classes]
            for classes in registered.get_result()
        ]
    )


@hookimpl
def render_cell(  # noqa: PLR0917  # the hook's
    row: Any, value: Any, column: str, table: str | None, database: str | None, datasette: Datasette
) -> Any:
    """Times, money, JSON and messages as people read them; calls, traces and sessions as links."""
    # Asked for every cell of every page: the cheap question first.
    if not cells.is_ours(column, value, table) or database not in databases(datasette):
        return None
    return cells.render(datasette, database, table, column, value, row=row)


async def _home(datasette: Datasette) -> Response:
    site_of(datasette)
    return Response.redirect(datasette.urls.path(HOME.path))
