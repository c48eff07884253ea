"""What a call asked and what it was answered, in the words all providers share.

Part types follow the OpenTelemetry GenAI message schema (`text`, `reasoning`, `tool_call`,
`tool_call_response`, `blob`/`uri`).  What we do not know stays whole in an `UnknownPart`.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from .json import Json, JsonObject
from .usage import Usage


class TextPart(msgspec.Struct, frozen=True):
    """Words; `kind` tells a refusal or a transcript from an answer."""

    text: str
    kind: Literal["text", "refusal", "transcript", "tool_plan"] = "text"


class ReasoningPart(msgspec.Struct, frozen=True):
    """What the model thought, as far as the provider shows it."""

    text: str


class ToolCallPart(msgspec.Struct, frozen=True):
    """A call the model made.  `arguments` is the wire's own text, JSON or not.

    `server` is true for tools that ran at the provider (web search, code execution ...), `typed`
    for tools that the provider defines and the client runs (shell, computer, patches);
    `item_id` is the id of the output item where that differs from the call's id.
    """

    id: str
    name: str
    arguments: str
    item_id: str = ""
    server: bool = False
    typed: bool = False


class ToolResultPart(msgspec.Struct, frozen=True):
    """What a tool answered: text where it is text, JSON otherwise."""

    tool_call_id: str
    content: Json
    name: str = ""
    is_error: bool = False
    server: bool = False


class MediaPart(msgspec.Struct, frozen=True):
    """An image, a sound, a file: described, never carried."""

    modality: Literal["image", "audio", "video", "document", "file"]
    mime_type: str = ""
    size: int | None = None
    sha256: str = ""
    uri: str = ""


class UnknownPart(msgspec.Struct, frozen=True):
    """Something we have no name for, kept as it came."""

    raw: Json


type Part = TextPart | ReasoningPart | ToolCallPart | ToolResultPart | MediaPart | UnknownPart


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation.

    `raw` is the wire's JSON for it: fingerprints are taken of it (volatile keys aside), and it
    is never stored.
    """

    role: Literal["system", "user", "assistant", "tool"]
    parts: tuple[Part, ...]
    raw: Json = None


class Links(msgspec.Struct, frozen=True):
    """Ids by which the client or the provider ties calls together."""

    previous_response_id: str = ""
    conversation_id: str = ""
    session_id: str = ""
    agent_id: str = ""
    parent_agent_id: str = ""
    end_user: str = ""
    prompt_id: str = ""


class Ask(msgspec.Struct, frozen=True):
    """What the request wanted.  `params` are sampling and control parameters, not content."""

    model: str = ""
    streamed: bool = False
    messages: tuple[Message, ...] = ()
    tool_names: tuple[str, ...] = ()
    tools: Json = None
    """The tools offered, as the wire has them."""
    params: Mapping[str, Json] = msgspec.field(default_factory=dict)
    links: Links = Links()
    metadata: JsonObject = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """An error as the provider words it, from an error body or from inside a stream."""

    type: str = ""
    code: str = ""
    message: str = ""


class Reply(msgspec.Struct, frozen=True):
    """What came back.  `messages` has one entry per choice; the first is the answer.

    `finish_reasons` are the provider's own words, one per choice; `finish_detail` adds to them
    (a stop sequence, the reason of an incomplete response).  `complete` is false when the
    terminal event of a stream never came.  `first_content_us` is the arrival of the first
    generated content, reasoning and tool deltas included; None when nothing was generated.
    """

    model: str = ""
    response_id: str = ""
    messages: tuple[Message, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    finish_reason: str = ""
    finish_detail: str = ""
    usage: Usage = Usage()
    failure: Failure | None = None
    service_tier: str = ""
    streamed: bool = False
    complete: bool = True
    first_content_us: int | None = None
    cost_nano_usd: int | None = None
    """Only where the provider itself reports a price."""
    operation: str = ""
    """What was done, where the answer tells it and the path may not."""
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The answer's words: text parts of the first message, joined."""
        parts = self.messages[0].parts if self.messages else ()
        return "".join(p.text for p in parts if isinstance(p, TextPart) and p.kind == "text")

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """Calls of the client's own functions and custom tools, of every choice, in order."""
        parts = (part for message in self.messages for part in message.parts)
        return tuple(
            p for p in parts if isinstance(p, ToolCallPart) and not p.server and not p.typed
        )


class Understood(msgspec.Struct, frozen=True):
    """An exchange, read: which dialect it speaks, what for, what was asked and answered."""

    dialect: str
    operation: str
    kind: Literal["llm", "auxiliary", "count", "admin", "telemetry"]
    ask: Ask = Ask()
    reply: Reply = Reply()
    request_body: bytes | None = None
    """Decoded request body; None when it could not be decoded."""
    response_body: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def streamed(self) -> bool:
        """True for a streamed reply, and where one was asked for and none at all came.

        A failure is told in one piece whatever was asked: it does not change the caller's manner.
        """
        return self.reply.streamed or (self.ask.streamed and not self.reply.messages)
