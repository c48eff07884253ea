"""OpenAI's realtime translation: sound in, the same in another language out, for a whole session.

The session is one turn, which ends when it closes.  What was heard is told only where the client
asked for it; how long it was is told nowhere, so such a session has no usage.
"""

from ..model import Ask, JsonObject, Message, SocketMessage, TextPart
from ..wire.jsonio import object_of, text_of
from .adapter import Route
from .openai_live import OpenAILive
from .turns import Draft, Turn, TurnReader

_PATH = "/realtime/translations"
_KEPT = ("session.output_transcript.delta", "session.closed", "error")
_HEARD = "session.input_transcript.delta"


def translation_turns(route: Route) -> TurnReader | None:
    """A reader for sockets at `/realtime/translations`."""
    return TranslationTurns() if route.path.endswith(_PATH) else None


class TranslationTurns:
    """The one session of a translation socket."""

    def __init__(self) -> None:
        self._session: Draft | None = None
        self._config: JsonObject = {}
        self._heard: list[str] = []

    def sent(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """What the client sends is sound, and settings that the server repeats."""
        return []

    def received(self, message: SocketMessage, event: JsonObject) -> list[Turn]:
        """Take in settings and transcripts, until the session closes."""
        kind = text_of(event.get("type"))
        if kind in ("session.created", "session.updated"):
            self._config |= object_of(event.get("session"))
        elif kind == _HEARD:
            self._heard.append(text_of(event.get("delta")))
        if self._session is None:
            self._session = Draft(message.number, message.at_us, {})
        if kind in _KEPT:
            self._session.add(message, event)
        return self._turn(complete=True) if kind == "session.closed" else []

    def open_number(self) -> int | None:
        """None: the session is remembered by its first messages."""
        return None

    def close(self) -> list[Turn]:
        """The session, if it was not closed."""
        return self._turn(complete=False)

    def _turn(self, *, complete: bool) -> list[Turn]:
        session, self._session = self._session, None
        if session is None or not (session.events or self._heard):
            return []
        names = ("model", "audio")
        asked: JsonObject = {name: self._config[name] for name in names if name in self._config}
        asked["heard"] = "".join(self._heard)
        return [session.turn(complete=complete, request=asked, kind="session")]


class OpenAITranslation(OpenAILive):
    """`openai.translation`: a whole session, whose events are those of Live."""

    dialect = "openai.translation"

    def matches(self, route: Route) -> bool:
        """True for the session of a translation socket."""
        return route.turn == "session" and route.path.endswith(_PATH)

    def operation(self, route: Route) -> str:
        """Speech, made of speech."""
        return "audio"

    def read_request(self, body: JsonObject, route: Route) -> Ask:
        """The model, the language, and what was heard, where that is told."""
        heard = text_of(body.get("heard"))
        said = Message("user", (TextPart(heard, "transcript"),), {"role": "user", "content": heard})
        language = object_of(object_of(body.get("audio")).get("output")).get("language")
        return Ask(
            model=text_of(body.get("model")) or route.query.get("model", ""),
            streamed=True,
            messages=(said,) if heard else (),
            params={"language": language} if isinstance(language, str) else {},
        )
