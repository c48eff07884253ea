"""A database as a month of real work leaves it: for pictures and for tests that need a crowd.

    python -m tests.support.sample_db data.db [days] [calls a day]

Deterministic for a given end: models, prices, agents, errors and latencies are drawn from a
seeded generator, and no name or text in it belongs to anybody.
"""

import json
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from agenttrace_mitm import clock
from agenttrace_mitm.model import LlmCall, Record, StoredMessage, StoredToolCall
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.rows import write_record

DAY_US = 86_400_000_000
END_US = 1_795_219_200_000_000  # 2026-11-20 16:00 UTC


@dataclass(frozen=True)
class Kind:
    """A sort of call: how often, on what, at nano-dollars a token."""

    weight: int
    provider: str
    host: str
    dialect: str
    path: str
    model: str
    price_in: int
    price_cached: int
    price_out: int
    speed: float  # tokens out a second


KINDS = (
    Kind(30, "anthropic", "api.anthropic.com", "anthropic.messages", "/v1/messages",
         "claude-sonnet-4-5", 3000, 300, 15000, 70),
    Kind(8, "anthropic", "api.anthropic.com", "anthropic.messages", "/v1/messages",
         "claude-opus-4-5", 5000, 500, 25000, 45),
    Kind(20, "anthropic", "api.anthropic.com", "anthropic.messages", "/v1/messages",
         "claude-haiku-4-5", 1000, 100, 5000, 140),
    Kind(16, "openai", "api.openai.com", "openai.responses", "/v1/responses",
         "gpt-5.1", 1250, 125, 10000, 80),
    Kind(12, "openai", "api.openai.com", "openai.chat", "/v1/chat/completions",
         "gpt-5-mini", 250, 25, 2000, 120),
    Kind(9, "google", "generativelanguage.googleapis.com", "google.generate",
         "/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", 1250, 125, 10000, 90),
    Kind(5, "mistral", "api.mistral.ai", "openai.chat", "/v1/chat/completions",
         "mistral-large-2512", 500, 500, 1500, 60),
    Kind(3, "cohere", "api.cohere.com", "cohere.chat", "/v2/chat",
         "command-a-03-2025", 2500, 2500, 10000, 55),
    Kind(2, "openai", "api.openai.com", "openai.chat", "/v1/chat/completions",
         "ft:gpt-4.1:acme::new", 0, 0, 0, 60),
)  # fmt: skip
AGENTS = (
    ("claude-code", "claude-code", 6), ("research-bot", "anthropic-python", 3),
    ("nightly-eval", "openai-python", 2), ("support-triage", "google-genai", 2), (None, None, 1),
)  # fmt: skip
TALK = (
    ("Why does the build fail on the second run?", "The cache key leaves out the compiler."),
    ("Which of these invoices were paid twice?", "Two: 4411 and 4502, both in March."),
    ("Summarize what changed in the API since v2.", "Cursors replace page numbers; ids are text."),
    ("Find the slowest query of last night.", "The report on refunds: it sorts all orders."),
    ("Write a test for the empty basket.", "Here it is; it fails on the line that divides."),
    ("Is this letter a complaint?", "Yes: the parcel came late, and open."),
    ("Name the files that read the clock.", "clock.py alone; billing.py asks it twice."),
    ("What does error 0x80 of the printer mean?", "The tray is open, or its sensor is dirty."),
    ("Translate the notes for the release.", "Done; two terms have no good German word."),
    ("Compare the three offers.", "The second is cheapest from 400 pieces on."),
    ("Why is the login page so slow in Chrome?", "It waits for a font that nobody uses."),
)
"""What people ask, and what they are answered."""
FAILURES = (
    (429, "rate_limit_error", "Number of requests has exceeded your rate limit"),
    (529, "overloaded_error", "Overloaded"),
    (500, "server_error", "The server had an error while processing your request"),
    (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
)
TOOLS = ("read_file", "run_tests", "search", "edit_file")


def build(path: Path, end_us: int = END_US, days: int = 30, calls_a_day: int = 220) -> None:
    """Make the database at *path*, its last call just before *end_us*."""
    draw = random.Random(7)
    db = open_database(path)
    try:
        db.execute("begin immediate")
        for started_us in _moments(draw, end_us, days, calls_a_day):
            write_record(db.conn, _record(draw, started_us))
        db.execute("commit")
    finally:
        db.close()


def _moments(draw: random.Random, end_us: int, days: int, calls_a_day: int) -> list[int]:
    first = end_us // DAY_US - days + 1
    moments = []
    for day in range(first, first + days):
        busy = 0.3 if day % 7 in (2, 3) else 1.0  # day 2 of the epoch was a Saturday
        growth = 0.6 + 0.8 * (day - first) / max(days, 1)
        for _ in range(int(calls_a_day * busy * growth * draw.uniform(0.75, 1.25))):
            at = day * DAY_US + int(min(max(draw.gauss(14, 3.5), 0), 23.99) * DAY_US / 24)
            if at < end_us:
                moments.append(at)
    return sorted(moments)


def _record(draw: random.Random, started_us: int) -> Record:
    kind = draw.choices(KINDS, [kind.weight for kind in KINDS])[0]
    agent, client, _ = draw.choices(AGENTS, [weight for *_, weight in AGENTS])[0]
    tokens_in = int(draw.lognormvariate(8.6, 1.1)) + 50
    cached = int(tokens_in * draw.uniform(0.3, 0.95)) if draw.random() < 0.65 else 0
    tokens_out = int(draw.lognormvariate(5.6, 0.9)) + 5
    ttft = draw.lognormvariate(6.3, 0.4)
    latency = ttft + 1000 * tokens_out / kind.speed * draw.uniform(0.8, 1.4)
    failed = draw.random() < 0.02 + 0.02 * math.sin(started_us / DAY_US)
    call_id = _id(draw, started_us)
    base = {
        "id": call_id, "started_us": started_us, "provider": kind.provider,
        "dialect": kind.dialect, "operation": "chat", "kind": "llm", "host": kind.host,
        "method": "POST", "path": kind.path, "model": kind.model, "streamed": draw.random() < 0.8,
        "agent_id": agent, "client": client, "billing": "metered", "source": "proxy",
        "request_bytes": tokens_in * 4, "price_source": "genai-prices 0.2.3",
    }  # fmt: skip
    if failed:
        status, error, message = draw.choice(FAILURES)
        took = draw.uniform(80, 900)
        call = LlmCall(
            **base, ended_us=started_us + int(took * 1000), latency_ms=took, status_code=status,
            outcome="error", error_type=error, error_message=message, unpriced_reason="no_usage",
        )  # fmt: skip
        return Record(call=call)
    nano = (
        (tokens_in - cached) * kind.price_in + cached * kind.price_cached
        + tokens_out * kind.price_out
    )  # fmt: skip
    tools = [draw.choice(TOOLS)] if draw.random() < 0.35 else []
    call = LlmCall(
        **base, ended_us=started_us + int(latency * 1000), latency_ms=round(latency, 3),
        ttfb_ms=round(ttft * 0.8, 3), ttft_ms=round(ttft, 3), status_code=200,
        outcome="cancelled" if draw.random() < 0.01 else "ok", response_model=kind.model,
        finish_reason="tool_calls" if tools else "stop", tokens_in=tokens_in,
        tokens_out=tokens_out, tokens_total=tokens_in + tokens_out, cache_read_tokens=cached,
        usage_source="reported", usage_detail={"cache_write_5m": cached // 10},
        params={"temperature": 0.2, "max_tokens": 4096}, tool_names=tools,
        n_tool_calls=len(tools), n_messages=2, cost_nano_usd=nano or None,
        unpriced_reason=None if nano else "unknown_model", response_bytes=tokens_out * 5,
        chunks=tokens_out // 3 + 1,
    )  # fmt: skip
    asked, answered = draw.randrange(400), draw.randrange(400)
    return Record(
        call=call,
        messages=(
            _message(0, "in", "user", asked, TALK[asked % len(TALK)][0]),
            _message(1, "out", "assistant", answered, TALK[asked % len(TALK)][1]),
        ),
        tool_calls=tuple(
            StoredToolCall(
                tool_call_id=f"call_{call_id[-8:]}", position=i, name=name,
                arguments=json.dumps({"path": "src/build.py", "limit": 200}),
            )
            for i, name in enumerate(tools)
        ),
    )  # fmt: skip


def _message(position: int, direction: str, role: str, number: int, text: str) -> StoredMessage:
    said = f"{text} (case {number})"
    return StoredMessage(
        fingerprint=said, position=position, direction=direction,
        role=role, content=[{"type": "text", "content": said}], text=said, size=len(said),
    )  # fmt: skip


def _id(draw: random.Random, started_us: int) -> str:
    tail = f"{draw.getrandbits(76):019x}"
    millis = f"{started_us // 1000:012x}"
    return f"{millis[:8]}-{millis[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:18]}"


if __name__ == "__main__":
    file, *numbers = sys.argv[1:]
    many = dict(zip(("days", "calls_a_day"), map(int, numbers), strict=False))
    build(Path(file), end_us=clock.now_us(), **many)
