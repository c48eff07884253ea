"""The whole product by its commands: start, run, look, stop."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agenttrace_mitm.store import open_database, recorders

from .conftest import COMMAND

CALL = """
import json, urllib.request
request = urllib.request.Request(
    "https://api.openai.com/v1/embeddings",
    json.dumps({"model": "text-embedding-3-small", "input": "hello"}).encode(),
    {"content-type": "application/json", "authorization": "Bearer sk-canary-0123456789abcdef"},
)
print(urllib.request.urlopen(request, timeout=20).status)
"""
PYTHON = [sys.executable, "-c", CALL]


def until(true, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.fixture
def started(user):
    """A running `start`; its facts are what `status --json` says."""
    process = user.starts("start", "--no-open")
    lines = []
    until(lambda: lines.append(process.stdout.readline()) or "content for" in lines[-1])
    process.banner = "".join(lines)
    yield process
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    process.stdout.close()


def test_start_says_where_everything_is(user, started):
    assert re.search(r"Pages   http://127\.0\.0\.1:\d+/-/agenttrace/login\?code=", started.banner)
    assert re.search(r"Proxy   http://127\.0\.0\.1:\d+\n", started.banner)
    assert "tier 3" in started.banner
    facts = json.loads(user.types("status", "--json").stdout)
    assert all(process["up"] for process in facts["processes"].values())
    assert (facts["running"], facts["pid"]) == (True, started.pid)


def test_a_program_is_told_that_nothing_runs(user):
    done = user.types("status", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["running"]) == (1, False)
    assert "not running" in told["error"]
    assert "agenttrace-mitm start" in told["remedy"]
    assert "not running" in done.stderr


def test_everything_is_for_the_owner_only(user, started):
    """Keys, sockets, database, logs; certificates that others have to trust may be read."""
    assert user.types("run", "--quiet", "--", *PYTHON).stdout == "200\n"
    until((user.home / "run" / "health" / "recorder.json").exists)
    ours = [path for path in user.home.rglob("*") if path != user.home / "config.json"]
    names = {path.name for path in ours}
    assert {"recorder.sock", "control.sock", "fingerprint.key", "token", "data.db"} <= names
    for path in ours:
        if "env" in path.parts:  # trust bundles, in a folder that is closed to others
            continue
        with contextlib.suppress(FileNotFoundError):  # a draft has got its name meanwhile
            mode = path.lstat().st_mode & 0o777
            is_public = path.parent.name == "ca" and b"PRIVATE KEY" not in path.read_bytes()
            assert is_public or mode & 0o077 == 0, f"{path}: {mode:o}"


def test_a_second_start_says_who_runs(user, started):
    done = user.types("start")
    assert done.returncode == 1
    assert f"already running (pid {started.pid}" in done.stderr


def test_at_an_ipv6_address_calls_are_recorded_and_addresses_can_be_opened(user):
    """By a client that asks no proxy as well: the name is what a hook leads to us."""
    call = """
import http.client
connection = http.client.HTTPSConnection("api.openai.com", timeout=20)
body = b'{"model": "text-embedding-3-small", "input": "hello"}'
connection.request("POST", "/v1/embeddings", body, {"content-type": "application/json"})
print(connection.getresponse().status)
"""
    beyond = {"AGENTTRACE_PROXY_HOST": "::1", "AGENTTRACE_HOST": "::1"}
    assert user.types("start", "--detach", "--no-open", **beyond).returncode == 0
    said = user.types("status").stdout
    assert re.search(r"Proxy     http://\[::1\]:\d+\n", said)
    assert re.search(r"Pages     http://\[::1\]:\d+/ ", said)
    done = user.types("run", "--", sys.executable, "-c", call, **beyond)
    assert done.stdout == "200\n", done.stderr
    assert re.search(r"1 call.* → http://\[::1\]:\d+/\n", done.stderr)


def test_run_says_what_could_not_be_reached(user):
    """The program failed for want of its provider: there is no call that could tell."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        there = {"api.openai.com": f"https://127.0.0.1:{nobody.getsockname()[1]}"}
        user.environ["AGENTTRACE_UPSTREAM_MAP"] = json.dumps(there)
        done = user.types("run", "--", *PYTHON)
    assert done.returncode == 1
    said = done.stderr[done.stderr.rindex("agenttrace-mitm: not reached meanwhile: ") :]
    assert "api.openai.com: " in said
    assert said.endswith("agenttrace-mitm: no LLM calls seen\n")


REFUSAL = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("answer", [None, REFUSAL, b""], ids=["closed", "refuses", "hangs up"])
def test_run_says_that_the_proxy_behind_it_lets_nobody_through(user, answer):
    """With its address, and without the login that is in the variable."""
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))

        def refuse():
            with contextlib.suppress(OSError):  # closed in the end
                while True:
                    with proxy.accept()[0] as connection:
                        connection.recv(4096)
                        connection.sendall(answer)

        if answer is not None:
            proxy.listen()
            threading.Thread(target=refuse, daemon=True).start()
        where = f"127.0.0.1:{proxy.getsockname()[1]}"
        behind = {"AGENTTRACE_UPSTREAM_MAP": "{}", "HTTPS_PROXY": f"http://me:s3cret@{where}"}
        done = user.types("run", "--", *PYTHON, **behind)
    assert done.returncode == 1
    said = done.stderr[done.stderr.rindex("agenttrace-mitm: not reached meanwhile: ") :]
    assert "api.openai.com: " in said
    assert where in said
    assert "s3cret" not in done.stderr
    kinds = json.loads(user.types("query", "--json", "select kind from recorder_events").stdout)
    assert {"kind": "provider_unreachable"} in kinds


def test_run_records_and_everything_tells_of_it(user, started):
    done = user.types("run", "--agent", "tester", "--tag", "branch=main", "--", *PYTHON)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
    assert re.fullmatch(r"agenttrace-mitm: 1 call, .* → http://127\.0\.0\.1:\d+/\n", done.stderr)
    line = until(lambda: [x for x in [started.stdout.readline()] if "text-embedding" in x])[0]
    assert "tester" in line
    rows = json.loads(user.types("query", "--json", "select * from llm_calls").stdout)
    assert len(rows) == 1
    assert json.loads(rows[0]["tags"])["branch"] == "main"
    assert "text-embedding-3-small" in user.types("tail", "--no-follow").stdout
    assert "text-embedding-3-small" in user.types("stats").stdout
    assert "tester" in user.types("agents").stdout
    assert json.loads(user.types("stats", "--json", "--by", "provider").stdout)[0]["calls"] == 1
    for path in user.home.rglob("*"):
        if path.is_file():
            with contextlib.suppress(FileNotFoundError):  # a draft has got its name meanwhile
                assert b"sk-canary" not in path.read_bytes(), path


def test_when_run_ends_its_calls_are_in_the_database(user, started):
    """Those that it left as well, as this program does, which reads no answer to its end."""
    asked = "select count(*) from llm_calls where outcome <> 'in_flight'"
    for number, quiet in enumerate(([], ["--quiet"], []), 1):
        user.types("run", *quiet, "--", *PYTHON)
        db = open_database(user.home / "data.db").conn
        assert db.execute(asked).fetchone() == (number,)
        db.close()


def test_a_program_whose_recording_is_stopped_keeps_its_exit_code(user, started):
    program = "import sys; print('here', flush=True); sys.stdin.read(); sys.exit(7)"
    run = subprocess.Popen(
        [*COMMAND, "run", "--", sys.executable, "-c", program],
        env=user.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert run.stdout.readline() == "here\n"
    assert user.types("stop", "--now").returncode == 0
    _, said = run.communicate("", timeout=20)
    assert (run.returncode, said) == (7, "agenttrace-mitm: recording was stopped meanwhile\n")


def test_run_says_that_calls_wait_for_the_database(user, started):
    """And why; that none were seen would not be true."""
    db = open_database(user.home / "data.db").conn
    db.execute("begin exclusive")
    done = user.types("run", "--", *PYTHON)
    db.execute("rollback")
    assert (done.returncode, done.stdout) == (0, "200\n")
    why, line = done.stderr.splitlines()[-2:]
    assert re.search("not written yet|locked", why)
    assert line == "agenttrace-mitm: no LLM calls written yet"
    until(lambda: db.execute("select count(*) from llm_calls").fetchone() == (1,))
    db.close()


LEAVES_A_CALL = """
import http.client, os, time
said, says = os.pipe()
if os.fork():
    os.close(says), os.read(said, 1)
    time.sleep(1)  # until the proxy has seen it
else:
    os.dup2(os.open(os.devnull, os.O_RDWR), 1), os.dup2(1, 2)
    proxy = os.environ["HTTPS_PROXY"].removeprefix("http://").rstrip("/").split(":")
    asks = http.client.HTTPSConnection(*proxy)
    asks.set_tunnel("api.openai.com", 443)
    asks.putrequest("POST", "/v1/embeddings")
    asks.putheader("content-length", "100")
    asks.endheaders(b"{")
    os.close(says)
    time.sleep(5)
"""


def test_run_tells_of_a_call_that_goes_on(user, started):
    """That of a child, which the program left behind."""
    done = user.types("run", "--", sys.executable, "-c", LEAVES_A_CALL)
    assert done.returncode == 0, done.stderr
    assert "agenttrace-mitm: 1 call still under way → http" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_whoever_does_not_wait_for_the_last_calls_has_the_exit_code(user, started, sign):
    """Here they would wait for a recorder that does nothing."""
    recorder = json.loads(user.types("status", "--json").stdout)["processes"]["recorder"]["pid"]
    command = [*COMMAND, "run", "--", sys.executable, "-c", CALL + "exit(6)"]
    os.kill(recorder, signal.SIGSTOP)
    try:
        run = subprocess.Popen(
            command, env=user.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert run.stdout.readline() == "200\n"
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        until(lambda: not children.read_text())
        time.sleep(0.5)
        run.send_signal(sign)
        assert run.wait(5) == 6
        assert "Traceback" not in run.stderr.read()
        run.stdout.close(), run.stderr.close()
    finally:
        os.kill(recorder, signal.SIGCONT)


def test_run_starts_what_is_not_running_and_ends_it(user):
    done = user.types("run", "--", *PYTHON)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
    assert re.search(r"1 call.* → agenttrace-mitm serve\n", done.stderr)  # no pages are up
    until(lambda: user.types("status").returncode == 1)


def test_what_a_failed_call_cost_is_not_told_as_nothing(user):
    """Nobody was told of a price: the line leaves it out."""
    program = CALL.replace("v1/embeddings", "v1/chat/completions").replace(
        '"text-embedding-3-small", "input": "hello"', '"gpt-retired", "messages": []'
    )
    done = user.types("run", "--", sys.executable, "-c", program)
    assert "404" in done.stderr
    assert "agenttrace-mitm: 1 call, 1 failed" in done.stderr


def test_run_is_the_programs_exit_code_and_silence(user):
    done = user.types("run", "--quiet", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_two_runs_at_once_share_an_instance(user):
    sleep = [sys.executable, "-c", "import time; time.sleep(2)"]
    first = user.starts("run", "--quiet", "--", *sleep)
    until(lambda: user.types("status").returncode == 0)
    done = user.types("run", "--", *PYTHON)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
    assert first.wait(20) == 0
    first.stdout.close()
    until(lambda: user.types("status").returncode == 1)


def test_a_run_waits_for_the_instance_before_to_end(user):
    """A quiet one leaves it behind for a second or two; what follows is recorded all the same."""
    for number in range(3):
        done = user.types("run", "--quiet", "--agent", f"number-{number}", "--", *PYTHON)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")
    done = user.types("run", "--privacy-tier", "1", "--", *PYTHON)  # not by that one's settings
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
    until(lambda: user.types("status").returncode == 1)
    asked = "select agent_id, privacy_tier from llm_calls order by started_us"
    rows = json.loads(user.types("query", "--json", asked).stdout)
    told = [(row["agent_id"], row["privacy_tier"]) for row in rows]
    assert told[:3] == [(f"number-{number}", 3) for number in range(3)]
    assert [tier for _, tier in told[3:]] == [1]


@pytest.mark.usefixtures("temporary")
def test_what_comes_right_after_a_run_finds_nobody_recording(user):
    """A quiet one leaves its instance behind for a second or two."""
    for command in ("db prune --days 3", "db forget --text none --yes", "doctor --quick"):
        done = user.types("run", "--quiet", "--", *PYTHON)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")
        done = user.types(*command.split())
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_an_instance_of_another_database_is_in_nobodys_way(user, started, tmp_path):
    """Of ours it is; and what waits in the spool is its own."""
    other = tmp_path / "other.db"
    open_database(other).close()
    letter = user.home / "spool" / "dead-letters.jsonl"
    letter.parent.mkdir(exist_ok=True)
    letter.write_text('{"call": {"session_id": "s"}}\n')
    for command in ("db prune --days 3", "db forget --text session_id --yes"):
        done = user.types(*command.split())
        assert done.returncode == 1
        assert "AgentTrace is recording" in done.stderr
        done = user.types(*command.split(), "--db", str(other))
        assert done.returncode == 0, done.stderr
    assert f"is for {user.home / 'data.db'}, and was left alone" in done.stdout
    assert letter.exists()
    with contextlib.closing(recorders.share(other)):
        done = user.types("db", "prune", "--db", str(other))
        assert (done.returncode, "is recording" in done.stderr) == (1, True)


def test_env_makes_a_shell_record(user, started):
    exports = user.types("env").stdout
    shell = f'{exports}\nexec "$0" -c "$1"'
    assert exports.startswith("export ")
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, CALL],
        env=user.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "200\n", done.stderr
    until(lambda: "embedding" in user.types("tail", "--no-follow").stdout)


@pytest.mark.parametrize("name", ["recorder", "capture", "web"])
def test_killing_any_process_costs_no_call(user, started, name):
    before = json.loads(user.types("status", "--json").stdout)
    assert user.types("run", "--quiet", "--", *PYTHON).stdout == "200\n"
    os.kill(before["processes"][name]["pid"], signal.SIGKILL)
    done = user.types("run", "--quiet", "--", *PYTHON)
    assert done.stdout == "200\n", done.stderr

    def counted():
        # No line at all while neither call is in the database.
        lines = json.loads(user.types("stats", "--json").stdout)
        return sum(line["calls"] for line in lines) == 2

    until(counted)
    after = json.loads(user.types("status", "--json").stdout)
    assert after["proxy_port"] == before["proxy_port"]


def test_connections_wait_while_capture_restarts(user, started):
    """The supervisor holds the listening socket: nobody is refused."""
    facts = json.loads(user.types("status", "--json").stdout)
    os.kill(facts["processes"]["capture"]["pid"], signal.SIGKILL)
    for _ in range(20):
        socket.create_connection(("127.0.0.1", facts["proxy_port"]), timeout=5).close()
        time.sleep(0.02)


def test_detached_it_goes_on_until_it_is_stopped(user):
    done = user.types("start", "--detach")
    assert done.returncode == 0, done.stderr
    assert "is recording" in done.stdout
    assert user.types("status").returncode == 0
    assert user.types("start", "--detach").returncode == 0
    assert user.types("stop").stdout == "Stopped.\n"
    assert user.types("status").returncode == 1


def test_the_first_start_says_what_is_kept_and_how_to_choose(user):
    """Once, whether or not there is a database already."""
    assert user.types("token", "create", "me").returncode == 0
    assert (user.home / "data.db").exists()
    choices = '{"privacy_tier": 1}'
    assert choices in user.types("start", "--detach", "--no-open").stdout
    again = user.types("start", "--detach", "--no-open").stdout
    assert "Keeps tier 3" in again
    assert choices not in again


def test_the_first_run_says_what_is_kept_in_a_line(user):
    """Not where silence was asked for; once."""

    def said(*options):
        command = ["run", "--privacy-tier", "2", *options, "--", "sh", "-c", "echo mine >&2"]
        done = user.types(*command)
        until(lambda: user.types("status").returncode == 1)
        return done.stderr.partition("mine\n")[0]

    assert said("--quiet") == ""
    line = said()
    assert line.startswith("agenttrace-mitm: keeps tier 2 (conversation: ")
    assert f"for 30 days, in {user.home / 'data.db'};" in line
    assert line.count("\n") == 1
    assert said() == ""


def test_stop_says_that_shells_lead_nowhere(user):
    """Where `env` was asked for, or in a shell that has its variables."""
    start = ["start", "--detach", "--no-open"]
    assert user.types(*start).returncode == 0
    assert user.types("env").returncode == 0
    first, second = user.types("stop").stdout.splitlines()
    assert first == "Stopped."
    assert 'eval "$(agenttrace-mitm env --unset)"' in second
    assert user.types(*start).returncode == 0
    assert user.types("stop").stdout == "Stopped.\n"
    assert user.types(*start).returncode == 0
    assert "env --unset" in user.types("stop", AGENTTRACE_SAVED_ENV="e30=").stdout
    assert "env --unset" in user.types("stop", AGENTTRACE_SAVED_ENV="e30=").stderr
    assert user.types(*start).returncode == 0
    assert user.types("env").returncode == 0
    assert "env --unset" in user.types("uninstall").stdout


def test_ctrl_c_says_that_shells_lead_nowhere(user, started):
    assert user.types("env").returncode == 0
    started.send_signal(signal.SIGINT)
    assert "env --unset" in started.stdout.read()


def test_env_leads_to_where_the_proxy_listens(user):
    """Though it was said to `start` alone."""
    assert user.types("start", "--detach", "--no-open", "--proxy-host", "127.0.0.2").returncode == 0
    assert "HTTPS_PROXY=http://127.0.0.2:" in user.types("env").stdout
    show = ["sh", "-c", "echo $HTTPS_PROXY"]
    assert "http://127.0.0.2:" in user.types("run", "--quiet", "--", *show).stdout
    assert user.types("run", "--quiet", "--", *PYTHON).stdout == "200\n"


def test_serve_makes_no_database(user):
    """A name with a slip in it is no new one."""
    done = user.types("serve", "--db", str(user.home / "typo.db"))
    assert done.returncode == 1
    assert f"There is no database at {user.home / 'typo.db'}" in done.stderr
    assert not (user.home / "typo.db").exists()


def test_serve_shows_pages_alone(user):
    assert user.types("run", "--quiet", "--", "true").returncode == 0
    until(lambda: user.types("status").returncode == 1)
    process = user.starts("serve")
    assert "login?code=" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.stdout.close()
