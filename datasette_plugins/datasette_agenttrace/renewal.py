"""Another file under the database's name: noticed with each request, and opened anew.

Somebody moves the file away while calls are recorded, and the recorder goes on in a new one.
Connections that are open would show the old one for good.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import WeakKeyDictionary

from agenttrace_mitm.store.opening import Identity, identity

from . import counts
from .site import Datasette, Site, has_our_tables

_files: WeakKeyDictionary[Datasette, dict[str, Identity]] = WeakKeyDictionary()


def is_there(datasette: Datasette, site: Site) -> bool:
    """Whether the database that the pages show has a file.

    What is another file than before is opened anew.  Runs in the event loop, for every request:
    a `stat` for each database.
    """
    files = _files.setdefault(datasette, {})
    for name in site.databases:
        if not datasette.databases[name].is_mutable:
            continue
        path = Path(datasette.databases[name].path)
        now = identity(path)
        before = files.setdefault(name, now)
        # Until the recorder has made its tables the old one is shown.
        if now not in (None, before) and has_our_tables(path):
            files[name] = now
            _open_anew(datasette, name)
        if now is None and name == site.database:
            return False
    return True


def _open_anew(datasette: Datasette, name: str) -> None:
    """Let go of the connections of one database.  Datasette keeps them by thread: new threads."""
    from datasette.database import Database  # noqa: PLC0415  # as in `limits`

    old = datasette.databases[name]
    fresh = Database(datasette, path=old.path, is_mutable=old.is_mutable)
    fresh.name, fresh.route = old.name, old.route
    datasette.databases = {**datasette.databases, name: fresh}  # in its place: the first is shown
    counts.install_in(datasette, name)
    pool = datasette.executor
    if pool is None:  # it was told to do without threads
        old.close()
        return
    datasette.executor = ThreadPoolExecutor(max_workers=datasette.setting("num_sql_threads"))

    def close() -> None:
        pool.shutdown(wait=True)  # what is being asked is answered, from the old file
        old.close()

    threading.Thread(target=close, name="agenttrace-renewal", daemon=True).start()
