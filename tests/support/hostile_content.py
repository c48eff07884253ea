"""A database in which whatever a program, a model or a server may write is written to do harm.

Scripts and markup, right-to-left text, control characters, deep JSON, megabytes: in prompts,
replies, tool names, arguments and results, model and agent names, headers, errors, commits.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from agenttrace_mitm import clock
from agenttrace_mitm.model import Body, Exchange, Headers
from agenttrace_mitm.store import open_database
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
MEGABYTES = 10


def build(path: Path, tier: Any = 3, megabytes: int = MEGABYTES) -> None:
    """Make the database at *path*: some conversations of the last hour, stored under *tier*."""
    db = open_database(path)
    try:
        talk = Recording(db.conn, tier, at_us=clock.now_us() - 3_600_000_000)
        for number, words in enumerate((*SCRIPTS, ODD, LONG)):
            _work(talk, words, number)
        big = "<script>window.pwned=1</script>\n" * (megabytes * 1_000_000 // 32)
        talk.call([user(big)], says(big), pid=70)
        _fails(talk)
        _beside(db.conn, talk)
        db.conn.commit()
    finally:
        db.close()


def _work(talk: Recording, words: str, number: int) -> None:
    """A prompt, a tool that is called and fails, an answer; all of it *words*."""
    given = {
        "pid": 100 + number, "system": f"You help. {words}", "cwd": f"/tmp/{words}",
        "x_agenttrace_agent": _header(words), "x_agenttrace_session": _header(words),
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
    talk.add(_named(talk.exchange([user(words)], reply, **given), words))
    history = [user(words), reply, tool_result(called, words + json.dumps(_deep()), is_error=True)]
    talk.add(_named(talk.exchange(history, says(words), **given), words))


def _named(exchange: Exchange, model: str) -> Exchange:
    """*exchange* with a model of that name, asked for and answered."""
    asked, answered = json.loads(exchange.request.data), json.loads(exchange.response.data)
    asked["model"] = answered["model"] = model
    kept = exchange.response_headers
    return replace(
        exchange,
        request=Body.of(json.dumps(asked).encode()),
        response=Body.of(json.dumps(answered).encode()),
        response_headers=Headers((*kept.pairs, ("request-id", _header(model)))),
    )


def _fails(talk: Recording) -> None:
    exchange = talk.exchange([user(BAD)], {}, status=529, pid=71)
    error = {"type": "error", "error": {"type": NAME, "message": BAD}}
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


def _header(words: str) -> str:
    """*words* as a header may carry them."""
    return "".join(letter for letter in words if letter.isprintable()).encode().decode("latin-1")


def _deep(levels: int = 60) -> dict[str, Any]:
    told: dict[str, Any] = {"end": SCRIPTS[0]}
    for _ in range(levels):
        told = {"in": told}
    return told
