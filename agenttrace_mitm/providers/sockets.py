"""Which reader cuts which WebSocket into turns."""

from ..model import Exchange
from .gemini_live import live_turns
from .mistral_realtime import transcription_turns
from .openai_live import session_turns
from .openai_translation import translation_turns
from .realtime_socket import realtime_turns
from .responses_socket import responses_turns
from .turns import ReaderOf, Turns
from .understanding import route_of

READERS: tuple[ReaderOf, ...] = (
    transcription_turns,
    realtime_turns,
    translation_turns,
    session_turns,
    responses_turns,
    live_turns,
)


def turns_of(exchange: Exchange) -> Turns | None:
    """A reader for the socket that *exchange* opens; None where nobody knows its protocol."""
    route = route_of(exchange)
    found = (reader for make in READERS if (reader := make(route)))
    reader = next(found, None)
    return Turns(reader) if reader else None
