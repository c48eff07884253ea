"""What programs are told about the proxy, and that it can be undone."""

import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import certifi
import pytest

from agenttrace_mitm.launch import environment, inherited, state, trust
from agenttrace_mitm.launch.runtimes import Context

# Any real certificate will do for ours.
ROOT = ssl.DER_cert_to_PEM_cert(
    ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)[0]
)
LATER = {"JAVA_HOME": "", "PATH": "/nonexistent"}


@pytest.fixture
def context(tmp_path):
    root = tmp_path / "root.pem"
    root.write_text(ROOT)
    hosts = ("api.openai.com", "api.anthropic.com")
    return Context("127.0.0.1", 4000, 4443, hosts, root, tmp_path / "env")


def test_proxies_are_set_in_both_spellings(context):
    chosen = environment.variables(context, LATER)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert chosen[name] == chosen[name.lower()] == "http://127.0.0.1:4000"
    assert chosen["grpc_proxy"] == "http://127.0.0.1:4000"
    assert chosen["NO_PROXY"] == "localhost,127.0.0.1,::1"


def test_the_users_no_proxy_stays_except_for_what_would_hide_recorded_hosts(context):
    users = "intra.example, localhost,*,.openai.com,api.anthropic.com:443,*.corp.example,::2"
    chosen = environment.variables(context, {**LATER, "no_proxy": users})
    assert chosen["NO_PROXY"] == "intra.example,localhost,*.corp.example,::2,127.0.0.1,::1"


def test_the_users_roots_are_kept_beside_ours(context, tmp_path):
    """SSL_CERT_FILE and its like replace the roots: the company's must still be there."""
    company = tmp_path / "company.pem"
    company.write_text("company\n")
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE")
    chosen = environment.variables(context, {**LATER, **dict.fromkeys(names, str(company))})
    for name in names:
        assert Path(chosen[name]).read_text() == ROOT + "company\n"


def test_without_roots_of_the_user_the_systems_are_taken(context):
    chosen = environment.variables(context, LATER)
    assert chosen["CURL_CA_BUNDLE"] == chosen["SSL_CERT_FILE"]
    assert len(Path(chosen["SSL_CERT_FILE"]).read_bytes()) > 100_000
    assert Path(chosen["NODE_EXTRA_CA_CERTS"]).read_text() == ROOT


def test_a_stale_variable_of_the_user_does_no_harm(context):
    chosen = environment.variables(context, {**LATER, "SSL_CERT_FILE": "/nonexistent.pem"})
    assert Path(chosen["SSL_CERT_FILE"]).read_text() == ROOT


def test_node_options_and_pythonpath_are_added_to(context):
    users = {**LATER, "NODE_OPTIONS": "--max-old-space-size=4096", "PYTHONPATH": "/lib/mine"}
    chosen = environment.variables(context, users)
    assert re.fullmatch(
        r'--max-old-space-size=4096 --require=".*agenttrace\.cjs"', chosen["NODE_OPTIONS"]
    )
    ours, mine = chosen["PYTHONPATH"].split(os.pathsep)
    assert mine == "/lib/mine"
    assert (Path(ours) / "sitecustomize.py").is_file()


def test_the_change_can_be_undone_exactly_and_does_not_pile_up(context):
    before = {**LATER, "NODE_OPTIONS": "--x", "NO_PROXY": "a", "HOME": "/h"}
    once = {**before, **environment.variables(context, before)}
    assert environment.original(once) == before
    again = environment.original(once)
    assert {**again, **environment.variables(context, again)} == once


@pytest.mark.parametrize("said", ["", "rubbish!", "e30=", "WzFd", "bnVsbA=="])
def test_a_damaged_note_of_the_old_values_undoes_nothing(said):
    assert environment.original({environment.SAVED: said, "A": "b"}) == {"A": "b"}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("http://proxy.corp:3128", "http://proxy.corp:3128"),
        ("proxy.corp:3128", "http://proxy.corp:3128"),
        ("http://user:pw@proxy.corp:3128", "http://user:pw@proxy.corp:3128"),
        ("http://127.0.0.1:4000", None),  # ours
        ("http://127.0.0.1:3128", "http://127.0.0.1:3128"),
        ("socks5://proxy.corp:1080", None),
        ("http://proxy:port", None),
        ("not a url", None),
        ("", None),
    ],
)
def test_the_companys_proxy_becomes_the_way_out(said, found):
    assert inherited.upstream_proxy({"HTTPS_PROXY": said}, 4000) == found


def test_files_for_programs_are_their_owners_whatever_the_umask(context):
    before = os.umask(0)
    try:
        environment.variables(context, dict(os.environ))
    finally:
        os.umask(before)
    files = [path for path in context.folder.rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_bundles_are_shared_between_runs(context):
    first = trust.merged(context.folder, context.root, [])
    assert trust.merged(context.folder, context.root, []) == first
    assert [path.name for path in context.folder.iterdir()] == [first.name]


def dialled(context, command, *, environ=None, host="127.0.0.1"):
    """Run *command* with hooks on and a listener in the SNI listener's place: what it received."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        server.settimeout(20)
        port = server.getsockname()[1]
        here = Context(state.reachable(host), 9, port, context.hosts, context.root, context.folder)
        plain = environment.original(os.environ)
        chosen = environment.variables(here, {**plain, **(environ or {})})
        proxies = [name for name in chosen if name.lower().endswith("_proxy")]
        # As for a client that ignores them.
        env = {name: value for name, value in {**plain, **chosen}.items() if name not in proxies}
        received = []

        def accept():
            with server.accept()[0] as connection:
                connection.settimeout(10)
                received.append(connection.recv(4096))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        subprocess.run(command, env=env, capture_output=True, timeout=30, check=False)
        thread.join(20)
    return b"".join(received)


ASYNC = """
import asyncio, ssl
asyncio.run(asyncio.open_connection("api.openai.com", 443, ssl=ssl.create_default_context()))
"""
PLAIN = """
import http.client
http.client.HTTPSConnection("API.openai.com", timeout=5).request("GET", "/")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("code", [ASYNC, PLAIN], ids=["asyncio", "http.client"])
def test_a_python_that_ignores_proxies_dials_the_listener(context, code, host):
    """The ClientHello still names the provider."""
    assert b"api.openai.com" in dialled(context, [sys.executable, "-c", code], host=host).lower()


NODE = {
    "https": 'require("https").get("https://api.openai.com/").on("error", () => {})',
    "fetch": 'fetch("https://api.openai.com/").catch(() => {})',
    "tls-port-first": 'require("tls").connect(443, "api.openai.com").on("error", () => {})',
}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("code", NODE.values(), ids=NODE)
@pytest.mark.skipif(not shutil.which("node"), reason="no node")
def test_a_node_that_ignores_proxies_dials_the_listener(context, code, host):
    said = dialled(context, ["node", "-e", code], environ={"NODE_USE_ENV_PROXY": ""}, host=host)
    assert b"api.openai.com" in said


@pytest.mark.skipif(not shutil.which("node"), reason="no node")
def test_an_es_module_of_node_dials_the_listener_too(context, tmp_path):
    module = tmp_path / "client.mjs"
    module.write_text(
        'import { connect } from "node:tls";\n'
        'connect({ host: "api.openai.com", port: 443 }).on("error", () => {});\n'
    )
    assert b"api.openai.com" in dialled(context, ["node", str(module)])


def test_another_sitecustomize_still_runs(context, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.mine = 'ran'\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    chosen = environment.variables(context, environ)
    done = subprocess.run(
        [sys.executable, "-c", "print(mine, 'socket' in __import__('sys').modules)"],
        env={**environ, **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ran False\n"


def test_other_hosts_resolve_as_always(context):
    chosen = environment.variables(context, dict(os.environ))
    code = "import socket; print(socket.getaddrinfo('127.0.0.9', 443)[0][4])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "('127.0.0.9', 443)\n"


STRANGE = ("John Smith", "O'Neil", 'the "home"', "O'Neil's \"home\"", "a=b", "${HOME}", "x\\y;z")


def strangely_placed(context, name):
    """What programs are told whose home folder has the *name* in its path."""
    return environment.variables(replace(context, folder=context.folder / name), dict(os.environ))


@pytest.mark.skipif(not shutil.which("java"), reason="no java")
@pytest.mark.parametrize("name", STRANGE)
def test_java_starts_whatever_the_home_folder_is_called(context, name):
    chosen = strangely_placed(context, name)
    done = subprocess.run(
        ["java", "-XshowSettings:properties", "-version"],
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    store = re.search(r"javax\.net\.ssl\.trustStore = (.+)", done.stderr).group(1)
    assert Path(store).parent == context.folder / name
    assert Path(store).exists()


@pytest.mark.skipif(not shutil.which("php"), reason="no php")
@pytest.mark.parametrize("name", STRANGE)
def test_php_finds_its_roots_whatever_the_home_folder_is_called(context, name):
    chosen = strangely_placed(context, name)
    code = "echo ini_get('openssl.cafile'), PHP_EOL, ini_get('curl.cainfo');"
    done = subprocess.run(
        ["php", "-r", code],
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    for roots in map(Path, done.stdout.splitlines()):
        assert roots.parent == context.folder / name
        assert roots.exists()


@pytest.mark.skipif(not shutil.which("keytool"), reason="no java")
def test_java_can_read_its_trust_store(context, tmp_path):
    from agenttrace_mitm.capture import authority

    authority.ensure(tmp_path / "ca", ["api.openai.com"])
    root = tmp_path / "ca" / authority.ROOT_FILE
    here = Context("127.0.0.1", 4000, None, context.hosts, root, context.folder)
    options = environment.variables(here, dict(os.environ))["JAVA_TOOL_OPTIONS"]
    assert "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=4000" in options
    store = re.search(r"trustStore=(\S+)", options).group(1)
    listed = subprocess.run(
        ["keytool", "-list", "-keystore", store, "-storepass", "changeit"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.count("trustedCertEntry") > 50
