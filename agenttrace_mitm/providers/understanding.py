"""From an exchange to what it meant: finds the dialect, undoes the encodings, folds the stream.

Never raises for what a peer sent.  What cannot be read costs a field and leaves a note.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl

from msgspec.structs import replace

from ..model import Arrival, Ask, Exchange, Failure, JsonObject, Kind, Reply, Understood
from ..wire.encodings import Plain, content_of
from ..wire.events import Event, EventDecoder
from ..wire.eventstream import EventStreamDecoder
from ..wire.jsonarray import JsonArrayDecoder
from ..wire.jsonio import NotJson, decode, object_of, text_of
from ..wire.multipart import form_of
from ..wire.ndjson import NdjsonDecoder
from ..wire.sse import SseDecoder
from .adapter import Adapter, EndsUnsaid, Framing, Meters, ReadsContent, ReplyStream, Route
from .administration import ADMINISTRATION
from .anthropic_complete import AnthropicComplete
from .anthropic_messages import AnthropicMessages
from .audio import (
    CohereTranscriptions,
    MistralSpeech,
    MistralTranscriptions,
    OpenAISpeech,
    OpenAITranscriptions,
)
from .bedrock_converse import BedrockConverse, BedrockCount
from .bedrock_counts import with_counts
from .bedrock_invoke import BedrockInvoke, without_talk
from .cohere_embed import CohereEmbed, CohereRerank
from .cohere_tools import CohereClassify, CohereParse, CohereSummarize, CohereTokenize
from .cohere_v1_chat import CohereGenerate, CohereV1Chat
from .cohere_v2_chat import CohereV2Chat
from .decisions import GeminiDecisions, OpenAIDecisions
from .estimates import with_estimates
from .failures import failure_at_end, failure_in, failure_in_text, failure_of, with_type
from .finish import is_under_way
from .gemini_embeddings import GeminiEmbeddings
from .gemini_generate import GeminiGenerate
from .gemini_grpc import GeminiGrpc, GeminiGrpcDecoder, is_streamed, with_status
from .gemini_interactions import GeminiInteractions
from .gemini_live import GeminiLive
from .gemini_palm import GeminiPalm
from .gemini_predict import GeminiPredict
from .headers import links_of
from .mistral import MistralAgents, MistralChat, MistralEmbeddings, MistralFim
from .mistral_conversations import MistralConversations
from .mistral_ocr import MistralOcr
from .mistral_realtime import MistralRealtime
from .moderations import MistralModerations, OpenAIModerations
from .ollama import OllamaChat, OllamaEmbed, OllamaGenerate
from .openai_assistants import OpenAIAssistants
from .openai_chat import GeminiChat, OpenAIChat
from .openai_completions import OpenAICompletions
from .openai_embeddings import OpenAIEmbeddings
from .openai_images import OpenAIImages
from .openai_live import OpenAILive
from .openai_realtime import OpenAIRealtime
from .openai_responses import OpenAIResponses
from .openai_translation import OpenAITranslation
from .openai_videos import OpenAIVideos
from .other import Other
from .reported_cost import reported_nano_usd
from .side_calls import is_side_call
from .vertex import VertexAnthropic, VertexMistral
from .vertex_grpc import VertexGrpc, VertexGrpcDecoder
from .vocabulary import unknown_in

_INVOKE = BedrockInvoke()

# In the order of asking: what one provider does differently stands before the common shape.
ADAPTERS: tuple[Adapter, ...] = (
    VertexAnthropic(),
    VertexMistral(),
    AnthropicMessages(),
    MistralChat(),
    GeminiChat(),
    OpenAIChat(),
    OpenAIResponses(),
    GeminiGenerate(),
    GeminiGrpc(),
    VertexGrpc(),
    OpenAIRealtime(),
    GeminiLive(),
    OpenAITranslation(),
    OpenAILive(),
    MistralRealtime(),
    GeminiEmbeddings(),
    CohereV2Chat(),
    CohereV1Chat(),
    CohereGenerate(),
    CohereEmbed(),
    CohereRerank(),
    MistralFim(),
    MistralAgents(),
    MistralEmbeddings(),
    OpenAICompletions(),
    OpenAIEmbeddings(),
    AnthropicComplete(),
    GeminiInteractions(),
    GeminiPredict(),
    GeminiPalm(),
    GeminiDecisions(),
    MistralConversations(),
    MistralOcr(),
    MistralModerations(),
    MistralTranscriptions(),
    MistralSpeech(),
    CohereTranscriptions(),
    CohereParse(),
    CohereClassify(),
    CohereSummarize(),
    CohereTokenize(),
    OpenAIImages(),
    OpenAITranscriptions(),
    OpenAISpeech(),
    OpenAIModerations(),
    OpenAIDecisions(),
    OpenAIVideos(),
    OpenAIAssistants(),
    BedrockConverse(),
    _INVOKE,
    BedrockCount(),
    OllamaChat(),
    OllamaGenerate(),
    OllamaEmbed(),
    *ADMINISTRATION,
)
_OTHER = Other()
# To ask an object whether it has a protocol's methods takes longer than most that is asked here.
_METERS: Mapping[Adapter, Meters] = {one: one for one in ADAPTERS if isinstance(one, Meters)}

_ASKS = frozenset(
    (
        *("anthropic_version", "max_tokens", "messages", "model"),
        *("output_config", "stream", "system", "tools"),
    )
)
"""One of these is in each request for a message."""
_SWITCHED = 101
_DONE = b"[DONE]"
_AT_ONCE = 1024 * 1024
_SSE_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_DECODERS: dict[Framing, Callable[[], EventDecoder]] = {
    "sse": SseDecoder,
    "ndjson": NdjsonDecoder,
    "json-array": JsonArrayDecoder,
    "event-stream": EventStreamDecoder,
    "grpc": GeminiGrpcDecoder,
    "vertex-grpc": VertexGrpcDecoder,
}


def route_of(exchange: Exchange) -> Route:
    """Where the exchange went."""
    query = dict(parse_qsl(exchange.query)) if exchange.query else {}
    path = exchange.path.rstrip("/")
    if "%" in path:
        path = _unescaped(path)
    return Route(exchange.family, exchange.method, path, query, exchange.turn)


def _unescaped(path: str) -> str:
    """*path* with the colons and at signs that some clients escape without need."""
    # Google's methods are told by a colon.  A slash in a name (an ARN) stays escaped.
    return path.replace("%3A", ":").replace("%3a", ":").replace("%40", "@")


def adapter_of(route: Route) -> Adapter:
    """The dialect spoken at *route*."""
    return next((adapter for adapter in ADAPTERS if adapter.matches(route)), _OTHER)


def spoken_at(exchange: Exchange) -> tuple[str, str]:
    """The dialect that *exchange* speaks and what it does, by where it went alone."""
    route = route_of(exchange)
    adapter = adapter_of(route)
    return adapter.dialect, adapter.operation(route)


def understand(exchange: Exchange) -> Understood:
    """What *exchange* asked and what it was answered."""
    route = route_of(exchange)
    adapter = adapter_of(route)
    request = content_of(exchange.request, exchange.request_headers)
    response = content_of(exchange.response, exchange.response_headers)
    notes = [f"request {note}" for note in request.notes]
    notes += [f"response {note}" for note in response.notes]

    body = (
        adapter.request_of(request.data, route)
        if isinstance(adapter, GeminiGrpc)
        else _request_object(request.data, exchange, notes)
    )
    ask = adapter.read_request(body, route)
    reply = _reply(exchange, adapter, route, body, response, notes=notes)
    if isinstance(adapter, GeminiGrpc):
        reply = replace(with_status(reply, exchange), streamed=is_streamed(route))
    elif adapter is _INVOKE:
        reply = with_counts(reply, exchange.response_headers)
        ask = without_talk(ask, reply.operation or adapter.operation(route))
    if reply.failure:
        reply = replace(reply, failure=with_type(reply.failure, exchange.response_headers))
    kind = _kind(adapter.kind(route), exchange, ask)
    if kind == "llm" and _asks_nothing(adapter, body, reply):
        kind = "admin"
    if kind in ("llm", "auxiliary"):
        if meters := _METERS.get(adapter):
            reply = meters.metered(ask, reply)
        reply = with_estimates(reply, ask, body.get("tools") or body.get("functions"))
    if reply.cost_nano_usd is None:
        reply = replace(reply, cost_nano_usd=reported_nano_usd(reply.usage.raw))
    if exchange.processing:
        reply = replace(reply, service_tier=exchange.processing)
    return Understood(
        dialect=adapter.dialect,
        operation=reply.operation or adapter.operation(route),
        kind=kind,
        ask=_linked(ask, exchange),
        reply=reply,
        request_body=request.data,
        response_body=response.data,
        notes=tuple(notes),
    )


def _request_object(data: bytes | None, exchange: Exchange, notes: list[str]) -> JsonObject:
    if not data:
        return {}
    said = exchange.request_headers.get("content-type")
    if "multipart/form-data" in said:
        return form_of(data, said)
    if "multipart/" in said:
        return {}
    try:
        value = decode(data)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = decode(value.encode())  # written as JSON twice
            notes.append("request body: JSON in a JSON string")
        return object_of(value)
    except NotJson:
        if exchange.request.is_cut:
            notes.append("request body: cut")
        elif "json" in exchange.request_headers.get("content-type"):
            notes.append("request body: not JSON")
        return {}


def _linked(ask: Ask, exchange: Exchange) -> Ask:
    links = links_of(exchange.request_headers, ask.links)
    return ask if links is ask.links else replace(ask, links=links)


def _kind(kind: Kind, exchange: Exchange, ask: Ask) -> Kind:
    side = kind == "llm" and is_side_call(exchange.request_headers, ask)
    return "auxiliary" if side else kind


def _asks_nothing(adapter: Adapter, body: JsonObject, reply: Reply) -> bool:
    """True for what goes to the messages' path, asks no model and got no answer of one."""
    return (
        adapter.dialect == "anthropic.messages"
        and bool(body)
        and _ASKS.isdisjoint(body)
        and reply.usage.raw is None
        and not (reply.model or reply.messages)
    )


def _reply(
    exchange: Exchange,
    adapter: Adapter,
    route: Route,
    request: JsonObject,
    response: Plain,
    *,
    notes: list[str],
) -> Reply:
    failed = (exchange.status or 0) >= 400
    # A WebSocket's own exchange has no body; what crossed it is only counted.
    whole = exchange.status == _SWITCHED or exchange.response.complete
    if not response.data:
        return _finished(Reply(complete=whole), Failure() if failed else None)
    framing = _framing(exchange, adapter.framing(route, request), response.data, failed=failed)
    if framing and not _is_prose(exchange, adapter, request):
        reply = _streamed_reply(adapter, route, framing, response, failed=failed, whole=whole)
        return _seen_out(reply, exchange)
    try:
        value = decode(response.data)
    except NotJson:
        return _unread(exchange, adapter, response.data, notes, failed=failed)
    if failed:
        return _finished(Reply(complete=whole), failure_of(value))
    if not isinstance(value, dict | list):  # words that happen to be JSON, such as a number
        return _unread(exchange, adapter, response.data, notes, failed=False)
    body = object_of(value)
    reply = _judged(adapter.read_reply(body, route), adapter, body)
    return _finished(replace(reply, complete=whole), failure_in(value))


def _framing(exchange: Exchange, expected: Framing, data: bytes, *, failed: bool) -> Framing | None:
    """How the body is cut into events; None when it is one value, whatever the headers say."""
    head = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    if exchange.turn:
        return expected
    if head.startswith(_SSE_FIELDS):
        return "sse"
    if failed or (expected == "event-stream" and head.startswith(b"{")):
        return None
    if expected == "sse":
        said = exchange.response_headers.get("content-type")
        return "sse" if "event-stream" in said and not head.startswith((b"{", b"[")) else None
    return expected


def _is_prose(exchange: Exchange, adapter: Adapter, request: JsonObject) -> bool:
    """True for plain text that was asked for: its words may begin like a field of an event."""
    if not exchange.response_headers.get("content-type").startswith("text/plain"):
        return False
    return isinstance(adapter, ReadsContent) and request.get("stream") not in (True, "true")


def _streamed_reply(
    adapter: Adapter,
    route: Route,
    framing: Framing,
    response: Plain,
    *,
    failed: bool,
    whole: bool,
) -> Reply:
    """What a stream said; *whole* when its transport came to a proper end."""
    stream = adapter.open_stream()
    kinds: set[str] = set()
    decoder = _DECODERS[framing]()
    first_end, broken = _fold(decoder, response.data or b"", stream, kinds)
    body = stream.whole()
    reply = _judged(adapter.read_reply(body, route), adapter, body, kinds)
    # Compatible servers leave out `[DONE]`: where the transport is whole, nothing was lost.
    unsaid = whole and not stream.complete and isinstance(stream, EndsUnsaid) and stream.has_ended
    usage = reply.usage
    if usage.source == "reported" and not (stream.usage_is_final or unsaid):
        usage = replace(usage, source="partial")
    reply = replace(
        reply,
        streamed=True,
        complete=stream.complete or unsaid,
        first_content_us=_arrival(response.arrivals, first_end) if first_end else None,
        usage=usage,
        notes=(*reply.notes, *_surprises(decoder, broken=broken)),
    )
    return _finished(reply, failure_of(body) if failed else failure_in(body))


def _seen_out(reply: Reply, exchange: Exchange) -> Reply:
    """*reply* with an end, where the body had one and only what we kept of it has not."""
    body = exchange.response
    if reply.complete or not body.complete or body.size <= len(body.data):
        return reply
    reason = "" if reply.finish_reason == "aborted" else reply.finish_reason
    return replace(reply, complete=True, finish_reason=reason)


def _surprises(decoder: EventDecoder, *, broken: bool) -> list[str]:
    """What was wrong with the framing of a stream."""
    notes = decoder.notes if isinstance(decoder, EventStreamDecoder) else []
    return [*notes, "stream: an event is not JSON"] if broken else notes


def _judged(reply: Reply, adapter: Adapter, body: JsonObject, kinds: Iterable[str] = ()) -> Reply:
    """*reply* with notes of what in *body* and its events is new to us."""
    unknown = unknown_in(adapter.dialect, kinds, body, reply.messages, reply.finish_reasons)
    return replace(reply, notes=(*reply.notes, *unknown)) if unknown else reply


def _fold(
    decoder: EventDecoder, data: bytes, stream: ReplyStream, kinds: set[str]
) -> tuple[int, bool]:
    """Where the first generated content ended (0: nowhere), and whether an event was broken.

    *kinds* gathers the types of the events.
    """
    first_end, broken = 0, False
    for event in _events(decoder, data):
        value = _event_value(event, stream)
        if value is None:
            broken = True
            continue
        kinds.add(text_of(value.get("type") or value.get("event_type")) or event.name)
        if value and stream.add(event.name, value) and not first_end:
            first_end = event.end
    # What was pending may have been cut inside: that is no surprise, and no note.
    for event in _rest(decoder):
        value = _event_value(event, stream)
        if value and stream.add(event.name, value) and not first_end:
            first_end = event.end
    return first_end, broken


def _events(decoder: EventDecoder, data: bytes) -> Iterator[Event]:
    # Not all at once: the events of a large stream take several times its size.
    for start in range(0, len(data), _AT_ONCE):
        yield from decoder.feed(data[start : start + _AT_ONCE])


def _event_value(event: Event, stream: ReplyStream) -> JsonObject | None:
    """The object that an event carries, empty when it carries none; None when it is not JSON."""
    if event.data == _DONE:
        stream.done()
        return {}
    try:
        return object_of(decode(event.data))
    except NotJson:
        if event.data.strip() != _DONE:
            return None
        stream.done()
        return {}


def _rest(decoder: EventDecoder) -> list[Event]:
    events = decoder.close()
    if isinstance(decoder, SseDecoder) and decoder.stray.lstrip()[:1] == b"{":
        events.append(Event("", bytes(decoder.stray), 0))
    return events


def _arrival(arrivals: Sequence[Arrival], end: int) -> int | None:
    """When byte *end* of the body was there."""
    at = bisect_left(arrivals, end, key=lambda arrival: arrival.end)
    return arrivals[at].at_us if at < len(arrivals) else None


def _unread(
    exchange: Exchange, adapter: Adapter, data: bytes, notes: list[str], *, failed: bool
) -> Reply:
    cut, whole = exchange.response.is_cut, exchange.response.complete
    if failed:
        return _finished(Reply(complete=whole), failure_in_text(data))
    said = exchange.response_headers.get("content-type")
    if cut:
        notes.append("response body: cut")
    if isinstance(adapter, ReadsContent) and ("json" not in said or "jsonl" in said):
        return replace(adapter.read_content(data, said), complete=whole)
    if not cut and ("json" in said or not said):
        notes.append("response body: not JSON")
    return Reply(complete=whole)


def _finished(reply: Reply, failure: Failure | None) -> Reply:
    """*reply* with its failure, and with an end where the provider named none."""
    said, ended = reply.failure or failure, failure_at_end(reply.finish_reasons)
    if said and ended and not said.type:
        said = replace(said, type=ended.type)
    if said or ended:
        return replace(reply, failure=said or ended, finish_reason="error")
    cut = reply.streamed and not reply.complete
    if cut and (not reply.finish_reason or is_under_way(reply.finish_reasons)):
        return replace(reply, finish_reason="aborted")
    return reply
