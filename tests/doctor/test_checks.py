"""What doctor says of a home in good order, and of one where a single thing is wrong."""

import json
import os
import shutil
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from agenttrace_mitm import clock
from agenttrace_mitm.capture import authority as ca
from agenttrace_mitm.cli import instance
from agenttrace_mitm.doctor import Patient, authority, database, examine, home, machine, rehearsal
from agenttrace_mitm.doctor import running as running_checks
from agenttrace_mitm.doctor.runtimes import RUNTIMES, Runtime
from agenttrace_mitm.hosts import certificate_names, hosts
from agenttrace_mitm.launch import crontab, environment, state
from agenttrace_mitm.launch.changes import Journal, Machine, desktop_proxy, make
from agenttrace_mitm.settings import Settings
from agenttrace_mitm.store import open_database
from tests.support.machines import CRONTAB, DCONF, GSETTINGS, snapshot, stub


@pytest.fixture(autouse=True)
def temporary(monkeypatch):
    """A folder for temporary files, so that other programs' are not ours to judge."""
    folder = tempfile.mkdtemp(prefix="at-")  # short: sockets have short names
    monkeypatch.setattr(tempfile, "tempdir", folder)
    yield
    shutil.rmtree(folder)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A home as the first start leaves it."""
    monkeypatch.setenv("AGENTTRACE_HOME", str(tmp_path / "home"))
    found = Settings(proxy_port=0, port=0)
    state.prepare(found)
    ca.ensure(found.ca_folder, certificate_names(hosts()))
    ca.write_bundle(found.ca_folder, {})
    open_database(found.database).conn.close()
    return found


@pytest.fixture
def patient(settings, tmp_path):
    (tmp_path / "machine").mkdir()
    environ = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GSETTINGS_FILE": str(tmp_path / "machine" / "gsettings.json"),
    }
    place = Machine(environ, "linux", tmp_path / "machine", tmp_path / "machine")
    plain = environment.original(environ)
    return Patient(settings, place, plain, plain, instance.context)


def states(found):
    return [(finding.check, finding.state) for finding in found]


def only(check, patient):
    """The one finding of *check* that is no good news."""
    [finding] = [each for each in check(patient) if each.state != "ok"]
    return finding


def mended(check, patient):
    """Mend what is wrong, and see that it is."""
    finding = only(check, patient)
    assert finding.state == "wrong"
    finding.fix()
    assert all(each.state == "ok" for each in check(patient))
    return finding


def test_nothing_is_wrong_with_a_fresh_home(patient):
    found = list(examine(patient, runtimes=False))
    assert [each for each in found if each.state == "wrong"] == []
    assert ("authority", "ok") in states(found)
    assert ("database", "ok") in states(found)
    assert ("instance", "note") in states(found)


def test_a_home_that_is_not_there_is_not_made(tmp_path, monkeypatch, patient):
    monkeypatch.setenv("AGENTTRACE_HOME", str(tmp_path / "nowhere"))
    absent = Patient(Settings(), patient.machine, {}, {}, instance.context)
    assert not [e for e in examine(absent, runtimes=False) if e.state == "wrong"]
    assert not (tmp_path / "nowhere").exists()


def test_a_line_in_the_crontab(patient, tmp_path, monkeypatch):
    stub(tmp_path / "bin", "crontab", CRONTAB)
    monkeypatch.setenv("PATH", patient.environ["PATH"])
    monkeypatch.setenv("CRONTAB_FILE", str(tmp_path / "crontab"))
    assert list(machine.crontab(patient)) == []
    crontab.put(patient.settings)
    assert states(machine.crontab(patient)) == [("crontab", "ok")]
    patient.settings.log_folder.rmdir()
    assert "checks no alert rule" in mended(machine.crontab, patient).said


def test_a_home_that_others_can_read(patient):
    patient.settings.home.chmod(0o755)
    assert "others may look" in mended(home.folder, patient).said


def test_a_home_that_cannot_be_written(patient, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written" in only(home.folder, patient).said


def test_what_a_crash_left(patient):
    run = patient.settings.run_folder
    (run / "daemon.json").write_text("{}")
    (run / ".daemon.json-killed.draft").touch()
    (run / "daemon.lock").touch()
    temporary = Path(tempfile.gettempdir())
    (temporary / "agenttrace-doctor-killed").mkdir()
    (temporary / "agenttrace-doctor-killed" / "doctor.lock").touch()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(run / "control.sock"))
    said = mended(home.leftovers, patient).said
    assert "run/daemon.json" in said
    assert ".daemon.json-killed.draft" in said
    assert "control.sock" in said
    assert "agenttrace-doctor-killed" in said
    assert not list(temporary.iterdir())
    assert sorted(path.name for path in run.iterdir()) == ["daemon.lock"]


def test_a_socket_that_is_served_is_no_leftover(patient):
    """After its supervisor was killed, the recorder still writes the last calls."""
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(patient.settings.run_folder / "recorder.sock"))
        alive.listen()
        assert states(home.leftovers(patient)) == [("leftovers", "ok")]


def test_files_of_a_running_instance_are_no_leftovers(patient):
    with state.only_one(patient.settings.run_folder):
        (patient.settings.run_folder / "daemon.json").write_text("{}")
        assert states(home.leftovers(patient)) == [("leftovers", "ok")]
        assert "does not answer" in only(running_checks.instance, patient).said


@pytest.fixture
def status(monkeypatch):
    """What a running instance says, to be changed."""
    closed = socket.socket()  # bound without a listener: nobody else gets the port meanwhile
    closed.bind(("127.0.0.1", 0))
    said = {
        "pid": 1,
        "version": running_checks.__version__,
        "proxy_host": "127.0.0.1",
        "proxy_port": closed.getsockname()[1],
        "host": "127.0.0.1",
        "port": None,
        "runs": [],
        "processes": {"capture": {"up": True}},
    }
    for module in (running_checks, machine):
        monkeypatch.setattr(module, "status", lambda _: said)
    with closed:
        yield said


def test_another_version_is_running(patient, status):
    status["version"] = "0.0.1"
    found = {each.check: each for each in running_checks.instance(patient)}
    assert found["version"].state == "wrong"
    assert "0.0.1 is running" in found["version"].said
    assert found["proxy"].state == "wrong"  # nobody is there in this test


def test_a_process_that_is_down(patient, status):
    status["processes"]["recorder"] = {"up": False}
    found = {each.check: each for each in running_checks.instance(patient)}
    assert "recorder is down" in found["instance"].said


def test_a_shell_whose_proxy_is_gone(patient):
    told = {**patient.environ, environment.SAVED: "e30=", "HTTPS_PROXY": "http://127.0.0.1:9"}
    inside = Patient(
        patient.settings, patient.machine, told, patient.plain_environ, instance.context
    )
    finding = only(running_checks.shell, inside)
    assert finding.state == "wrong"
    assert "env --unset" in finding.remedy


def test_a_key_that_others_can_read(patient):
    (patient.settings.ca_folder / ca.KEY_FILE).chmod(0o644)
    assert "others may use" in mended(authority.sound, patient).said


def test_a_bundle_without_our_root(patient):
    bundle = patient.settings.ca_folder / ca.BUNDLE_FILE
    bundle.write_text("")
    mended(authority.sound, patient)
    bundle.unlink()
    mended(authority.sound, patient)


def test_an_authority_that_is_damaged(patient):
    (patient.settings.ca_folder / ca.KEY_FILE).write_text("rubbish")
    assert "ca rotate" in only(authority.sound, patient).remedy


def test_an_authority_near_its_end(patient, monkeypatch):
    monkeypatch.setattr(ca, "RENEW_BEFORE", 2 * ca.VALID_FOR)
    assert "days left" in only(authority.sound, patient).said


@pytest.fixture
def gnome(patient, tmp_path):
    """A desktop whose proxy is the user's own."""
    stub(tmp_path / "bin", "gsettings", GSETTINGS)
    stub(tmp_path / "bin", "dconf", DCONF)
    Path(patient.machine.environ["GSETTINGS_FILE"]).write_text(
        json.dumps({"org.gnome.system.proxy mode": "'auto'"})
    )
    return patient


def test_a_desktop_that_leads_nowhere(gnome):
    """The instance behind the system proxy is gone: the desktop has no network."""
    before = snapshot(gnome.machine.root)
    [change] = desktop_proxy(gnome.machine, "127.0.0.1", 4000)
    make(change, gnome.machine, Journal(gnome.settings.installed_folder))
    assert "where we do not listen" in mended(machine.changes, gnome).said
    assert snapshot(gnome.machine.root) == before


def test_a_desktop_that_leads_to_us(gnome, status):
    status["proxy_port"] = 4000
    [change] = desktop_proxy(gnome.machine, "127.0.0.1", 4000)
    make(change, gnome.machine, Journal(gnome.settings.installed_folder))
    assert states(machine.changes(gnome)) == [("machine", "ok")]


def test_a_change_that_was_cut_short(gnome):
    before = snapshot(gnome.machine.root)
    journal = Journal(gnome.settings.installed_folder)
    [change] = desktop_proxy(gnome.machine, "127.0.0.1", 4000)
    journal.begin("001-gnome-proxy", change)
    gnome.machine.run("gsettings", "set", "org.gnome.system.proxy.http", "host", "'127.0.0.1'")
    (gnome.settings.installed_folder / "002-nss").mkdir()
    for finding in list(machine.changes(gnome)):
        assert finding.state == "wrong"
        finding.fix()
    assert states(machine.changes(gnome)) == [("machine", "ok")]
    assert snapshot(gnome.machine.root) == before


def test_a_damaged_database(patient):
    content = patient.settings.database.read_bytes()
    patient.settings.database.write_bytes(content[:100] + b"rubbish" * 10_000)
    assert only(database.health, patient).state == "wrong"


def test_records_that_were_refused(patient):
    from agenttrace_mitm.store import Spool

    Spool(patient.settings.spool_folder).bury_line("{}", "no such column")
    assert "no such column" in only(database.spool, patient).said


def test_rules_that_nobody_checks(patient, monkeypatch):
    from agenttrace_mitm.alerts.making import made
    from agenttrace_mitm.doctor import alerts
    from agenttrace_mitm.store.alerting import AlertStore

    assert list(alerts.checks(patient)) == []
    store = AlertStore(patient.settings.database)
    store.put_rule(made(clock.now_us(), name="errors", type="error_rate", params={}))
    assert states(alerts.checks(patient)) == [("alerts", "ok")]
    with open_database(patient.settings.database).conn as db:
        db.execute("update alert_rules set updated_us = 1")
    assert only(alerts.checks, patient).state == "note"  # nothing runs that could
    monkeypatch.setattr(alerts, "status", lambda _: {"pid": 1})
    store.could_not_check("the moon is full")
    found = only(alerts.checks, patient)
    assert found.state == "wrong"
    assert found.said.startswith("alerts have not been checked since 1970-01-01")
    assert found.said.endswith("the moon is full")
    store.close()


@pytest.mark.parametrize(
    ("client", "reason", "system", "said"),
    [
        ("127.0.0.1 Call.java", "disconnected", "linux", "ca install --java"),
        ("127.0.0.1 agent.jar", "disconnected", "linux", "ca install --java"),
        ("127.0.0.1 cli.mjs", "disconnected", "linux", "NODE_EXTRA_CA_CERTS"),
        ("127.0.0.1 my_agent.py", "alert unknown ca", "linux", "certifi"),
        ("127.0.0.1 gocall", "tls alert bad certificate", "linux", "SSL_CERT_FILE"),
        ("127.0.0.1 gocall", "tls alert bad certificate", "darwin", "ca install --system"),
        ("127.0.0.1 uv", "alert unknown ca", "linux", "rustls"),
        ("127.0.0.1", "alert unknown ca", "linux", "base URL"),
    ],
)
def test_who_does_not_trust_us_is_told_what_helps(patient, client, reason, system, said):
    """As each of them was seen to turn our certificate down."""
    with open_database(patient.settings.database).conn as db:
        db.execute(
            "insert into blind_spots (at_us, host, reason, client) values (?, ?, ?, ?)",
            (clock.now_us(), "api.openai.com", f"refused our certificate: {reason}", client),
        )
    patient = replace(patient, machine=replace(patient.machine, system=system))
    assert said in only(database.blind_spots, patient).remedy


def test_a_mac_whose_keychain_does_not_have_our_root(patient):
    on_a_mac = replace(patient, machine=replace(patient.machine, system="darwin"))
    assert "keychain" in only(machine.changes, on_a_mac).said
    assert "ca install --system" in only(machine.changes, on_a_mac).remedy


def test_blind_spots_of_the_week(patient):
    now, day = clock.now_us(), 86_400_000_000
    reason = "the client refused our certificate: unknown CA"
    with open_database(patient.settings.database).conn as db:
        db.executemany(
            "insert into blind_spots (at_us, host, reason, client) values (?, ?, ?, ?)",
            [
                (now, "api.openai.com", reason, "127.0.0.1 pinned"),
                (now - 1, "api.openai.com", reason, "127.0.0.1 pinned"),
                (now - 3 * day, "api.cohere.com", "NO_PROXY", "old"),
                (now - 30 * day, "api.mistral.ai", "NO_PROXY", "very old"),
            ],
        )
    found = list(database.blind_spots(patient))
    assert states(found) == [("blind spot", "wrong"), ("blind spot", "note")]
    assert "api.openai.com, 2 times, 127.0.0.1 pinned" in found[0].said
    assert "base URL" in found[0].remedy


DISTRUSTS_US = "import sys; sys.exit('SSL: CERTIFICATE_VERIFY_FAILED')"
IGNORES_US = "import sys; sys.exit('it dials its servers itself')"
KEEPS_IT = "import sys, urllib.request as u; u.urlopen(sys.argv[1]).read(); sys.exit('no room')"


def test_programs_are_told_of_a_folder_that_is_called_as_the_real_one(
    patient, tmp_path, monkeypatch
):
    """A blank in it may be what keeps a program from starting, and nothing is written there."""
    place = tmp_path / "John Smith's"
    named = replace(patient, settings=structs.replace(patient.settings, home=place))
    shows = "import os; print(os.environ['SSL_CERT_FILE'], file=__import__('sys').stderr)"
    shell = Runtime("shell", ("sh",), lambda *_: [sys.executable, "-c", shows])
    monkeypatch.setattr(rehearsal, "RUNTIMES", [shell])
    found, *_ = rehearsal.rehearse(named)
    assert f"{place}/run/env/" in found.said
    assert not place.exists()


def test_an_instance_that_is_ending_is_waited_for_and_no_fault(patient, monkeypatch):
    """As after each `run`; one that waits for a long call is told of."""
    facts = [{"ending": True, "pid": 7}] * 2 + [None]
    monkeypatch.setattr(running_checks, "status", lambda _: facts.pop(0) if facts else None)
    running_checks.settle(patient)
    assert facts == []
    assert states(running_checks.instance(patient)) == [("instance", "note")]
    monkeypatch.setattr(running_checks, "status", lambda _: {"ending": True, "pid": 7})
    monkeypatch.setattr(running_checks, "SETTLES_S", 0.1)
    running_checks.settle(patient)
    found = only(running_checks.instance, patient)
    assert (found.state, found.said) == (
        "note", "pid 7 is ending: it waits for the calls under way",
    )  # fmt: skip


def test_each_runtime_makes_a_real_call(patient, monkeypatch):
    """Through the proxy to a played provider; one that is not seen is a blind spot."""
    stays_away = Runtime("stubborn", ("sh",), lambda *_: [sys.executable, "-c", IGNORES_US])
    mute = Runtime("mute", ("sh",), lambda _, url, __: [sys.executable, "-c", KEEPS_IT, url])
    old = Runtime(
        "old", ("sh",), lambda *_: ["sh", "-c", "echo no compiler >&2"], unable="compiler"
    )
    wanted = [each for each in RUNTIMES if each.name in ("python", "curl")]
    pins = Runtime("node", ("sh",), lambda *_: [sys.executable, "-c", DISTRUSTS_US])
    monkeypatch.setattr(rehearsal, "RUNTIMES", [*wanted, stays_away, mute, old, pins])
    found = {finding.check: finding for finding in rehearsal.rehearse(patient)}
    assert found["python"].state == "ok"
    assert found["recorder"].state == "ok"
    assert "you are blind here" in found["stubborn"].said
    order = found["unseen"]
    assert order.said.startswith("stubborn, node: try in this order")
    assert "run -- CMD" in order.remedy.partition("2.")[0]
    assert order.remedy.endswith("3. its base URL (docs/capture.md)")
    assert "it dials its servers itself" in found["stubborn"].said
    assert "does not use the proxy" in found["stubborn"].said
    assert "--transparent" in found["stubborn"].remedy
    assert "does not trust our root" in found["node"].said
    assert "NODE_EXTRA_CA_CERTS" in found["node"].remedy
    assert "no room" in found["mute"].said
    assert found["old"].state == "skipped"
    assert not list(Path(tempfile.gettempdir()).iterdir())
