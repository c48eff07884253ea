"""One trace, session or call as a single HTML file to hand on: style inside, no script, no link.

Whoever shares says how much: a privacy tier, and never more than was stored.  The file forbids
itself to load anything, wherever it is opened.
"""

import base64
import re
from functools import cache
from hashlib import sha256
from typing import Any

from datasette.utils.asgi import Response

from agenttrace_mitm.privacy import Tier

from . import figures
from .asking import arguments_of
from .chrome import STYLE
from .site import Datasette

LEAST: Tier = 1
CHOSEN: dict[str, Tier] = {"1": 1, "2": 2, "3": 3}
TIERS = {
    1: "names, times and figures",
    2: "what people and tools said, without the model's words",
    3: "everything that was kept",
}
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
    html = await datasette.render_template(template, context, request=request)
    file = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:80].strip("-.") or "shared"
    return Response.html(
        html,
        headers={
            "content-security-policy": policy + "; frame-ancestors 'none'; sandbox",
            "content-disposition": f'attachment; filename="{file}.html"',
            "x-content-type-options": "nosniff",
        },
    )


@cache
def _style() -> tuple[str, str]:
    """Our style without the part for Datasette's pages, and the policy that allows it alone."""
    ours, _, rest = STYLE.read_text().partition("/* 4 --")
    text = ours + rest[rest.index("/* 5 --") :]
    digest = base64.b64encode(sha256(text.encode()).digest()).decode()
    return (
        text,
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )
