"""What a page is: a folder of this package and one line in `pages.PAGES`.

A page has a loader; the view renders what it loads and `.json` answers the same, so the API
cannot drift from the page.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from datasette.utils.asgi import NotFound, Response

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
    """A page at `PREFIX/name`, and its data at `PREFIX/name.json`."""

    name: str
    label: str
    view: View
    data: View

    @property
    def path(self) -> str:
        """Where it is, below `base_url`."""
        return f"{PREFIX}/{self.name}"


def site_of(datasette: Datasette) -> Site:
    """What the page shows; not found where there is nothing to show."""
    site = find(datasette)
    if site is None:
        raise NotFound("No AgentTrace database")
    return site


async def render(
    datasette: Datasette, request: Any, template: str, context: dict[str, Any], status: int = 200
) -> Response:
    """One of our templates as an answer that runs no script but our files."""
    html = await datasette.render_template(template, context, request=request)
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
    return Response.html(html, status=status, headers=headers)
