"""One trace, session or call to hand on, as a single HTML file or as a database of its own.

The HTML has its style inside, no script and no link, and forbids itself to load anything, wherever
it is opened.  Whoever shares says how much: a privacy tier, and never more than was stored.
"""

import asyncio
import base64
import re
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasette.utils.asgi import NotFound, Response

from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.privacy import Tier
from agenttrace_mitm.store import slicing
from agenttrace_mitm.store.slicing import What

from . import assets, figures
from .asking import arguments_of
from .chrome import STYLE
from .laid_out import sendable
from .page import site_of
from .site import Datasette

LEAST: Tier = 1
CHOSEN: dict[str, Tier] = {"1": 1, "2": 2, "3": 3}
TIERS = {
    1: "names, times and figures",
    2: "what people and tools said, without the model's words",
    3: "everything that was kept",
}
NAMED: dict[Tier, str] = {1: "figures", 2: "no-replies", 3: "everything"}
"""How the name of a file ends, so that nobody hands on more than he means to."""
ABSENT = "not in this file"
"""What a page says of words that it has not: here they may be kept, and are not shared."""
WHOLE_SHARED = 1_000  # steps or calls in one file


def tier_of(request: Any) -> Tier:
    """The tier that is asked for; the least where none is."""
    said = arguments_of(request).get("tier", "")
    return CHOSEN.get(said, LEAST)


async def shared(
    datasette: Datasette, request: Any, template: str, name: str, context: dict[str, Any]
) -> Response:
    """*template* as a file to keep, called after *name*."""
    style, policy = _style()
    context |= {"style": style, "policy": policy, "figures": figures, "tiers": TIERS}
    context |= {"absent": ABSENT}
    html = sendable(await datasette.render_template(template, context, request=request))
    alone = {"content-security-policy": policy + "; frame-ancestors 'none'; sandbox"}
    return Response.html(html, headers=alone | _to_keep(name, tier_of(request), "html"))


async def sliced(datasette: Datasette, request: Any, what: What, name: str) -> Response:
    """The *what* called *name* as a database of its own.  Raises `NotFound`."""
    database = Path(datasette.get_database(site_of(datasette).database).path)
    tier = tier_of(request)

    def cut_out() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "slice.db"
            slicing.cut(database, target, what, name, tier)
            return target.read_bytes()

    try:
        content = await asyncio.to_thread(cut_out)
    except StoreError as error:
        if error.problem.startswith("There is no "):
            raise NotFound(error.problem) from None
        return Response.text(str(error), status=503)
    headers = _to_keep(f"{what}-{name}", tier, "db")
    return Response(content, headers=headers, content_type="application/vnd.sqlite3")


def _to_keep(name: str, tier: Tier, kind: str) -> dict[str, str]:
    file = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:80].strip("-.") or "shared"
    return {
        "content-disposition": f'attachment; filename="{file}-{NAMED[tier]}.{kind}"',
        "x-content-type-options": "nosniff",
    }


@cache
def _style() -> tuple[str, str]:
    """Our style without the part for Datasette's pages, and the policy that allows it alone."""
    ours, _, rest = (assets.FOLDER / STYLE).read_text().partition("/* 4 --")
    text = ours + rest[rest.index("/* 5 --") :]
    digest = base64.b64encode(sha256(text.encode()).digest()).decode()
    return (
        text,
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
    )
