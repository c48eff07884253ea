"""The frame around every page: one header, one look, for Datasette's own pages too.

Datasette 0.65's `base.html` has neither a language nor a main landmark, and no hook adds them.
So its place is taken, but only where our database is shown and the user has not got a version of
their own; `base.html` here is a copy of Datasette 0.65.5's with those, our header, and a link to a
call's page on its row.  So is that of `error.html`, which says what there is not, and leads back,
and of `database.html`, which extends Datasette's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datasette import __version__ as version
from jinja2 import BaseLoader, ChoiceLoader, Environment, TemplateNotFound

from ..asking import Asked
from ..cells import call_address
from ..page import Page
from ..site import Datasette, Site, find

FOLDER = Path(__file__).parent
STYLE = "agenttrace.css"
"""The look of every page, in `static/`."""
COPIED_FROM = "0.65."
FRAMES = ("base.html", "database.html", "error.html")


@dataclass(frozen=True, slots=True)
class Header:
    """What the header links to."""

    datasette: Datasette
    site: Site
    pages: tuple[Page, ...]

    @property
    def links(self) -> list[dict[str, str]]:
        """Our pages, then the tables behind them."""
        urls, name = self.datasette.urls, self.site.database
        ours = [{"href": urls.path(page.path), "label": page.label} for page in self.pages]
        return [
            *ours,
            {"href": urls.database(name), "label": "SQL"},
        ]

    def kept(self, asked: object, request: Any, href: str) -> str:
        """The query that takes along to *href* what the page that is shown was *asked* for.

        That is the time that it shows, named in its address or not, and the filters of every page.
        Nothing to the page itself: its link shows all of it again.  Nor an agent to the list of
        agents, which it would turn into that agent's page.  Pages that are not ours are asked for
        something else, or nothing.
        """
        urls = self.datasette.urls
        with_bar = {urls.path(page.path): page for page in self.pages if page.filtered}
        if not isinstance(asked, Asked) or href not in with_bar or request.path == href:
            return ""
        return asked.elsewhere("agent") if with_bar[href].name == "agents" else asked.elsewhere()

    def call_page(self, database: str, call_id: str) -> str | None:
        """Our page of a call whose row is shown."""
        return call_address(self.datasette, database, call_id)

    @property
    def logout(self) -> str:
        """Where the sign-out button leads."""
        path: str = self.datasette.urls.path("/-/agenttrace/logout")
        return path


class FrameLoader(BaseLoader):
    """Our `FRAMES` while *datasette* shows our database, and nothing else ever."""

    def __init__(self, datasette: Datasette) -> None:
        self._datasette = datasette

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """The frame, up to date while there is something to frame."""
        ours = template in FRAMES and _fits(self._datasette, template)
        if not ours or not find(self._datasette):
            raise TemplateNotFound(template)
        return _source(template), None, lambda: find(self._datasette) is not None

    def list_templates(self) -> list[str]:
        """Nothing: Datasette lists templates to find pages among them."""
        return []


def header(datasette: Datasette, pages: tuple[Page, ...]) -> Header | None:
    """The header of every page; None where our database is not shown."""
    site = find(datasette)
    return Header(datasette, site, pages) if site else None


def frame_core_pages(env: Environment, datasette: Datasette, pages: tuple[Page, ...]) -> None:
    """Make *env* put our frame around Datasette's own pages, those that tell of errors too."""
    env.globals["agenttrace_header"] = lambda: header(datasette, pages)
    loaders: list[BaseLoader] = [FrameLoader(datasette)]
    if env.loader is not None:
        loaders.append(env.loader)
    env.loader = ChoiceLoader(loaders)


def _fits(site: Datasette, template: str) -> bool:
    own = site.template_dir and (Path(site.template_dir) / template).exists()
    return not own and version.startswith(COPIED_FROM)


@cache
def _source(template: str) -> str:
    return (FOLDER / template).read_text("utf-8")
