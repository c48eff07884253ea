"""Calls with what was said in them, a second apart, and what the Calls page lists."""

from agenttrace_mitm.model import (
    LlmCall,
    Record,
    StoredMessage,
)  # fmt: skip
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record
from tests.datasette_agenttrace.scene import NOON

CALLS = "/-/agenttrace/calls"


def call(number: int, **said) -> LlmCall:
    given = {
        "id": f"call-{number:03d}", "started_us": NOON - 1_000_000 * number, "kind": "llm",
        "provider": "openai", "host": "api.openai.com", "method": "POST", "path": "/v1/responses",
        "model": "m1", "outcome": "ok", "billing": "metered", "latency_ms": 100.0,
        "dialect": "openai.responses", "operation": "chat", "ttfb_ms": 20.0, "ttft_ms": 40.0,
    }  # fmt: skip
    return LlmCall(**(given | said))


def words(role: str, text: str, position: int = 0, direction: str = "in", **said) -> StoredMessage:
    given = {
        "fingerprint": f"{role}:{text[:80]}", "role": role, "position": position,
        "direction": direction, "content": [{"type": "text", "content": text}], "text": text,
        "size": len(text),
    }  # fmt: skip
    return StoredMessage(**(given | said))


def store(path, *records: Record) -> None:
    db = open_database(path)
    for record in records:
        write_record(db.conn, record)
    db.close()


async def ids(get, query: str = "") -> list[str]:
    answer = await get(f"{CALLS}.json?{query}")
    assert answer.status_code == 200, answer.text
    page = await get(f"{CALLS}?{query}")
    assert page.status_code == 200
    found = [one["id"] for one in answer.json()["calls"]]
    assert all(f'id="call-{id_}"' in page.text for id_ in found)
    return found
