"""A child that speaks the supervisor's protocol and does nothing else.

Its behaviour is in the environment: STANDIN_FAIL names children that report a problem,
STANDIN_LOG is a file that gets a line for each start and end.
"""

import json
import os
import sys
from pathlib import Path

NAME = sys.argv[0].rpartition("/")[2].removesuffix(".py").removeprefix("standin_")


def note(what: str) -> None:
    with Path(os.environ["STANDIN_LOG"]).open("a") as log:
        log.write(f"{NAME} {what} {os.getpid()}\n")


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    note("start")
    if NAME in os.environ.get("STANDIN_FAIL", "").split(","):
        say(error="Port 4000 is in use", remedy="Choose another")
        sys.exit(1)
    ports = {
        "capture": {"proxy_port": 4001, "sni_port": 4443},
        "web": {"port": settings["port"] or 8081},
    }
    say(ready=True, **ports.get(NAME, {}))
    for line in sys.stdin:
        message = json.loads(line)
        note(message["op"] + json.dumps(message))
        if message["op"] == "open_run":
            port = message.get("proxy_port") or 5001
            say(run=message["id"], proxy_port=port, sni_port=port + 1)
    note("end")
