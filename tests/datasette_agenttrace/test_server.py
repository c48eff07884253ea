"""The ways in which the plugin runs as a process: our own server, and Datasette's."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from agenttrace_mitm import access
from agenttrace_mitm.settings import Settings

CHECKOUT = Path(__file__).parents[2]
NEVER_S = 60  # only a server that waits for others takes this long to end

PATIENT = """
import runpy
from datasette_agenttrace import limits
limits.LIMITS = {**limits.LIMITS, "sql_time_limit_ms": 600_000}
runpy.run_module("datasette_agenttrace", run_name="__main__")
"""
"""Our own server, on which SQL may take ten minutes."""


@contextmanager
def own_server(home: Path, program=("-m", "datasette_agenttrace"), **given):
    settings = Settings(home=home, **{"port": 0, **given})
    process = subprocess.Popen(
        [sys.executable, *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "AGENTTRACE_HOME": str(home)},
    )
    try:
        process.stdin.write(json.dumps(settings.told()).encode() + b"\n")
        process.stdin.flush()
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_own_server_makes_database_and_token_and_answers(home):
    with own_server(home) as (_, said):
        assert said["ready"] is True
        url = f"http://127.0.0.1:{said['port']}"
        assert (home / "token").stat().st_mode & 0o777 == 0o600
        token = (home / "token").read_text().strip()
        tables = {
            name
            for (name,) in sqlite3.connect(home / "data.db").execute(
                "select name from sqlite_master"
            )
        }
        assert "llm_calls" in tables
        assert httpx.get(url + "/").status_code == 401
        with httpx.Client(base_url=url, headers={"x-api-key": token}) as client:
            assert client.get("/").headers["location"] == "/-/agenttrace"
            assert client.get("/-/agenttrace/costs").status_code == 200
            settings = client.get("/-/settings.json").json()
            assert settings["num_sql_threads"] == 8
            assert settings["suggest_facets"] is False
            assert settings["sql_time_limit_ms"] == 5000


@pytest.mark.parametrize("how", ["stdin", "sigterm", "sigint"])
def test_own_server_ends_quickly_with_a_connection_open(home, how):
    with own_server(home) as (process, said):
        with socket.create_connection(("127.0.0.1", said["port"])) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")  # never finished
            time.sleep(0.1)
            if how == "stdin":
                process.stdin.close()
            else:
                process.send_signal(getattr(signal, how.upper()))
            assert process.wait(NEVER_S) == 0
        process.stdin = None


def test_slow_sql_does_not_hold_up_the_end(home):
    with own_server(home, ("-c", PATIENT)) as (process, said):
        token = (home / "token").read_text().strip()
        slow = (
            "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
        )
        with socket.create_connection(("127.0.0.1", said["port"])) as asking:
            path = "/data.json?sql=" + slow.replace(" ", "+")
            asking.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {token}\r\n\r\n".encode()
            )
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(NEVER_S) == 0


def test_own_server_says_when_the_port_is_taken(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with own_server(home, port=taken.getsockname()[1]) as (process, said):
            assert "is in use" in said["error"]
            assert "--port" in said["remedy"]
            assert process.wait(NEVER_S) == 1


def test_own_server_says_when_the_database_is_not_ours(home):
    sqlite3.connect(home / "data.db").execute("create table t (a)").connection.close()
    with own_server(home) as (process, said):
        assert "another program" in said["error"]
        assert process.wait(NEVER_S) == 1


def test_an_unknown_address_is_not_found_where_rich_is_installed(home, tmp_path, monkeypatch):
    """Datasette would print every local variable of the request, and fail at it."""
    (tmp_path / "rich.py").write_text("def get_console():\n    raise ValueError('no console')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with own_server(home) as (_, said):
        url = f"http://127.0.0.1:{said['port']}"
        token = (home / "token").read_text().strip()
        for path in ("/nothing", "/data/nothing", "/-/agenttrace/calls/nothing"):
            assert httpx.get(url + path, headers={"x-api-key": token}).status_code == 404, path


@contextmanager
def plain_datasette(home: Path, *arguments: str, cwd: Path):
    environment = {**os.environ, "AGENTTRACE_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "datasette", *arguments, "-p", "0", "-h", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=cwd,
        text=True,
    )
    try:
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield f"http://127.0.0.1:{found[1]}", process
    finally:
        process.terminate()
        process.wait(NEVER_S)
        process.stdout.close()


FROM_CHECKOUT = ("--plugins-dir", "datasette_plugins", "-m", "metadata.yml")


@pytest.mark.parametrize("arguments", [(), FROM_CHECKOUT], ids=["installed", "plugins-dir"])
def test_plain_datasette_is_behind_the_same_token(home, database, token, arguments):
    with plain_datasette(home, str(database), *arguments, cwd=CHECKOUT) as (url, process):
        for path in ("/", "/data", "/data/llm_calls.json", "/-/settings", "/nothing"):
            assert httpx.get(url + path).status_code == 401, path
        code = access.login_code(token, time.time())
        with httpx.Client(base_url=url) as browser:
            entered = browser.get(f"/-/agenttrace/login?code={code}")
            assert entered.status_code == 303
            assert browser.get("/").status_code == 200, "plain Datasette keeps its own home"
            assert browser.get("/data/slowest_calls.json").status_code == 200
            page = browser.get("/data")
            assert page.text.count("Slowest calls") == 1
            assert page.text.count('href="/-/agenttrace/costs"') == 2, "header and menu, once each"
            assert browser.get("/-/settings.json").json()["sql_time_limit_ms"] == 5000
        process.terminate()
        log = process.stdout.read()
        assert "GET /data HTTP" in log, "the access log is on"
        assert token not in log
