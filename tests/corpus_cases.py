"""The recorded-traffic corpus: finds it, makes exchanges of its records, compares with its truth.

The corpus is no part of this repository.  It is looked for at `AGENTTRACE_CORPUS`, else at
`shared/corpus` beside the checkout.  What we made of a record, wherever from, is brought into one
shape (`observed_in` an Understood, `observed_in_rows` of the database), and `disagreements`
tells where that differs from `expected`.
"""

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agenttrace_mitm.model import Arrival, Body, Exchange, Headers, Understood
from agenttrace_mitm.store.rows import call_of

from .corpus_cost import cost_disagreement

type Record = dict[str, Any]
type Observed = dict[str, Any]

PROVIDERS = ("openai", "anthropic", "google", "mistral", "cohere")
MODEL_KINDS = (
    "chat",
    "responses",
    "messages",
    "generateContent",
    "streamGenerateContent",
    "completions",
    "fim",
    "embeddings",
    "rerank",
)
ALLOWED_FILE = Path(__file__).with_name("corpus_allowed.json")
_HOP_BY_HOP = ("content-length", "transfer-encoding", "connection", "content-encoding")


def corpus_folder() -> Path | None:
    """Where the corpus is; None when it is not here."""
    told = os.environ.get("AGENTTRACE_CORPUS")
    checkout = Path(__file__).resolve().parent.parent
    for folder in [Path(told)] if told else [checkout.parent / "shared" / "corpus"]:
        if (folder / "openai.jsonl.gz").exists():
            return folder
    return None


def records(
    providers: Sequence[str] = PROVIDERS, kinds: Sequence[str] | None = None
) -> Iterator[Record]:
    """The records of *providers*, of *kinds* only where given."""
    folder = corpus_folder()
    if folder is None:
        return
    for provider in providers:
        path = folder / f"{provider}.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8", errors="surrogatepass") as lines:
            for line in lines:
                record = json.loads(line)
                if kinds is None or record["endpoint_kind"] in kinds:
                    yield record


def allowed() -> dict[str, str]:
    """Ids of records whose truth is wrong, and the reason, seen in the bytes."""
    return json.loads(ALLOWED_FILE.read_text()) if ALLOWED_FILE.exists() else {}


def _body(record: Record, side: str) -> bytes:
    text = record[f"{side}_body"]
    if record[f"{side}_body_encoding"] == "base64":
        return base64.b64decode(text)
    return text.encode("utf-8", "surrogatepass")


def request_bytes(record: Record) -> bytes:
    """The request body as it went on the wire."""
    return _body(record, "request")


def response_bytes(record: Record) -> bytes:
    """The response body as it came on the wire."""
    return _body(record, "response")


def request_headers(record: Record) -> list[tuple[str, str]]:
    """Request headers that fit the recorded bytes.

    One recorder (httprr) glued the next header line onto a value: no value holds a line end.
    """
    headers = [(name, value.split("\n")[0]) for name, value in record["request_headers"]]
    kept = [(k, v) for k, v in headers if k.lower() not in (*_HOP_BY_HOP, "host")]
    return [("host", record["host"]), *kept]


def response_headers(record: Record) -> list[tuple[str, str]]:
    """Response headers that fit the recorded bytes; recorders decode and forget to say so."""
    kept = [(k, v) for k, v in record["response_headers"] if k.lower() not in _HOP_BY_HOP]
    if not any(k.lower() == "content-type" for k, _ in kept):
        kind = "text/event-stream" if record["streamed"] else "application/json"
        kept.append(("content-type", kind))
    if record["content_encoding"]:
        kept.append(("content-encoding", record["content_encoding"]))
    return [*kept, ("content-length", str(len(response_bytes(record))))]


def exchange(
    record: Record, *, chunk: int | None = None, until: int | None = None, at_us: int = 0
) -> Exchange:
    """The record as an exchange: in pieces of *chunk* bytes, and cut after *until* bytes.

    Piece *n* arrives *n* microseconds after *at_us*.
    """
    data = response_bytes(record)
    sent = data if until is None else data[:until]
    step = chunk or len(sent) or 1
    ends = [min(start + step, len(sent)) for start in range(0, len(sent), step)]
    arrivals = tuple(Arrival(at_us + n, end) for n, end in enumerate(ends, 1))
    query = f"?{record['query']}" if record["query"] else ""
    return Exchange(
        id=record["id"],
        provider=record["provider"],
        host=record["host"],
        method=record["method"],
        target=record["path"] + query,
        started_us=at_us,
        ended_us=at_us + len(ends),
        request_headers=Headers(tuple(request_headers(record))),
        request=Body.of(request_bytes(record), at_us),
        status=record["status"],
        response_headers=Headers(tuple(response_headers(record))),
        response=Body(sent, len(sent), arrivals, complete=len(sent) == len(data)),
        ending="complete" if len(sent) == len(data) else "upstream_left",
    )


def observed_in(understood: Understood, status: int | None) -> Observed:
    """What we made of an exchange, in the words of `expected`."""
    reply, usage = understood.reply, understood.reply.usage
    failure = reply.failure
    return {
        "model": reply.model,
        "request_model": understood.ask.model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.total_tokens,
        "finish_reasons": list(reply.finish_reasons),
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in reply.tool_calls
        ],
        "response_id": reply.response_id,
        "error_status": status,
        "error_type": failure.type if failure else "",
        "error_code": failure.code if failure else "",
        "error_message": failure.message if failure else "",
        "counted_tokens": usage.detail.get("counted_tokens"),
        "text": reply.text,
        "stream_complete": reply.complete,
    }


def observed_in_rows(
    call: Mapping[str, Any],
    tool_calls: Sequence[Mapping[str, Any]] = (),
    text: str | None = None,
) -> Observed:
    """The same from a row of `llm_calls`, its rows of `tool_calls` in order, and its answer.

    *text* is the answer's words; None where they cannot be told, and then they are not compared.
    JSON columns are text.  Rows of tools that the provider defines (`server` or `typed` = 1) are
    left out.
    """
    detail = _json(call["usage_detail"]) or {}
    observed = {
        "model": call["response_model"],
        "request_model": call["model"],
        "input_tokens": call["tokens_in"],
        "output_tokens": call["tokens_out"],
        "cache_read_tokens": call["cache_read_tokens"],
        "cache_write_tokens": call["cache_write_tokens"],
        "reasoning_tokens": call["reasoning_tokens"],
        "total_tokens": call["tokens_total"],
        "finish_reasons": _json(call["finish_reasons"]) or [],
        "tool_calls": [
            {"id": row["tool_call_id"], "name": row["name"], "arguments": row["arguments"]}
            for row in tool_calls
            if not row.get("server") and not row.get("typed")
        ],
        "response_id": call["response_id"],
        "error_status": call["status_code"],
        "error_type": call["error_type"],
        "error_code": call["error_code"],
        "error_message": call["error_message"],
        "counted_tokens": detail.get("counted_tokens"),
        "call": call_of(call),
    }
    return observed if text is None else observed | {"text": text}


def disagreements(expected: Mapping[str, Any], record: Record, observed: Observed) -> list[str]:
    """Where *observed* differs from the truth, as `field: expected ... got ...`.

    Null and zero, null and empty count as equal.  Fields that *observed* lacks are not compared.
    The cost is made of the stored `call`, at the record's `cost_time`.
    """
    found = []
    expected = _with_thoughts(expected, record)
    observed = _looked_at(expected, record, observed)

    def compare(field: str, wanted: Any, got: Any) -> None:
        if wanted != got:
            found.append(f"{field}: expected {wanted!r:.120} got {got!r:.120}")

    for field in _COUNTS:
        if field in observed:
            compare(field, expected.get(field) or 0, observed[field] or 0)
    for field in _WORDS:
        if field in observed:
            compare(field, _word(expected.get(field)), _word(observed[field]))
    if expected["error_status"] is not None and "error_status" in observed:
        compare("error_status", expected["error_status"], observed["error_status"])
    if "finish_reasons" in observed:
        wanted, got = _words(expected["finish_reasons"]), _words(observed["finish_reasons"])
        compare("finish_reasons", wanted, got)
    if "tool_calls" in observed:
        found += _differing_tools(expected, observed["tool_calls"])
    if "text" in observed:
        text = observed["text"]
        digest = hashlib.sha1(text.encode("utf-8", "surrogatepass")).hexdigest()
        compare("text_len", expected["text_len"] or 0, len(text))
        if expected["text_sha1"] and expected["text_len"]:
            compare("text_sha1", expected["text_sha1"], digest)
    known = expected["stream_complete"] is not None
    if known and record["streamed"] and "stream_complete" in observed:
        compare("stream_complete", expected["stream_complete"], observed["stream_complete"])
    if "call" in observed and (difference := cost_disagreement(expected, observed["call"])):
        found.append(difference)
    return found


def _differing_tools(expected: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> list[str]:
    pairs = [
        ("n_tool_calls", expected["n_tool_calls"], len(calls)),
        ("tool_names", expected["tool_names"], [call["name"] for call in calls]),
    ]
    for wanted, got in zip(expected["tool_calls"], calls, strict=False):
        pairs += [(f"tool_calls.{f}", _word(wanted[f]), _word(got[f])) for f in ("id", "name")]
        arguments = _value(wanted["arguments"]), _value(got["arguments"])
        pairs.append(("tool_calls.arguments", *arguments))
    return [
        f"{field}: expected {wanted!r:.120} got {got!r:.120}"
        for field, wanted, got in pairs
        if wanted != got
    ]


def _with_thoughts(expected: Mapping[str, Any], record: Record) -> Mapping[str, Any]:
    """*expected* with the thoughts that Gemini's OpenAI-compatible endpoint counts unsaid.

    Its `completion_tokens` leave them out and there is no `reasoning_tokens`: the total alone tells
    of them (an `oddity` in the corpus' words).  The oracle's price lacks them too, so it is none.
    """
    read, written = expected["input_tokens"], expected["output_tokens"]
    total = expected["total_tokens"]
    compatible = record["provider"] == "google" and record["path"].endswith("/chat/completions")
    if not compatible or expected["reasoning_tokens"] is not None or None in (read, total):
        return expected
    beyond = total - read - (written or 0)
    if beyond <= 0:
        return expected
    counts = {"output_tokens": total - read, "reasoning_tokens": beyond}
    return {**expected, **counts, "cost_usd": None}


def _looked_at(expected: Mapping[str, Any], record: Record, observed: Observed) -> Observed:
    """*observed* without the fields that the truth is silent about, rather than denies.

    Truth `none`: no SDK model and no bytes that could be decoded, only errors and the request were
    looked at.  Truth `raw`: dug out of JSON, nobody looked for text or tool calls.  The request's
    model was looked for in JSON, not in forms.
    """
    unseen: set[str] = set()
    if expected["truth"] == "none":
        unseen = {field for field in observed if not field.startswith(("error_", "request_"))}
    if expected["truth"] == "raw":
        unseen |= set() if expected["text_len"] is not None else {"text"}
        unseen |= set() if expected["n_tool_calls"] else {"tool_calls"}
    said = Headers(tuple(request_headers(record))).get("content-type")
    if expected["request_model"] is None and ("multipart/" in said or expected["truth"] == "none"):
        unseen.add("request_model")
    return {field: value for field, value in observed.items() if field not in unseen}


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_tokens",
    "counted_tokens",
)
_WORDS = (
    "model",
    "request_model",
    "response_id",
    "error_type",
    "error_code",
    "error_message",
)


def _word(value: Any) -> str:
    return "" if value is None else str(value)


def _words(values: Sequence[Any]) -> list[str]:
    return [word for word in map(_word, values) if word]


def _value(arguments: Any) -> Any:
    """Arguments as JSON where they are JSON, else as they are; none at all are empty text."""
    if not isinstance(arguments, str):
        return arguments or ""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
