"""Changing `config.json` by command: one setting, everything else as it was."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import put

if TYPE_CHECKING:
    from ..settings import Settings


def change(settings: "Settings", **values: Any) -> Path:
    """Write *values* into the file of this home; the file was judged by `settings.load`."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.home / "config.json"
    said = json.loads(path.read_bytes()) if path.exists() else {}
    return put(path, f"{json.dumps(said | values, indent=1)}\n".encode())
