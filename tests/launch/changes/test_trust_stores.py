"""Our root in trust stores, and the stores as they were afterwards."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agenttrace_mitm.errors import AgentTraceError
from agenttrace_mitm.launch.changes import Machine, make, trust_stores, undo
from tests.support.machines import snapshot, stub

NSS = pytest.mark.skipif(not shutil.which("certutil"), reason="certutil is not installed")
JAVA = pytest.mark.skipif(not shutil.which("keytool"), reason="no java")


def install(machine, journal, root, *which):
    changes = trust_stores(machine, which, root)
    return [make(change, machine, journal) for change in changes]


def uninstall(machine, journal):
    return [undo(entry, machine, journal) for entry in journal.entries()]


def test_debians_store_trusts_us_and_is_then_as_before(debian, journal, root):
    before = snapshot(debian.root)
    bundle = debian.at("/etc/ssl/certs/ca-certificates.crt")
    assert install(debian, journal, root, "system") == [True]
    assert root.read_text().strip() in bundle.read_text()
    assert snapshot(debian.root) != before
    assert uninstall(debian, journal) == [[]]
    assert snapshot(debian.root) == before
    assert journal.entries() == []


def test_installing_twice_changes_nothing(debian, journal, root):
    install(debian, journal, root, "system")
    once, notes = snapshot(debian.root), snapshot(journal._folder)
    assert install(debian, journal, root, "system") == [False]
    assert (snapshot(debian.root), snapshot(journal._folder)) == (once, notes)


def test_a_new_root_takes_the_place_of_the_old_one(debian, journal, roots):
    before = snapshot(debian.root)
    other = debian.root / "third"
    install(debian, journal, roots[0], "system")
    from agenttrace_mitm.capture import authority

    authority.ensure(other, ["api.openai.com"])
    install(debian, journal, other / authority.ROOT_FILE, "system")
    text = debian.at("/etc/ssl/certs/ca-certificates.crt").read_text()
    assert roots[0].read_text().strip() not in text
    assert (other / authority.ROOT_FILE).read_text().strip() in text
    uninstall(debian, journal)
    shutil.rmtree(other)
    assert snapshot(debian.root) == before


def test_what_others_added_meanwhile_stays(debian, journal, roots, tmp_path):
    """Only our part is taken out of a bundle that somebody else changed after us."""
    install(debian, journal, roots[0], "system")
    from agenttrace_mitm.capture import authority

    authority.ensure(tmp_path / "company", ["company.example"])
    company = tmp_path / "company" / authority.ROOT_FILE
    shutil.copy(company, debian.at("/usr/local/share/ca-certificates/company.crt"))
    bundle = debian.at("/etc/ssl/certs/ca-certificates.crt")
    assert uninstall(debian, journal) == [[str(bundle)]]
    assert company.read_text().strip() in bundle.read_text()
    assert roots[0].read_text().strip() not in bundle.read_text()


def test_a_user_is_told_what_root_has_to_type(debian, journal, root, monkeypatch):
    folder, access = debian.at("/usr/local/share/ca-certificates"), os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and access(path, mode))
    with pytest.raises(AgentTraceError, match="sudo"):
        install(debian, journal, root, "system")


def test_fedoras_way(machine, journal, roots, bin_folder):
    """Another folder, another tool; its bundle is put back byte for byte."""
    root, other = roots
    shutil.rmtree(machine.at("/usr/local"))
    machine.at("/etc/pki/ca-trust/source/anchors").mkdir(parents=True)
    bundle = machine.at("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")
    bundle.parent.mkdir(parents=True)
    shutil.copy(other, bundle)
    anchors = machine.at("/etc/pki/ca-trust/source/anchors")
    # Like the real one it writes what it likes, never the same bytes twice.
    gather = f"cat {anchors}/*.pem {other} >{bundle}; date +%N >>{bundle}"
    stub(bin_folder, "update-ca-trust", f"#!/bin/sh\n{gather}\n")
    before = snapshot(machine.root)
    assert install(machine, journal, root, "system") == [True]
    assert len(list(anchors.iterdir())) == 1
    assert uninstall(machine, journal) == [[]]
    assert snapshot(machine.root) == before


def test_a_tool_that_fails_is_quoted_and_can_be_undone(machine, journal, root, bin_folder):
    stub(bin_folder, "update-ca-certificates", "#!/bin/sh\necho 'no space left' >&2\nexit 3\n")
    before = snapshot(machine.root)
    with pytest.raises(AgentTraceError, match="no space left"):
        install(machine, journal, root, "system")
    assert [entry.state for entry in journal.entries()] == ["begun"]
    stub(bin_folder, "update-ca-certificates", "#!/bin/sh\n")
    uninstall(machine, journal)
    assert snapshot(machine.root) == before


def test_a_system_that_we_do_not_know(machine, journal, root):
    shutil.rmtree(machine.at("/usr/local"))
    with pytest.raises(AgentTraceError, match="none of the trust stores"):
        install(machine, journal, root, "system")


@pytest.fixture
def firefox(machine):
    """A profile as Firefox makes it, with a certificate of the user's."""
    folder = machine.user_home / ".mozilla/firefox/abc.default"
    folder.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{folder}", "-N", "--empty-password"], check=True)
    return folder


@NSS
def test_firefox_trusts_us_and_is_then_as_before(machine, firefox, journal, root):
    before = snapshot(machine.root)
    assert install(machine, journal, root, "nss") == [True]
    listed = machine.run("certutil", "-d", f"sql:{firefox}", "-L")
    assert "AgentTrace root" in listed
    assert "C,," in listed
    assert install(machine, journal, root, "nss") == [False]
    assert uninstall(machine, journal) == [[]]
    assert snapshot(machine.root) == before


@NSS
def test_what_the_user_added_to_firefox_meanwhile_stays(machine, firefox, journal, roots):
    install(machine, journal, roots[0], "nss")
    add = ("-A", "-t", "C,,", "-n", "company", "-i", str(roots[1]))
    machine.run("certutil", "-d", f"sql:{firefox}", *add)
    uninstall(machine, journal)
    listed = machine.run("certutil", "-d", f"sql:{firefox}", "-L")
    assert "company" in listed
    assert "AgentTrace root" not in listed


@NSS
def test_a_database_that_is_open_is_not_replaced(machine, firefox, journal, root):
    """A browser would go on with a file that nobody sees any more."""
    install(machine, journal, root, "nss")
    inode = (firefox / "cert9.db").stat().st_ino
    with (firefox / "cert9.db").open("rb"):
        assert str(firefox / "cert9.db") in uninstall(machine, journal)[0]
    assert (firefox / "cert9.db").stat().st_ino == inode
    assert "AgentTrace" not in machine.run("certutil", "-d", f"sql:{firefox}", "-L")


def test_without_a_browser_there_is_no_database(machine, journal, root):
    with pytest.raises(AgentTraceError, match="no NSS database"):
        install(machine, journal, root, "nss")


@JAVA
def test_java_trusts_us_and_is_then_as_before(machine, journal, roots):
    store = machine.at("/etc/ssl/certs/java/cacerts")
    common = ("-keystore", str(store), "-storepass", "changeit")
    other = ("-noprompt", "-alias", "other", "-file", str(roots[1]))
    machine.run("keytool", "-importcert", *other, *common)
    before = snapshot(machine.root)
    assert install(machine, journal, roots[0], "java") == [True]
    assert "agenttrace-" in machine.run("keytool", "-list", *common)
    assert install(machine, journal, roots[0], "java") == [False]
    assert uninstall(machine, journal) == [[]]
    assert snapshot(machine.root) == before


def test_a_mac_and_a_windows_are_told_in_their_own_words(machine, journal, root, bin_folder):
    """As documented; neither was at hand."""
    log = machine.root / "log"
    found = f'#!/bin/sh\necho "$(basename $0) $@" >>{log}\n'
    for name in ("security", "certutil"):
        stub(bin_folder, name, found)
    mac = Machine(machine.environ, "darwin", machine.user_home, machine.root)
    install(mac, journal, root, "system")
    windows = Machine(machine.environ, "win32", machine.user_home, machine.root)
    install(windows, journal, root, "system")
    said = log.read_text()
    assert "security add-trusted-cert -r trustRoot -p ssl -k" in said
    assert "certutil -user -addstore Root" in said
    assert Path(journal.entries()[0].facts["certificate"]).read_bytes() == root.read_bytes()
