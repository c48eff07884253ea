"""Stubs for tools that change a machine, and what a machine looks like before and after."""

import hashlib
import stat
import sys
from pathlib import Path

GSETTINGS = """#!{python}
# A gsettings whose database is a JSON file, with the real one's defaults.
import json, os, sys
path = os.environ["GSETTINGS_FILE"]
defaults = {{
    "org.gnome.system.proxy mode": "'none'",
    "org.gnome.system.proxy ignore-hosts": "['localhost', '127.0.0.0/8', '::1']",
    "org.gnome.system.proxy.http host": "''", "org.gnome.system.proxy.http port": "8080",
    "org.gnome.system.proxy.https host": "''", "org.gnome.system.proxy.https port": "0",
}}
said = json.load(open(path)) if os.path.exists(path) else {{}}
action, schema, key, *value = sys.argv[1:]
name = schema + " " + key
if name not in defaults:
    sys.exit("No such schema")
if action == "get":
    print(said.get(name, defaults[name]))
elif action == "set":
    said[name] = value[0]
else:
    said.pop(name, None)
if action != "get":
    with open(path, "w") as file:
        json.dump(said, file, sort_keys=True)
if os.environ.get("GSETTINGS_STOPS_AT") == name and action == "set":
    os.kill(os.getppid(), 9)  # last: nobody waits for what is written after it
"""
DCONF = """#!{python}
import json, os, sys
path = os.environ["GSETTINGS_FILE"]
said = json.load(open(path)) if os.path.exists(path) else {{}}
*folders, key = sys.argv[2].strip("/").split("/")
name = "org.gnome." + ".".join(folders) + " " + key
print(said.get(name, ""))
"""
CRONTAB = """#!/bin/sh
# A crontab in a file.
case "$1" in
-) exec cat >"$CRONTAB_FILE" ;;
-r) exec rm "$CRONTAB_FILE" ;;
esac
[ -f "$CRONTAB_FILE" ] || {{ echo "no crontab for me" >&2; exit 1; }}
exec cat "$CRONTAB_FILE"
"""


def stub(folder: Path, name: str, text: str) -> None:
    """An executable in *folder*."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)


def snapshot(folder: Path) -> dict[str, object]:
    """Everything in *folder* but the times of folders: names, kinds, modes, bytes, targets."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name, mode = str(path.relative_to(folder)), path.lstat().st_mode
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_dir():
            found[name] = stat.filemode(mode)
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = (stat.filemode(mode), digest)
    return found
