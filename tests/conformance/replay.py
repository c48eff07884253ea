"""Replay the corpus through a real AgentTrace and read back what it recorded.

`replay` starts AgentTrace in a folder of its own, with the providers' traffic mapped to a server
that answers with the records, sends every request, and waits until the rows are there.
"""

import asyncio
import json
import sqlite3
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenttrace_mitm.demo.certificates import server_context
from agenttrace_mitm.providers import HOSTS
from agenttrace_mitm.settings import Settings
from tests import corpus_cases as corpus
from tests.support.instance import Instance

from . import upstream
from .client import Tunnel

CONNECTIONS = 6
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a record: what the client got, and what the database says of it."""

    record: corpus.Record
    same_bytes: bool
    observed: corpus.Observed | None


def replay(folder: Path, records: Sequence[corpus.Record]) -> list[Replayed]:
    """Every record through the proxy; *folder* is the home of the AgentTrace that records.

    Hosts that are not recorded by default are added under the record's provider.
    """
    hosts = sorted({record["host"] for record in records})
    context, root = server_context(folder / "tls", hosts)
    by_id = {record["id"]: record for record in records}
    return asyncio.run(_replay(folder, records, by_id, hosts, context, root))


async def _replay(
    folder: Path,
    records: Sequence[corpus.Record],
    by_id: Mapping[str, corpus.Record],
    hosts: Sequence[str],
    context: ssl.SSLContext,
    root: Path,
) -> list[Replayed]:
    server, port = await upstream.serve(context, by_id)
    settings = Settings(
        home=folder / "home",
        proxy_port=0,
        port=0,
        upstream_ca=root,
        upstream_map=dict.fromkeys(hosts, f"https://127.0.0.1:{port}"),
        hosts_added={r["host"]: r["provider"] for r in records if r["host"] not in HOSTS},
    )
    async with Instance(settings) as instance:
        got = await _send_all(instance, records)
        database = await _wait_for(settings.database, len(records))
    server.close()
    return [
        Replayed(record, got[record["id"]] == _served(record), _observed(database, record["id"]))
        for record in records
    ]


async def _send_all(
    instance: Instance, records: Sequence[corpus.Record]
) -> dict[str, tuple[int, bytes]]:
    waiting = list(reversed(records))
    got: dict[str, tuple[int, bytes]] = {}
    trust = ssl.create_default_context(cafile=str(instance.root_certificate))

    async def work() -> None:
        tunnels: dict[str, Tunnel] = {}
        while waiting:
            record = waiting.pop()
            host = record["host"]
            if host not in tunnels:
                tunnels[host] = await Tunnel.open(instance.proxy_port, host, trust)
            try:
                got[record["id"]] = await tunnels[host].exchange(record)
            except (OSError, asyncio.IncompleteReadError) as error:
                got[record["id"]] = (0, repr(error).encode())
                tunnels.pop(host).close()
        for tunnel in tunnels.values():
            tunnel.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return got


def _served(record: corpus.Record) -> tuple[int, bytes]:
    body = b"" if record["method"] == "HEAD" else corpus.response_bytes(record)
    return record["status"], body


async def _wait_for(path: Path, rows: int) -> sqlite3.Connection:
    """The database, once it has *rows* ended calls or has gained none for `PATIENCE_S`."""
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    seen, patience = -1, PATIENCE_S
    while seen < rows and patience > 0:
        [[count]] = db.execute(
            "select count(distinct session_id) from llm_calls where outcome <> 'in_flight'"
        )
        patience = PATIENCE_S if count > seen else patience - 0.2
        seen = count
        await asyncio.sleep(0.2)
    return db


def _observed(db: sqlite3.Connection, record_id: str) -> corpus.Observed | None:
    # Calls that came inside this one (a batch's output) share its session, and took no time.
    call = db.execute(
        "select * from llm_calls where session_id = ? and latency_ms is not null", (record_id,)
    ).fetchone()
    if call is None:
        return None
    tools = db.execute(
        "select * from tool_calls where call_id = ? order by position", (call["id"],)
    )
    answer = db.execute(
        """
        select content from call_messages join messages on messages.id = message_id
        where call_id = ? and direction = 'out' and choice = 0
        """,
        (call["id"],),
    ).fetchone()
    rows = [dict(row) for row in tools]
    return corpus.observed_in_rows(_with_counts(db, dict(call)), rows, _words(answer))


def _with_counts(db: sqlite3.Connection, call: dict[str, Any]) -> dict[str, Any]:
    """*call*; where it read an answer that was counted before, with the counts from there."""
    if call["duplicate_of"] is None:
        return call
    [row] = db.execute("select * from llm_calls where id = ?", (call["duplicate_of"],))
    return call | {name: value for name, value in dict(row).items() if "tokens" in name}


def _words(answer: sqlite3.Row | None) -> str:
    parts: list[dict[str, Any]] = json.loads(answer["content"]) if answer else []
    return "".join(p["content"] for p in parts if p["type"] == "text" and "kind" not in p)
