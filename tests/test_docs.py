"""Documentation that cannot drift: every command and setting is in its page, as it is now."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agenttrace_mitm.alerts.rules import RULE_TYPES
from agenttrace_mitm.cli import COMMANDS
from agenttrace_mitm.cli.options import OPTIONS
from agenttrace_mitm.settings import described
from agenttrace_mitm.store.descriptions import TABLES, VIEWS
from benchmarks.__main__ import BENCHMARKS
from datasette_agenttrace.pages import PAGES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def generated():
    return [
        page for page in [ROOT / "README.md", *DOCS.glob("*.md")] if "[[[cog" in page.read_text()
    ]


@pytest.mark.parametrize("page", generated(), ids=lambda page: page.name)
def test_generated_pages_are_up_to_date(page):
    """`cog -r PAGE` would change nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", str(page)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name):
    assert f"## agenttrace-mitm {name}\n" in (DOCS / "cli.md").read_text()


@pytest.mark.parametrize("name", described())
def test_every_setting_is_documented(name):
    assert f"| `{name}` | `AGENTTRACE_{name.upper()}` |" in (DOCS / "settings.md").read_text()


@pytest.mark.parametrize("name", ["llm_calls", *TABLES, *VIEWS])
def test_every_table_and_view_is_documented(name):
    assert f"## {name}\n" in (DOCS / "schema.md").read_text()


@pytest.mark.parametrize("name", [rule.name for rule in RULE_TYPES])
def test_every_rule_type_is_documented(name):
    assert f"## {name}\n" in (DOCS / "rules.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_has_its_picture(page):
    """A section of its own that shows it, and no picture that is not there."""
    sections = (DOCS / "pages.md").read_text().split("\n## ")
    [text] = [one for one in sections if one.startswith(f"{page.label}\n")]
    shown = re.findall(r"!\[[^]]+\]\((pictures/[^)]+)\)", text)
    assert shown
    for picture in shown:
        assert (DOCS / picture).read_bytes().startswith(b"\x89PNG")
        assert (DOCS / picture.replace(".png", "-phone.png")).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_documented(page):
    text = (DOCS / "pages.md").read_text()
    assert f"## {page.label}\n" in text
    assert f"`{page.path}`" in text


@pytest.mark.parametrize("name", OPTIONS)
def test_the_defaults_in_help_are_the_defaults(name):
    """Help texts are written by hand, because importing the settings would slow `--help`."""
    default = described()[name][0]
    assert default is None or OPTIONS[name][1] == str(default)


def test_every_dependency_says_why_it_is_there():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (DOCS / "dependencies.md").read_text()
    for line in project["dependencies"]:
        name = line.split(">")[0].split("<")[0].split("=")[0]
        assert f"`{name}`" in text, name


SCRIPTS = [path for path in (ROOT / "scripts").iterdir() if "/bin/python" in path.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_sets_up_what_it_runs(script):
    """On a fresh clone there is no `.venv`."""
    assert re.search(r"^setup\b|^setup\(\) {$", script.read_text(), re.MULTILINE)
    assert ".venv/bin/python" not in script.read_text()


def test_bench_names_its_benchmarks():
    """In the words at its top, and in the page on speed."""
    head = (ROOT / "scripts/bench").read_text().partition("\nset -eu\n")[0]
    assert re.findall(r"\[(\w+)\]", head) == [*BENCHMARKS]
    one_of = re.search(r"# one of: (.+)", (DOCS / "performance.md").read_text())
    assert one_of and one_of[1].split() == [*BENCHMARKS]
