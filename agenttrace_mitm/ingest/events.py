"""Events as programs send them: judged one by one, and turned into calls or rows of `events`.

The fields are those that AgentTrace's SDK always sent, and more.  A client's own `id` makes a
repeat harmless: the same id and timestamp always become the same row.
"""

import datetime
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..clock import derived_id, new_id
from ..model import Cost, Json, JsonObject, SubmittedCall, Unpriced, Usage
from ..pricing import price
from ..pricing.calls import columns_of
from ..scheduling import give_way

MOST = 1_000
"""Events in one request."""

DAY_US = 86_400_000_000
CALL_TYPES = ("llm_call", "completion")
_HEX = re.compile(r"[0-9a-f]+")


def _no_words(value: object) -> object:
    """Python takes "200" and True for numbers; JSON and our schema do not."""
    if isinstance(value, str | bool):
        raise ValueError("a number is wanted")
    return value


type Count = Annotated[int, Field(ge=0, le=10**12), BeforeValidator(_no_words)]
type Milliseconds = Annotated[float, Field(ge=0, le=1e9, strict=True)]
type Short = Annotated[str, Field(max_length=256)]
type EventType = Literal["llm_call", "completion", "heartbeat", "error", "custom"]


class Event(BaseModel):
    """One event of a program."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Short | None = Field(
        None, min_length=1, description="the client's own id: sent twice, it is stored once"
    )
    agent_id: str = Field(min_length=1, max_length=256, description="who did it")
    event_type: EventType = Field(description="llm_call and completion become calls")
    timestamp: datetime.datetime | int | None = Field(
        None,
        description="when it began: ISO 8601, UTC without an offset; or milliseconds since the"
        " epoch. Needed with `id`; now without",
    )
    provider: Short | None = Field(None, description="openai, anthropic, google, ...")
    model: Short | None = Field(None, description="as asked")
    response_model: Short | None = Field(None, description="as answered")
    operation: Short = Field("chat", description="chat, embeddings, ...")
    tokens_in: Count | None = Field(None, description="everything read, cached or not")
    tokens_out: Count | None = Field(None, description="everything generated")
    tokens_total: Count | None = Field(None, description="tokens_in + tokens_out when left out")
    cache_read_tokens: Count | None = Field(None, description="part of tokens_in")
    cache_write_tokens: Count | None = Field(None, description="part of tokens_in")
    reasoning_tokens: Count | None = Field(None, description="part of tokens_out")
    cost_usd: float | None = Field(
        None, ge=0, le=1e6, strict=True, description="taken only where we have no price ourselves"
    )
    latency_ms: Milliseconds | None = None
    ttft_ms: Milliseconds | None = Field(None, description="until the first content")
    status_code: Annotated[int, Field(ge=100, le=599), BeforeValidator(_no_words)] | None = None
    error_type: Short | None = None
    error_message: str | None = Field(None, max_length=10_000)
    name: Short | None = Field(None, description="of a custom event")
    severity: Short | None = Field(None, description="of an error or custom event")
    message: str | None = Field(None, max_length=10_000, description="words of an event")
    tags: dict[Short, Json] | None = Field(None, description="labels")
    source: Short = Field("sdk", description="sdk, or what else sent it")
    session_id: Short | None = None
    trace_id: Short | None = Field(None, description="32 hex digits, a UUID, or any text")
    span_id: Short | None = Field(
        None, description="16 hex digits, or any text: of the call itself, another one each"
    )
    parent_span_id: Short | None = Field(
        None, description="16 hex digits, or any text: of what it is a step of"
    )

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> "Event":
        if self.id and self.timestamp is None:
            raise ValueError("an event with an id needs a timestamp, or a repeat is another event")
        return self


class EventResult(BaseModel):
    """What became of one event."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: int
    success: bool
    id: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of a request: what can be stored, and what became of each.

    *events* are fields of `StoredEvent`; what is absent is not known.
    """

    calls: tuple[SubmittedCall, ...]
    events: tuple[JsonObject, ...]
    results: tuple[EventResult, ...]

    @property
    def status(self) -> int:
        """200 when all can be stored, 207 some, 400 none."""
        good = sum(one.success for one in self.results)
        return 200 if good == len(self.results) else 207 if good else 400


def read(items: Sequence[Json], now_us: int) -> Batch:
    """Judge *items* one by one: one that is wrong costs itself alone."""
    calls: list[SubmittedCall] = []
    events: list[JsonObject] = []
    results = []
    for index, item in enumerate(items):
        give_way()  # to the calls of programs that are recorded
        try:
            event = Event.model_validate(item)
            at_us = _moment(event, now_us)
            _check(event.tags)
        except ValidationError as error:
            results.append(EventResult(index=index, success=False, error=_told(error)))
            continue
        except ValueError as error:
            results.append(EventResult(index=index, success=False, error=str(error)))
            continue
        id_ = derived_id(at_us, f"event {event.agent_id} {event.id}") if event.id else new_id(at_us)
        if event.event_type in CALL_TYPES:
            calls.append(_call(event, id_, at_us))
        else:
            events.append(_event(event, id_, at_us, now_us))
        results.append(EventResult(index=index, success=True, id=id_))
    return Batch(tuple(calls), tuple(events), tuple(results))


def _check(tags: Json) -> None:
    """Half a character passes for JSON and cannot be kept."""
    if tags:
        try:
            msgspec.json.encode(tags)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"tags: {error}") from None


def _moment(event: Event, now_us: int) -> int:
    said = event.timestamp
    if said is None:
        return now_us
    if isinstance(said, datetime.datetime):
        moment = said if said.tzinfo else said.replace(tzinfo=datetime.UTC)
        at_us = round(moment.timestamp() * 1e6)
    else:
        at_us = said * 1_000
    if not 0 < at_us <= now_us + DAY_US:
        raise ValueError("timestamp: before 1970, or more than a day ahead")
    return at_us


def _call(event: Event, id_: str, at_us: int) -> SubmittedCall:
    """The call that *event* tells of, priced."""
    total = event.tokens_total
    if total is None and event.tokens_in is not None and event.tokens_out is not None:
        total = event.tokens_in + event.tokens_out
    counted = event.tokens_in is not None or event.tokens_out is not None
    failed = (event.status_code or 0) >= 400 or bool(event.error_message or event.error_type)
    provider = (event.provider or "unknown").lower()
    # As `cost_columns` would, which wants the whole call: there are thousands a second.
    found = price(
        provider=provider,
        dialect="other",
        operation=event.operation,
        model=event.model or None,
        response_model=event.response_model or None,
        usage=Usage(
            event.tokens_in,
            event.tokens_out,
            total,
            event.cache_read_tokens,
            event.cache_write_tokens,
            event.reasoning_tokens,
        ),
        at_us=at_us,
        status_code=event.status_code,
    )
    if isinstance(found, Unpriced) and event.cost_usd is not None:
        nano_usd = round(event.cost_usd * 1e9)
        found = Cost(nano_usd, {"reported": nano_usd}, "client")
    trace_id = _hex_id(event.trace_id, 32)
    return SubmittedCall(
        id=id_,
        started_us=at_us,
        ended_us=at_us + round((event.latency_ms or 0) * 1_000),
        provider=provider,
        operation=event.operation,
        model=event.model or None,
        response_model=event.response_model or None,
        status_code=event.status_code,
        outcome="error" if failed else "ok",
        error_type=event.error_type,
        error_message=event.error_message,
        tokens_in=event.tokens_in,
        tokens_out=event.tokens_out,
        tokens_total=total,
        cache_read_tokens=event.cache_read_tokens,
        cache_write_tokens=event.cache_write_tokens,
        reasoning_tokens=event.reasoning_tokens,
        usage_source="reported" if counted else "none",
        latency_ms=event.latency_ms,
        ttft_ms=event.ttft_ms,
        client_request_id=event.id,
        trace_id=trace_id,
        span_id=_hex_id(event.span_id, 16, trace_id),
        parent_span_id=_hex_id(event.parent_span_id, 16, trace_id),
        session_id=event.session_id,
        agent_id=event.agent_id,
        source=event.source,
        tags=event.tags,
        **columns_of(found),
    )


def _event(event: Event, id_: str, at_us: int, now_us: int) -> JsonObject:
    trace_id = _hex_id(event.trace_id, 32)
    values: JsonObject = {
        "id": id_,
        "at_us": at_us,
        "agent_id": event.agent_id,
        "type": event.event_type,
        "name": event.name,
        "severity": event.severity,
        "message": event.message or event.error_message,
        "tags": event.tags,
        "trace_id": trace_id,
        "span_id": _hex_id(event.span_id, 16, trace_id),
        "session_id": event.session_id,
        "received_us": now_us,
    }
    return _known(values)


def _known(values: JsonObject) -> JsonObject:
    """What is not said has its default there as here: a fifth of the bytes to read and redact."""
    return {name: value for name, value in values.items() if value is not None}


def _hex_id(said: str | None, digits: int, within: str | None = None) -> str | None:
    """*said* as an id of our form: as it is, a UUID without its dashes, else made from it.

    Words such as `step 1` name another span in each trace: they count *within* theirs.
    """
    if not said:
        return None
    plain = said.lower().replace("-", "")
    if len(plain) == digits and _HEX.fullmatch(plain):
        return plain
    words = f"{within} {said}" if within else said
    return hashlib.sha256(words.encode()).hexdigest()[:digits]


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"][:1])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
