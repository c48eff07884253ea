"""A database in which whatever a program, a model or a server may write is written to do harm.

Scripts and markup, right-to-left text, control characters, deep JSON, megabytes: in prompts,
replies, tool names, arguments and results, model and agent names, session ids, headers, errors,
commits and their branches, events that programs send, alert rules and what they found.
"""

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace
from sqlite_utils import Database

from agenttrace_mitm import clock
from agenttrace_mitm.alerts.making import made
from agenttrace_mitm.ingest.events import read
from agenttrace_mitm.model import Body, Delivery, Exchange, Firing, Headers
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.alerting import AlertStore
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.submissions import calls_told, events_told
from tests.traces.talks import Recording, says, tool_result, user

SCRIPTS = (
    "<script>window.pwned = 1</script>",
    "\"'><img src=x onerror='window.pwned=1'>",
    "</textarea></title></style></script><svg onload=window.pwned=1>",
    "javascript:window.pwned=1",
    "[click](javascript:window.pwned=1) ![x](http://198.51.100.7/x.png)",
    "{{ 7 * 7 }}{% raw %}<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
)
ODD = (
    "\u202e\u0645\u0631\u062d\u0628\u0627 gnp.exe\u202c \u05e9\u05dc\u05d5\u05dd "
    "\x1b[31m\x07\x00\u2028\ufeff e\u0301\u0301\u0301 \U0001f469\u200d\U0001f467"
)
LONG = "W" * 400
BAD = f"{SCRIPTS[0]}{SCRIPTS[1]}{ODD}"
NAME = f"<b onmouseover=window.pwned=1>{SCRIPTS[0]}{LONG}"
# Names that an address cannot have as they are.
AWKWARD = (
    "..", ".", "a/b/../c", "a%2Fb", "%00", "~2E~2E", "x.json", "x/share", "share.db", "a?b#c&d=e",
    "+ +", " ", "\"'><b>", "\\", "\t\n\x00\x7f", "\U0001f469\u200d\U0001f467" * 60,
    "None", "(none)",
)  # fmt: skip
MEGABYTES = 10
SVG = f"<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPTS[0]}{SCRIPTS[2]}</svg>".encode()


def png(width: int = 160, height: int = 120) -> bytes:
    """A picture of stripes that a browser can show."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    lines = b"".join(b"\0" + bytes((n * 7 % 256, 90, 160)) * width for n in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def image(data: bytes, mime_type: str) -> dict[str, Any]:
    """An image as Anthropic's clients send it."""
    source = {"type": "base64", "media_type": mime_type, "data": base64.b64encode(data).decode()}
    return {"type": "image", "source": source}


def build(path: Path, tier: Any = 3, megabytes: int = MEGABYTES) -> None:
    """Make the database at *path*: some conversations of the last hour, stored under *tier*."""
    db = open_database(path)
    try:
        talk = Recording(db.conn, tier, at_us=clock.now_us() - 3_600_000_000)
        for number, words in enumerate((*SCRIPTS, ODD, LONG)):
            _work(talk, words, number)
        big = "<script>window.pwned=1</script>\n" * (megabytes * 1_000_000 // 32)
        talk.call([user(big)], says(big), pid=70)
        _shows(talk)
        _fails(talk)
        _beside(db.conn, talk)
        for words in (*AWKWARD, SCRIPTS[0], ODD):
            _sent(db, talk, words)
        [call] = talk.row("select max(id) from llm_calls where source = 'proxy'")
        db.conn.commit()
    finally:
        db.close()
    _alerts(path, call)


def _work(talk: Recording, words: str, number: int) -> None:
    """A prompt, a tool that is called and fails, an answer; all of it *words*."""
    given = {
        "pid": 100 + number, "system": f"You help. {words}", "cwd": f"/tmp/{words}",
        "user_agent": _header(words), "x_own": _header(words),
        "tools": [{"name": words, "description": words, "input_schema": _deep()}],
    }  # fmt: skip
    called = f"toolu_{number}"
    use = {
        "type": "tool_use", "id": called, "name": words,
        "input": {"command": words, "file_path": words, "old_string": "a", "new_string": words,
                  words: _deep()},
    }  # fmt: skip
    thought = {"type": "thinking", "thinking": words, "signature": "x"}
    link = {"type": "text", "text": f"# {words}\n\n```js\n{words}\n```\n{words}"}
    reply = {"role": "assistant", "content": [thought, link, use]}
    talk.add(_named(talk.exchange([user(words)], reply, **given), words, number))
    history = [user(words), reply, tool_result(called, words + json.dumps(_deep()), is_error=True)]
    talk.add(_named(talk.exchange(history, says(words), **given), words, number))


def _named(exchange: Exchange, model: str, number: int) -> Exchange:
    """*exchange* with a model of that name, asked for and answered, by such an agent.

    In such a session too, every other time: else it is that of its process.
    """
    asked, answered = json.loads(exchange.request.data), json.loads(exchange.response.data)
    asked["model"] = answered["model"] = model
    kept = exchange.response_headers
    session = model if number % 2 else ""
    said = {"agent": model, "session": session, "tags": {model: model}, "branch": model}
    return replace(
        exchange,
        caller=replace(exchange.caller, process=model, repository=model, **said),
        request=Body.of(json.dumps(asked).encode()),
        response=Body.of(json.dumps(answered).encode()),
        response_headers=Headers((*kept.pairs, ("request-id", _header(model)))),
    )


def _shows(talk: Recording) -> None:
    """Pictures that are none, and one that is one and is called a page."""
    shown = [
        image(png(), "text/html"), image(SVG + b" " * 200, "image/svg+xml"),
        image(b"%PDF-1.7 " + SVG * 3, SCRIPTS[0]),
        image(png()[:33] + SVG * 3, "image/png"), image(png(8, 8) + SVG * 3, "\r\nx: y"),
    ]  # fmt: skip
    asked = {"role": "user", "content": [{"type": "text", "text": SCRIPTS[1]}, *shown]}
    talk.call([asked], says(BAD), pid=72, system=SCRIPTS[0])


def _fails(talk: Recording) -> None:
    """A call, and that it is tried again."""
    error = {"type": "error", "error": {"type": NAME, "message": BAD}}
    for _ in range(2):
        exchange = talk.exchange([user(BAD)], {}, status=529, pid=71)
        talk.add(replace(exchange, response=Body.of(json.dumps(error).encode())))


def _beside(db: Any, talk: Recording) -> None:
    """What does not come with a call: blind spots, commits, events of the recorder."""
    now_us = clock.now_us()
    db.execute(
        "insert into blind_spots (at_us, host, reason, client) values (?, ?, ?, ?)",
        (now_us, NAME, BAD, NAME),
    )
    db.execute(
        "insert into recorder_events (at_us, kind, detail) values (?, ?, ?)",
        (now_us, "calls_lost", BAD),
    )
    session, trace, call = talk.row(
        "select session_id, trace_id, id from llm_calls order by started_us limit 1"
    )
    db.execute(
        """
        insert into commits (sha, session_id, repository, branch, message, committed_us, files,
            lines_added, lines_removed, numstat, trace_id, call_id, position, how, confidence)
        values (?, ?, ?, ?, ?, ?, 1, 5, 3, ?, ?, ?, 0, 'output', 1)
        """,
        ("a" * 40, session, NAME, BAD, BAD, now_us, json.dumps([[5, 3, NAME]]), trace, call),
    )


def _sent(db: Database, talk: Recording, words: str) -> None:
    """What a program may tell of itself: a call and an event."""
    told = {"agent_id": words[:256], "session_id": words, "trace_id": words, "tags": {words: words},
            "error_type": words, "error_message": words, "source": words}  # fmt: skip
    called = {"event_type": "llm_call", "provider": words, "model": words, "operation": words}
    counted = {"tokens_in": 10**12, "tokens_out": 0, "cost_usd": 1e6, "latency_ms": 1e9}
    failed = {"event_type": "error", "name": words, "severity": words, "message": words}
    batch = read([told | called | counted, told | failed], clock.now_us())
    assert batch.status == 200, batch.results
    for record in calls_told(msgspec.json.encode(batch.calls), 3):
        write_record(db.conn, record)
    for event in events_told(msgspec.json.encode(batch.events), 3):
        db["events"].insert(event.model_dump(mode="json"))


def _alerts(path: Path, call: str) -> None:
    """Rules of such names that fire, fired, cannot be judged and cannot be told."""
    store = AlertStore(path)
    now_us = clock.now_us()
    try:
        for number, name in enumerate((*AWKWARD, *SCRIPTS, ODD, "W" * 100)):
            printable = "".join(one if one.isprintable() else "?" for one in name)[:100]
            rule = made(
                now_us, name=f"{printable.strip()}?"[-100:], type="error_rate",
                params={"min_calls": 1, "per": "agent"},
                deliver=("http://127.0.0.1:9/" + quote(name), "mailto:me@example.invalid"),
            )  # fmt: skip
            store.put_rule(rule)
            firing = Firing(
                id=clock.new_id(), rule_id=rule.id, rule_name=rule.name, rule_type=rule.type,
                subject=name, message=BAD, started_us=now_us - 5_000_000, seen_us=now_us,
                resolved_us=now_us if number % 3 == 0 else None, resolution=BAD,
                evidence={"sql": BAD, "rows": [{name: BAD, "agent": name}], "calls": [call]},
            )  # fmt: skip
            message = Delivery(
                id=clock.new_id(), firing_id=firing.id, topic=name, transition="fired",
                target=rule.deliver[0], body={name: BAD}, created_us=now_us, due_us=now_us,
                attempts=3, problem=BAD,
            )  # fmt: skip
            store.apply(rule, lambda _, told=((firing,), (message,)): told, now_us)
            if number % 2:
                store.could_not_judge(rule, BAD)
    finally:
        store.close()


def _header(words: str) -> str:
    """*words* as a header may carry them."""
    return "".join(letter for letter in words if letter.isprintable()).encode().decode("latin-1")


def _deep(levels: int = 60) -> dict[str, Any]:
    told: dict[str, Any] = {"end": SCRIPTS[0]}
    for _ in range(levels):
        told = {"in": told}
    return told
