"""A machine of its own, with a service that knows nothing of us: `python -m` this, as root.

Runs in network and mount namespaces that nobody else is in.  Prints what happened, as JSON.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.fake_upstream import TestAuthority
from tests.support.instance import Instance, select
from tests.support.providers import json_answer, played

USER = 12345
PROVIDER, OTHER = "203.0.113.5", "203.0.113.6"
COMMAND = (sys.executable, "-m", "agenttrace_mitm", "redirect")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


async def _said(*command: str, **environ: str) -> str:
    child = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await child.communicate()
    return f"{child.returncode} {out.decode().strip()}"


async def _call(root: Path, host: str, address: str, user: int = USER) -> str:
    drop = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    url = f"https://{host}/v1/chat/completions"
    resolve = ("--resolve", f"{host}:443:{address}")
    told = ("curl", "-sS", "-m", "20", "--cacert", str(root), *resolve, url, "-d", "{}")
    return await _said(*drop, *told)


async def _main(folder: Path) -> dict[str, Any]:
    _ip("link", "set", "lo", "up")
    for address in ("198.51.100.1", PROVIDER, OTHER):
        _ip("addr", "add", f"{address}/32", "dev", "lo")
    other = TestAuthority(folder / "other")
    serving = await asyncio.start_server(
        _other, OTHER, 443, ssl=other.context(("intranet.example",))
    )
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{OTHER} intranet.example\n")
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    found: dict[str, Any] = {}
    answer = {"id": "x", "model": "gpt-5.5", "choices": [], "usage": {"prompt_tokens": 3}}
    async with (
        played(folder, lambda request: json_answer(answer)) as providers,
        Instance(providers.settings()) as instance,
    ):
        home = {"AGENTTRACE_HOME": str(providers.home)}
        root = folder / "root.pem"  # where the other user may read it
        root.write_bytes(instance.root_certificate.read_bytes())
        before = await _said("nft", "list", "ruleset")
        found["own user"] = await _said(*COMMAND, "enable", "--user", "0", **home)
        found["dry run"] = await _said(*COMMAND, "enable", "--user", str(USER), "--dry-run", **home)
        assert await _said("nft", "list", "ruleset") == before
        for _ in range(2):
            found["enable"] = await _said(*COMMAND, "enable", "--user", str(USER), **home)
        found["status"] = await _said(*COMMAND, "status", **home)
        found["call"] = await _call(root, "api.openai.com", PROVIDER)
        found["other host"] = await _call(other.ca, "intranet.example", OTHER)
        found["other user"] = await _call(root, "api.openai.com", PROVIDER, USER + 1)
        found["disable"] = await _said(*COMMAND, "disable", **home)
        found["same"] = await _said("nft", "list", "ruleset") == before
        found["off"] = await _said(*COMMAND, "status", **home)
        await instance.rows("select * from llm_calls")
    found["rows"] = select(
        providers.home / "data.db", "select host, outcome, tokens_in, client from llm_calls"
    )
    serving.close()
    return found


async def _other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nintranet")
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_main(Path(sys.argv[1])))))
