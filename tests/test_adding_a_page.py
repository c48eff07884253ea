"""What `docs/adding-a-page.md` says is done to a copy of the plugin, and the page answers."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import datasette_agenttrace

PLUGIN = Path(datasette_agenttrace.__file__).parent
TOP = Path(__file__).parents[1]
DOCUMENT = TOP / "docs" / "adding-a-page.md"
FILE = re.compile(r"^(?:# |\{# )([\w/]+\.(?:py|html))")
ASKS = """
import asyncio, json, sys
from pathlib import Path
import datasette_agenttrace
from datasette.app import Datasette
from datasette.plugins import pm
from agenttrace_mitm import access, clock
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from tests.support.records import record

assert datasette_agenttrace.__file__.startswith(sys.argv[1])
if not pm.is_registered(datasette_agenttrace) and not pm.has_plugin("agenttrace"):
    pm.register(datasette_agenttrace, name="agenttrace")
home = Path(sys.argv[2])
db = open_database(home / "data.db")
at = clock.now_us() - 1_000_000
write_record(db.conn, record("Hi", started_us=at, ended_us=at, host="<i>host</i>"))
db.conn.commit()
db.close()
headers = {"x-api-key": access.read_or_create_token(home / "token")}

async def ask():
    client = Datasette([str(home / "data.db")]).client
    page = await client.get("/-/agenttrace/hosts", headers=headers)
    data = await client.get("/-/agenttrace/hosts.json", headers=headers)
    other = await client.get("/-/agenttrace/costs", headers=headers)
    anonymous = await client.get("/-/agenttrace/hosts")
    answers = [page.status_code, page.text, data.json(), other.text, anonymous.status_code]
    print(json.dumps(answers))

asyncio.run(ask())
"""


def files_in(document: str) -> dict[str, str]:
    """The files that the indented blocks of *document* are, by the name on their first line."""
    found, block = {}, ""
    for line in [*document.splitlines(), "end"]:
        if line.startswith("    ") or not line.strip():
            block += line + "\n"
        else:
            text = textwrap.dedent(block).strip() + "\n"
            if name := FILE.match(text):
                found[name[1]] = text
            block = ""
    return found


def test_a_page_is_one_folder_and_one_line(tmp_path: Path) -> None:
    copy = tmp_path / "plugins" / PLUGIN.name
    shutil.copytree(PLUGIN, copy, ignore=shutil.ignore_patterns("__pycache__"))
    files = files_in(DOCUMENT.read_text())
    assert set(files) == {
        "hosts/__init__.py", "hosts/queries.py", "templates/agenttrace_hosts.html",
    }  # fmt: skip
    for name, text in files.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text)
    pages = copy / "pages.py"
    text = pages.read_text()
    text = text.replace("import agents,", "import hosts, agents,")
    pages.write_text(text.replace("    alerts.PAGE,\n", "    alerts.PAGE,\n    hosts.PAGE,\n"))
    home = tmp_path / "home"
    home.mkdir(mode=0o700)

    def runs(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {
                "PYTHONPATH": f"{copy.parent}{os.pathsep}{TOP}", "AGENTTRACE_HOME": str(home),
            },
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    done = runs("-c", ASKS, str(tmp_path), str(home))
    assert done.returncode == 0, done.stderr
    status, page, data, other, anonymous = json.loads(done.stdout.splitlines()[-1])
    assert status == 200
    assert "<bdi>&lt;i&gt;host&lt;/i&gt;</bdi>" in page
    assert data == {"hosts": [{"host": "<i>host</i>", "calls": 1}]}
    assert re.search(r'or <a href="/data\S*\?sql=[^"]+newest[^"]*">SQL</a>', page)
    assert 'href="/-/agenttrace/hosts?range=30d"' in other, "it stands in the navigation"
    assert anonymous == 401
    # Code as it is read here, and no page that reads all calls, with whatever filter.
    settings = ["--config", str(TOP / "pyproject.toml")]
    done = runs("-m", "ruff", "check", *settings, str(copy / "hosts"))
    assert done.returncode == 0, done.stdout
    plans = str(TOP / "tests" / "datasette_agenttrace" / "test_plans.py")
    done = runs("-m", "pytest", "-p", "no:cacheprovider", plans, "-k", "hosts")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.M), done.stdout
