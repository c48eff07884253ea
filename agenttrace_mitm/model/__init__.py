"""Values: what crossed the wire, what it meant, what it cost.

No I/O, and no imports from the rest of the package.  Wire things are frozen structs, which are
made and changed in a tenth of a dataclass's time; things we store or serve are frozen pydantic
models, strict about their fields because we write them.
"""

from .alerts import AlertRow, AlertRule, Delivery, Firing, Severity, Transition
from .call import (
    Kind,
    LlmCall,
    Outcome,
    Payload,
    Record,
    StoredMedium,
    StoredMessage,
    StoredPrompt,
    StoredToolCall,
    StoredToolResult,
)
from .commits import StoredCommit, StoredRef
from .conversation import (
    Ask,
    Failure,
    Links,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Reply,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Understood,
    UnknownPart,
)
from .events import StoredEvent
from .exchange import (
    NOT_KEPT,
    Arrival,
    Body,
    Caller,
    Ending,
    Exchange,
    Headers,
    SocketMessage,
    Tail,
    TurnKind,
)
from .json import Json, JsonObject
from .placement import (
    Placement,
    StoredSession,
    StoredSpan,
    StoredThread,
    StoredTrace,
)
from .row import row_of
from .submitted import SubmittedCall
from .usage import Cost, Unpriced, Usage, UsageSource

__all__ = [
    "NOT_KEPT",
    "AlertRow",
    "AlertRule",
    "Arrival",
    "Ask",
    "Body",
    "Caller",
    "Cost",
    "Delivery",
    "Ending",
    "Exchange",
    "Failure",
    "Firing",
    "Headers",
    "Json",
    "JsonObject",
    "Kind",
    "Links",
    "LlmCall",
    "MediaPart",
    "Message",
    "Outcome",
    "Part",
    "Payload",
    "Placement",
    "ReasoningPart",
    "Record",
    "Reply",
    "Severity",
    "SocketMessage",
    "StoredCommit",
    "StoredEvent",
    "StoredMedium",
    "StoredMessage",
    "StoredPrompt",
    "StoredRef",
    "StoredSession",
    "StoredSpan",
    "StoredThread",
    "StoredToolCall",
    "StoredToolResult",
    "StoredTrace",
    "SubmittedCall",
    "Tail",
    "TextPart",
    "ToolCallPart",
    "ToolResultPart",
    "Transition",
    "TurnKind",
    "Understood",
    "UnknownPart",
    "Unpriced",
    "Usage",
    "UsageSource",
    "row_of",
]
