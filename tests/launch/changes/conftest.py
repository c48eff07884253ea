"""A throw-away machine: a folder for its root, stubs for the tools that it must not have."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agenttrace_mitm.capture import authority
from agenttrace_mitm.launch.changes import Journal, Machine
from tests.support.fake_upstream import TestAuthority
from tests.support.machines import DCONF, GSETTINGS, stub


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """Two roots: ours, and somebody else's."""
    folder = tmp_path_factory.mktemp("roots")
    authority.ensure(folder / "ours", ["api.openai.com"])
    return [folder / "ours" / authority.ROOT_FILE, TestAuthority(folder / "other").ca]


@pytest.fixture
def root(roots):
    return roots[0]


@pytest.fixture
def machine(tmp_path):
    """A Debian of its own in a folder; `bin` is searched first for tools."""
    place = tmp_path / "machine"
    for folder in (
        "usr/local/share/ca-certificates",
        "usr/share/ca-certificates/mozilla",
        "etc/ssl/certs/java",
        "etc/ca-certificates/update.d",
        "home",
    ):
        (place / folder).mkdir(parents=True)
    environ = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GSETTINGS_FILE": str(place / "gsettings.json"),
    }
    environ.pop("JAVA_HOME", None)
    return Machine(environ, "linux", place / "home", place)


@pytest.fixture
def bin_folder(tmp_path):
    return tmp_path / "bin"


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "agenttrace").mkdir()
    return Journal(tmp_path / "agenttrace" / "installed")


@pytest.fixture
def debian(machine, roots):
    """With a root of Mozilla's in the bundle, as Debian's own tool makes it."""
    if not machine.tool("update-ca-certificates"):
        pytest.skip("no update-ca-certificates")
    if "--etccertsdir" not in Path(machine.tool("update-ca-certificates")).read_text("utf-8"):
        pytest.skip("this update-ca-certificates cannot work elsewhere")
    shutil.copy(roots[1], machine.at("/usr/share/ca-certificates/mozilla/Other.crt"))
    machine.at("/etc/ca-certificates.conf").write_text("mozilla/Other.crt\n")
    at = machine.at
    subprocess.run(
        [
            machine.tool("update-ca-certificates"),
            *("--localcertsdir", at("/usr/local/share/ca-certificates")),
            *(
                "--etccertsdir",
                at("/etc/ssl/certs"),
                "--certsconf",
                at("/etc/ca-certificates.conf"),
            ),
            *("--certsdir", at("/usr/share/ca-certificates")),
            *("--hooksdir", at("/etc/ca-certificates/update.d")),
        ],
        check=True,
        capture_output=True,
    )
    return machine


@pytest.fixture
def gnome(machine, bin_folder):
    """A GNOME whose settings are a file."""
    stub(bin_folder, "gsettings", GSETTINGS)
    stub(bin_folder, "dconf", DCONF)
    return machine
