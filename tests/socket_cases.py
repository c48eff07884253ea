"""Recorded WebSocket sessions: frames for the recorder, and the truth about their turns."""

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

from agenttrace_mitm.frames import Ended, Message, Opened, RequestEnded, Responded
from tests import corpus_cases as corpus

type Session = dict[str, Any]

_PATHS = {
    "google": "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
    "google-via-gateway": "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
}


def sessions() -> Iterator[Session]:
    """Every recorded session, with the path and host that it would have had."""
    folder = corpus.corpus_folder()
    if folder is None:
        return
    with gzip.open(folder / "websocket.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            session = json.loads(line)
            google = "google" in session["provider"]
            session["target"] = _PATHS.get(
                session["provider"], f"/v1/realtime?model={session['model']}"
            )
            session["host"] = session["host"] or "example.openai.azure.com"
            session["google"] = google
            yield session


def messages(session: Session) -> Iterator[tuple[bool, bytes]]:
    """(from the client, bytes) of each message, in order."""
    for frame in session["frames"]:
        if frame["kind"] == "message":
            data = frame["data"]
            text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
            yield frame["direction"] == "sent", text.encode()


def frames(session: Session, *, id_: str = "", start_us: int = 1_000_000) -> Iterator[Any]:
    """The session as capture would tell of it; a message a millisecond."""
    id_ = id_ or session["id"]
    headers = [("host", session["host"]), ("upgrade", "websocket")]
    yield Opened(
        id_,
        start_us,
        session["provider"].removesuffix("-via-gateway"),
        session["host"],
        "GET",
        session["target"],
        "HTTP/1.1",
        headers,
        {},
        {},
        [],
        "proxy",
    )
    yield RequestEnded(id_, start_us, 0)
    yield Responded(id_, start_us + 1, 101, [("upgrade", "websocket")])
    at_us = start_us
    for number, (from_client, data) in enumerate(messages(session)):
        at_us += 1_000
        yield Message(id_, number, at_us, from_client, True, data)
    yield Ended(id_, at_us + 1, "complete", "", 0, [], 0)


def differences(session: Session, calls: list[Mapping[str, Any]]) -> list[str]:
    """Where the response turns among *calls* differ from the truth about the session."""
    expected = session["expected_responses"]
    if len(calls) != len(expected):
        return [f"{len(calls)} turns instead of {len(expected)}"]
    found = []
    for number, (wanted, call) in enumerate(zip(expected, calls, strict=True)):
        for field, got in _pairs(wanted, call):
            if (wanted.get(field) or None) != (got or None):
                found.append(f"turn {number}: {field} {wanted.get(field)!r:.90} got {got!r:.90}")
    return found


def _pairs(wanted: Mapping[str, Any], call: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs = [("usage_raw", call["usage_raw"]), ("tool_names", call["tool_names"])]
    if wanted["truth"] == "sdk":
        pairs += [
            ("response_id", call["response_id"]),
            ("input_tokens", call["tokens_in"]),
            ("output_tokens", call["tokens_out"]),
            ("total_tokens", call["tokens_total"]),
            ("cache_read_tokens", call["cache_read_tokens"]),
            ("status", (call["finish_reasons"] or [None])[0]),
        ]
    return pairs
