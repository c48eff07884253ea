"""Our styles and scripts, each at an address that changes with its content.

What such an address gave is the same for ever, so a browser asks for it once, not on each page:
the charts' scripts are 830 kB, which it has to compile again as well where it may not keep them.
"""

import re
from collections.abc import Awaitable, Callable
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasette.utils.asgi import asgi_static

from .page import PREFIX
from .site import Datasette

FOLDER = Path(__file__).parent / "static"
ROUTE = rf"^{PREFIX}/static/(?P<path>.*)$"
FOR_EVER = (b"cache-control", b"private, max-age=31536000, immutable")
CHUNK_BYTES = 256 * 1024

# As the build tools of plugins name files: main.08f5d3d8.js
_NAMED_BY_CONTENT = re.compile(r"/-/static-plugins/.+\.[0-9a-f]{8,}\.(?:css|js)")
_OURS = f"{PREFIX}/static/"
_STYLE_OF_DATASETTE = "/-/static/app.css"


def address(datasette: Datasette, name: str) -> str:
    """Where the file *name* of `static/` is."""
    path: str = datasette.urls.path(f"{_OURS}{name}?{_hash(FOLDER / name)}")
    return path


def served() -> Callable[..., Awaitable[Any]]:
    """The view of our files, for whoever may see pages."""
    view: Callable[..., Awaitable[Any]] = asgi_static(str(FOLDER), chunk_size=CHUNK_BYTES)
    return view


def is_kept(datasette: Datasette, path: str, query: str) -> bool:
    """Whether what is at *path*, below `base_url`, with that *query* will never be different."""
    if path.startswith(_OURS):
        name = path.removeprefix(_OURS)
        return name in _names() and query == _hash(FOLDER / name)
    if path == _STYLE_OF_DATASETTE:
        return query == str(datasette.app_css_hash())
    return _NAMED_BY_CONTENT.fullmatch(path) is not None


@cache
def _names() -> frozenset[str]:
    """All that is served, and so all that is ever read for somebody who asks."""
    files = (one for one in FOLDER.rglob("*") if one.is_file())
    return frozenset(one.relative_to(FOLDER).as_posix() for one in files)


def _hash(file: Path) -> str:
    return _hash_of(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of(file: Path, _written_ns: int) -> str:
    return sha256(file.read_bytes()).hexdigest()[:10]
