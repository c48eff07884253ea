"""The desktop's proxy setting, and how it was before."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agenttrace_mitm.errors import AgentTraceError
from agenttrace_mitm.launch.changes import Machine, desktop_proxy, make, undo
from tests.support.machines import snapshot, stub

USERS = {
    "org.gnome.system.proxy mode": "'auto'",
    "org.gnome.system.proxy.http host": "'proxy.corp'",
    "org.gnome.system.proxy ignore-hosts": "['corp']",
}


def enable(machine, journal, port=4000):
    [change] = desktop_proxy(machine, "127.0.0.1", port)
    return make(change, machine, journal)


def disable(machine, journal):
    for entry in journal.entries():
        undo(entry, machine, journal)


def gsettings(machine):
    return json.loads(Path(machine.environ["GSETTINGS_FILE"]).read_text())


@pytest.mark.parametrize("users", [{}, USERS], ids=["untouched", "the user's own"])
def test_it_leads_to_us_and_is_then_as_before(gnome, journal, users):
    Path(gnome.environ["GSETTINGS_FILE"]).write_text(json.dumps(users, sort_keys=True))
    before = snapshot(gnome.root)
    assert enable(gnome, journal)
    assert gsettings(gnome)["org.gnome.system.proxy mode"] == "'manual'"
    assert gsettings(gnome)["org.gnome.system.proxy.https port"] == "4000"
    assert not enable(gnome, journal)
    disable(gnome, journal)
    assert snapshot(gnome.root) == before


def test_another_port_does_not_hide_what_was_before(gnome, journal):
    Path(gnome.environ["GSETTINGS_FILE"]).write_text(json.dumps(USERS, sort_keys=True))
    before = snapshot(gnome.root)
    enable(gnome, journal)
    assert enable(gnome, journal, port=4001)
    assert gsettings(gnome)["org.gnome.system.proxy.https port"] == "4001"
    disable(gnome, journal)
    assert snapshot(gnome.root) == before


def test_what_the_user_set_since_then_stays(gnome, journal):
    Path(gnome.environ["GSETTINGS_FILE"]).write_text("{}")
    enable(gnome, journal)
    gnome.run("gsettings", "set", "org.gnome.system.proxy", "mode", "'auto'")
    disable(gnome, journal)
    assert gsettings(gnome) == {"org.gnome.system.proxy mode": "'auto'"}


KILLED = """
import sys
from pathlib import Path
from agenttrace_mitm.launch.changes import Journal, Machine, desktop_proxy, make
home, root, journal = map(Path, sys.argv[1:])
import os
machine = Machine(os.environ, "linux", home, root)
[change] = desktop_proxy(machine, "127.0.0.1", 4000)
make(change, machine, Journal(journal))
"""


@pytest.mark.parametrize("key", ["http host", "https port", "mode"])
def test_half_of_it_can_be_undone(gnome, journal, key):
    """Killed at any of the six settings."""
    Path(gnome.environ["GSETTINGS_FILE"]).write_text(json.dumps(USERS, sort_keys=True))
    before = snapshot(gnome.root)
    schema = "org.gnome.system.proxy" + ("." if " " in key else " ")
    child = subprocess.run(
        [sys.executable, "-c", KILLED, gnome.user_home, gnome.root, journal._folder],
        env={**gnome.environ, "GSETTINGS_STOPS_AT": schema + key},
        check=False,
    )
    assert child.returncode == -9
    assert [entry.state for entry in journal.entries()] == ["begun"]
    disable(gnome, journal)
    assert snapshot(gnome.root) == before


def test_a_desktop_without_such_settings(machine, journal, bin_folder):
    stub(bin_folder, "gsettings", "#!/bin/sh\necho 'No schemas installed' >&2; exit 1\n")
    with pytest.raises(AgentTraceError, match="No schemas installed"):
        enable(machine, journal)
    assert journal.entries() == []


NETWORKSETUP = """#!{python}
# Two services; the state of one is a JSON file.
import json, os, sys
path = os.environ["NETWORK_FILE"]
said = json.load(open(path))
action, *rest = sys.argv[1:]
if action == "-listallnetworkservices":
    print("An asterisk (*) denotes that a network service is disabled.\\nWi-Fi\\n*Bluetooth")
elif action.startswith("-get"):
    name = action[4:]
    if name == "proxybypassdomains":
        print("\\n".join(said[name]) or "There aren't any bypass domains set on Wi-Fi.")
    else:
        on, host, port = said[name]
        print("Enabled: " + ("Yes" if on else "No") + "\\nServer: " + host + "\\nPort: " + port)
else:
    name, values = action[4:], rest[1:]
    if name == "proxybypassdomains":
        said[name] = [] if values == ["Empty"] else values
    elif name.endswith("state"):
        said[name[:-5]][0] = values == ["on"]
    else:
        said[name] = [True, *values]
    json.dump(said, open(path, "w"), sort_keys=True)
"""


@pytest.mark.parametrize("domains", [[], ["corp", "*.corp"]], ids=["none", "some"])
def test_a_mac_in_its_own_words(machine, journal, bin_folder, domains):
    """As documented; none was at hand."""
    stub(bin_folder, "networksetup", NETWORKSETUP)
    file = machine.root / "network.json"
    before = {
        "proxybypassdomains": domains,
        "securewebproxy": [False, "old", "3128"],
        "webproxy": [True, "old", "3128"],
    }
    file.write_text(json.dumps(before))
    environ = {**machine.environ, "NETWORK_FILE": str(file)}
    mac = Machine(environ, "darwin", machine.user_home, machine.root)
    assert enable(mac, journal)
    assert json.loads(file.read_text())["securewebproxy"] == [True, "127.0.0.1", "4000"]
    assert not enable(mac, journal)
    disable(mac, journal)
    assert json.loads(file.read_text()) == before


REG = """#!{python}
import json, os, sys
path = os.environ["REGISTRY_FILE"]
said = json.load(open(path))
action, _, _, name, *rest = sys.argv[1:]
if action == "query":
    if name not in said:
        sys.exit("ERROR: The system was unable to find the specified registry key or value.")
    kind, value = said[name]
    print("\\nHKEY_CURRENT_USER\\\\...\\n    " + "    ".join([name, kind, value]) + "\\n")
elif action == "delete":
    del said[name]
else:
    kind, value = rest[1], rest[3]
    said[name] = [kind, hex(int(value, 0)) if kind == "REG_DWORD" else value]
json.dump(said, open(path, "w"), sort_keys=True)
"""


@pytest.mark.parametrize(
    "before",
    [{"ProxyEnable": ["REG_DWORD", "0x0"]}, {"ProxyServer": ["REG_SZ", "old:3128"]}],
    ids=["off", "the user's own"],
)
def test_a_windows_in_its_own_words(machine, journal, bin_folder, before):
    """As documented; none was at hand."""
    stub(bin_folder, "reg", REG)
    file = machine.root / "registry.json"
    file.write_text(json.dumps(before))
    environ = {**machine.environ, "REGISTRY_FILE": str(file)}
    windows = Machine(environ, "win32", machine.user_home, machine.root)
    assert enable(windows, journal)
    assert json.loads(file.read_text())["ProxyServer"] == ["REG_SZ", "127.0.0.1:4000"]
    assert not enable(windows, journal)
    disable(windows, journal)
    assert json.loads(file.read_text()) == before
