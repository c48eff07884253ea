"""A large database, quickly: for measuring pages.  Never kept.

    python -m tests.support.large_db data.db [calls] [days]

Calls come in conversations of one to thirty turns; each turn adds a question and an answer, so
there are search texts, tool calls and chains to walk.  Deterministic for a given end.
"""

import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agenttrace_mitm import clock
from agenttrace_mitm.store import open_database, rollups

from .sample_db import AGENTS, FAILURES, KINDS, TOOLS

DAY_US = 86_400_000_000
BATCH = 5_000
WORDS = """
the build cache fails on a second run because compiler version key test file module import error
path token agent request reply stream tool result prompt model latency cost session trace span
index query plan table column
"""
CALL = (
    "id", "started_us", "ended_us", "provider", "dialect", "operation", "kind", "billing", "host",
    "method", "path", "model", "response_model", "streamed", "status_code", "outcome",
    "error_type", "error_message", "finish_reason", "tokens_in", "tokens_out", "tokens_total",
    "cache_read_tokens", "usage_source", "cost_nano_usd", "price_source", "unpriced_reason",
    "latency_ms", "ttfb_ms", "ttft_ms", "request_bytes", "response_bytes", "chunks", "attempt",
    "thread_id", "session_id", "agent_id", "continues_call_id", "request_chain", "n_messages",
    "n_tool_calls", "tool_names", "user_agent", "client", "pid", "source", "privacy_tier",
)  # fmt: skip


def build(path: Path, calls: int = 1_000_000, days: int = 90, end_us: int | None = None) -> None:
    """Make the database at *path* with about *calls* calls in the *days* before *end_us*."""
    end_us = clock.now_us() if end_us is None else end_us
    db = open_database(path).conn
    db.execute("pragma synchronous = off")
    db.execute("pragma cache_size = -400000")
    insert_call = (
        f"insert into llm_calls ({', '.join(CALL)}) values ({', '.join(':' + c for c in CALL)})"
    )
    turns = _turns(random.Random(11), calls, days, end_us)
    for batch in itertools.batched(turns, BATCH):
        db.execute("begin immediate")
        db.executemany(insert_call, [turn["call"] for turn in batch])
        db.executemany(
            "insert into messages (id, fingerprint, role, content, size, first_seen_us,"
            " privacy_tier) values (:id, :fingerprint, :role, :content, :size, :first_seen_us, 3)",
            [message for turn in batch for message in turn["messages"]],
        )
        db.executemany(
            "insert into call_messages values (:call_id, :direction, :position, 0, :id)",
            [message for turn in batch for message in turn["messages"]],
        )
        db.executemany(
            "insert into tool_calls (call_id, position, tool_call_id, name, arguments, started_us)"
            " values (:call_id, 0, :call_id, :name, :arguments, :at_us)",
            [tool for turn in batch for tool in turn["tools"]],
        )
        db.execute("commit")
    rollups.rebuild(db)
    db.execute("pragma analysis_limit = 1000")
    db.execute("analyze")
    db.close()


def _turns(draw: random.Random, calls: int, days: int, end_us: int) -> Iterator[dict[str, Any]]:
    """Calls in order of time: conversations take turns as they would."""
    step = days * DAY_US / calls
    running: list[dict[str, Any]] = []
    words = WORDS.split()
    texts = [" ".join(draw.choices(words, k=draw.randint(20, 90))) for _ in range(3_000)]
    for number in range(calls):
        at = int(end_us - days * DAY_US + number * step)
        if len(running) < 12:
            running.append(_conversation(draw, number))
        talk = draw.choice(running)
        yield _turn(draw, talk, at, number, texts)
        if talk["turns"] >= talk["last"]:
            running.remove(talk)


def _conversation(draw: random.Random, number: int) -> dict[str, Any]:
    agent, client, _ = draw.choices(AGENTS, [weight for *_, weight in AGENTS])[0]
    kind = draw.choices(KINDS, [one.weight for one in KINDS])[0]
    session = f"session-{number // 3:07d}"
    return {
        "agent": agent, "client": client, "kind": kind, "session": session, "turns": 0,
        "last": draw.randint(1, 30), "before": None, "thread": f"{number:032x}",
    }  # fmt: skip


def _turn(
    draw: random.Random, talk: dict[str, Any], at: int, number: int, texts: list[str]
) -> dict[str, Any]:
    kind = talk["kind"]
    millis = f"{at // 1000:012x}"
    call_id = f"{millis[:8]}-{millis[8:]}-7{number % 4096:03x}-8000-{number:012x}"
    tokens_in, tokens_out = int(draw.lognormvariate(8.6, 1.1)) + 50, draw.randint(5, 1500)
    cached = int(tokens_in * 0.7) if talk["turns"] else 0
    ttft = draw.lognormvariate(6.3, 0.4)
    latency = ttft + 1000 * tokens_out / kind.speed
    failed = draw.random() < 0.02
    status, error, words = draw.choice(FAILURES) if failed else (200, None, None)
    cost = (tokens_in - cached) * kind.price_in + tokens_out * kind.price_out
    tool = draw.random() < 0.35 and not failed
    seen = 2 * talk["turns"]
    call = dict.fromkeys(CALL) | {
        "id": call_id, "started_us": at, "ended_us": at + int(latency * 1000),
        "provider": kind.provider, "dialect": kind.dialect, "operation": "chat", "kind": "llm",
        "billing": "metered", "host": kind.host, "method": "POST", "path": kind.path,
        "model": kind.model, "streamed": 1, "status_code": status,
        "outcome": "error" if failed else "ok", "error_type": error, "error_message": words,
        "request_bytes": tokens_in * 4, "response_bytes": tokens_out * 5, "chunks": 9,
        "attempt": 1, "latency_ms": 300.0 if failed else round(latency, 3), "source": "proxy",
        "privacy_tier": 3, "thread_id": talk["thread"], "session_id": talk["session"],
        "agent_id": talk["agent"], "client": talk["client"], "pid": 4242,
        "continues_call_id": talk["before"], "request_chain": f"chain-{number}",
        "n_messages": seen + 1, "n_tool_calls": int(tool), "user_agent": "python-httpx/0.28",
    }  # fmt: skip
    if not failed:
        call |= {
            "response_model": kind.model, "finish_reason": "stop", "tokens_in": tokens_in,
            "tokens_out": tokens_out, "tokens_total": tokens_in + tokens_out,
            "cache_read_tokens": cached, "usage_source": "reported", "ttfb_ms": ttft * 0.8,
            "ttft_ms": ttft, "cost_nano_usd": cost or None, "price_source": "sample",
            "unpriced_reason": None if cost else "unknown_model",
        }  # fmt: skip
    said = (("in", seen, "user"), ("out", seen + 1, "assistant"))[: 1 if failed else 2]
    messages = [
        _message(draw, call_id, at, 2 * number + i, place, texts) for i, place in enumerate(said)
    ]
    talk["turns"] += 1
    talk["before"] = call_id
    arguments = json.dumps({"path": "src/build.py", "limit": number})
    tools = [{"call_id": call_id, "name": draw.choice(TOOLS), "arguments": arguments, "at_us": at}]
    return {"call": call, "messages": messages, "tools": tools if tool else []}


def _message(
    draw: random.Random,
    call_id: str,
    at: int,
    number: int,
    place: tuple[str, int, str],
    texts: list[str],
) -> dict[str, Any]:
    direction, position, role = place
    text = f"{draw.choice(texts)} case{number}"
    return {
        "id": number + 1, "fingerprint": f"message-{number}", "role": role, "text": text,
        "content": json.dumps([{"type": "text", "content": text}]), "size": len(text),
        "first_seen_us": at, "call_id": call_id, "direction": direction, "position": position,
    }  # fmt: skip


if __name__ == "__main__":
    file, *numbers = sys.argv[1:]
    build(Path(file), *map(int, numbers))
