"""Two machines on a cable, as namespaces of one kernel: the pages on one, who asks on the other.

    unshare --net python -m tests.e2e.neighbours FOLDER

In: a folder for home folders.  Out: a JSON line of what the other machine was answered.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.web import web

HERE, THERE = "10.90.0.1", "10.90.0.2"
# What the other machine asks: for each headers, the status, or the error that there was no answer.
ASK = """
import http.client, json, sys
answers = []
for headers in json.loads(sys.argv[2]):
    host, port = sys.argv[1].rsplit(":", 1)
    asked = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        asked.request("GET", "/-/agenttrace/costs.json", headers=headers)
        answers.append(asked.getresponse().status)
    except OSError as error:
        answers.append(type(error).__name__)
print(json.dumps(answers))
"""


@contextlib.contextmanager
def cabled() -> Iterator[int]:
    """A second machine, which has `THERE` where we have `HERE`; a process on it."""
    other = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert other.stdout
    other.stdout.readline()  # it is there
    inside = ("nsenter", "--net", "--target", str(other.pid))
    try:
        for command in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "link", "add", "here", "type", "veth", "peer", "name", "there"),
            ("ip", "link", "set", "there", "netns", str(other.pid)),
            ("ip", "address", "add", f"{HERE}/24", "dev", "here"),
            ("ip", "link", "set", "here", "up"),
            (*inside, "ip", "address", "add", f"{THERE}/24", "dev", "there"),
            (*inside, "ip", "link", "set", "there", "up"),
        ):
            subprocess.run(command, check=True)
        yield other.pid
    finally:
        other.communicate(timeout=20)


def asked_from(machine: int, port: int, *headers: dict[str, str]) -> list[int | str]:
    """What *machine* is answered at *port* of ours."""
    done = subprocess.run(
        ["nsenter", "--net", "--target", str(machine),
         sys.executable, "-c", ASK, f"{HERE}:{port}", json.dumps(headers)],
        stdout=subprocess.PIPE, check=True, timeout=100,
    )  # fmt: skip
    answers: list[int | str] = json.loads(done.stdout)
    return answers


def main(folder: Path) -> None:
    """Ask a server as it is started by default, and one opened to the network."""
    found: dict[str, list[int | str]] = {}
    with cabled() as machine:
        for name, host in (("default", None), ("opened", "0.0.0.0"), ("by name", HERE)):
            home = folder / name
            home.mkdir(mode=0o700)
            with web(home, host) as server:
                token = {"x-api-key": server.token}
                port = int(server.url.rpartition(":")[2])
                found[name] = asked_from(
                    machine, port, {}, token, {"x-api-key": "wrong"},
                    {**token, "host": "evil.example"}, {**token, "origin": "http://evil.example"},
                )  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
