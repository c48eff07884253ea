"""Providers played on loopback under their real names, for a whole AgentTrace to reach."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenttrace_mitm.demo.certificates import server_context
from agenttrace_mitm.demo.provider import HOSTS
from agenttrace_mitm.demo.server import Answer, Request, serve
from agenttrace_mitm.settings import Settings


@dataclass(frozen=True, slots=True)
class Played:
    """Where AgentTrace keeps things, and how it finds the played providers."""

    home: Path
    root: Path
    upstream_map: dict[str, str]

    def settings(self, **values: Any) -> Settings:
        """Settings that lead to the played providers, with free ports."""
        return Settings(
            home=self.home,
            proxy_port=0,
            port=0,
            upstream_ca=self.root,
            upstream_map=self.upstream_map,
            **values,
        )

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a command line that finds them as well."""
        return os.environ | {
            "AGENTTRACE_HOME": str(self.home),
            "AGENTTRACE_PROXY_PORT": "0",
            "AGENTTRACE_PORT": "0",
            "AGENTTRACE_UPSTREAM_CA": str(self.root),
            "AGENTTRACE_UPSTREAM_MAP": json.dumps(self.upstream_map),
        }


@contextlib.asynccontextmanager
async def played(folder: Path, answer: Callable[[Request], Answer]) -> AsyncIterator[Played]:
    """Serve *answer* under the five providers' names."""
    context, root = server_context(folder / "providers", HOSTS)
    server, port = await serve(context, answer)
    try:
        yield Played(folder / "agenttrace", root, dict.fromkeys(HOSTS, f"https://127.0.0.1:{port}"))
    finally:
        server.close()


def json_answer(value: Any, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """A JSON reply of known length."""
    body = json.dumps(value).encode()
    length = ("content-length", str(len(body)))
    return Answer(status, (("content-type", "application/json"), length, *headers), (body,))
