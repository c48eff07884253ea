"""The text of a message, told from its parts by SQLite and not stored a second time.

`messages.text` is a generated column: for up to `PARTS` parts whose words are plain strings it
says what `traces.plain_text` says.  Every other text is stored, in `messages.own_text`, and so is
one of megabytes: SQLite would hold it a dozen times while it tells it.  The search index reads
the column like any other.
"""

from sqlite_utils import Database

from ..model import Json

PARTS = 4
LONG = 2_000_000
"""Characters of a text from which on it is stored in any case."""


def _of_part(number: int) -> str:
    def said(name: str) -> str:
        return f"json_extract(content, '$[{number}].{name}')"

    arguments = f"{said('name')} || ' ' || {said('arguments')}"
    return f"coalesce({said('content')}, {said('response')}, {arguments})"


_REST = " || ".join(f"coalesce(char(10) || {_of_part(n)}, '')" for n in range(1, PARTS))
TEXT = f"coalesce(own_text, {_of_part(0)} || {_REST})"


def create(db: Database) -> None:
    """Make `text` a column that is told; what was stored in it stays stored."""
    for name in ("messages_ai", "messages_ad", "messages_au"):  # `search` has others
        db.execute(f"drop trigger {name}")
    db.execute("alter table messages rename column text to own_text")
    db.execute(f"alter table messages add column text text generated always as ({TEXT}) virtual")


def own_text(content: Json, text: str | None) -> str | None:
    """*text*, or None where the generated column says the same of *content* and may."""
    if text is None or len(text) >= LONG:
        return text
    return None if text == _told(content) else text


def _told(content: Json) -> str | None:
    """What `TEXT` makes of *content*; None where that is not certain."""
    if not isinstance(content, list) or not 0 < len(content) <= PARTS:
        return None
    words = [_words(part) if isinstance(part, dict) else None for part in content]
    told = [word for word in words if word is not None]
    # SQLite's JSON functions end a text at its first NUL.
    return "\n".join(told) if len(told) == len(words) and "\0" not in "".join(told) else None


def _words(part: dict[str, Json]) -> str | None:
    for name in ("content", "response"):
        if part.get(name) is not None:
            return part[name] if isinstance(part[name], str) else None
    called, arguments = part.get("name"), part.get("arguments")
    if isinstance(called, str) and isinstance(arguments, str):
        return f"{called} {arguments}"
    return None
