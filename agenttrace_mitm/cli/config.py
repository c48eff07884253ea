"""Changing `config.json` by command: one setting, everything else as it was."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..settings import Settings


def change(settings: "Settings", **values: Any) -> Path:
    """Write *values* into the file of this home; the file was judged by `settings.load`."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.home / "config.json"
    said = json.loads(path.read_bytes()) if path.exists() else {}
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(said | values, stream, indent=1)
        stream.write("\n")
    return draft.replace(path)
