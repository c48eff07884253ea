"""Pictures, sounds and files of a call's messages: what pages say of them, and their bytes.

Messages describe their media and name them by hash; the bytes are stored once, by calls of tier 3,
and only such a call shows them.  What a sender calls a medium decides nothing: a type that is not
in the lists here is bytes to download.
"""

import base64
import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from agenttrace_mitm.model.json import Json, JsonObject

from .. import figures
from ..asking import Value, rows_of

PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}
"""What a page shows, with the ends of its files' names.  SVG is a document that may run scripts."""
FILES = {
    "application/pdf": "pdf", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/flac": "flac",
    "audio/wav": "wav", "audio/mp4": "m4a", "video/mp4": "mp4",
}  # fmt: skip
BYTES = "application/octet-stream"
MODALITIES = ("image", "audio", "video", "document", "file")
MOST_PIXELS = 40_000_000  # of a picture: a few kilobytes can ask a browser for gigabytes
TYPE_CHARS = 100
INLINE_BYTES = 200_000  # of a picture inside a shared file
ALL_INLINE_BYTES = 20_000_000


class Medium(Value):
    """A medium as its message and its row describe it; `kept` is None where nobody looked."""

    modality: str
    mime_type: str = ""
    size: int | None = None
    sha256: str = ""
    width: int | None = None
    height: int | None = None
    kept: bool | None = None

    @property
    def is_picture(self) -> bool:
        """Whether a page may show it."""
        pixels = (self.width or 0) * (self.height or 0)
        return bool(self.kept) and self.mime_type in PICTURES and pixels <= MOST_PIXELS

    @property
    def words(self) -> str:
        """image, 640 x 480, 120.0 kB."""
        side = f"{self.width} x {self.height}" if self.width and self.height else ""
        size = figures.size(self.size) if self.size is not None else ""
        said = (self.modality, side or self.mime_type, size)
        return ", ".join(filter(None, said))


def described(part: JsonObject, *, named: bool = True) -> tuple[Medium, ...]:
    """The media of a message's *part*; what is not *named* shows nothing but that it was there."""
    return tuple(
        Medium(
            modality=modality,
            mime_type=str(one.get("mime_type") or "")[:TYPE_CHARS],
            size=size if isinstance(size := one.get("size"), int) else None,
            sha256=str(one.get("sha256") or "") if named else "",
            kept=None if named else False,
        )
        for modality, one in _media_in(part)
    )


def _media_in(part: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """What kind of medium, and what is said of it."""
    if part.get("type") == "blob":
        modality = part.get("modality")
        yield (str(modality) if modality in MODALITIES else "file"), part
    response = part.get("response")
    if part.get("type") == "tool_call_response" and isinstance(response, list):
        for one in response:
            if isinstance(one, dict) and one.get("type") in MODALITIES and one.get("sha256"):
                yield str(one["type"]), one


def stored(db: sqlite3.Connection, media: Iterable[Medium]) -> dict[str, Medium]:
    """*media* by hash as their rows tell of them."""
    named = {one.sha256: one.model_copy(update={"kept": False}) for one in media if one.sha256}
    rows = db.execute(
        "select sha256, mime_type, size, width, height, data is not null as kept from media"
        " where sha256 in (select value from json_each(?))",
        (json.dumps(list(named)),),
    )
    for row in map(_row, rows_of(rows)):
        named[row["sha256"]] = named[row["sha256"]].model_copy(update=row)
    return named


def content(db: sqlite3.Connection, call_id: str, sha256: str) -> tuple[str, bytes] | None:
    """Type and bytes of a medium of a message that this call brought; None where not kept."""
    messages = db.execute(
        """
        select m.content from llm_calls c
        join call_messages u on u.call_id = c.id join messages m on m.id = u.message_id
        where c.id = ? and c.privacy_tier = 3 and instr(m.content, ?)
        """,
        (call_id, sha256),
    )
    if not any(sha256 in _names(said) for (said,) in messages):
        return None
    sql = "select mime_type, data from media where sha256 = ? and data is not null"
    row = db.execute(sql, (sha256,)).fetchone()
    return (str(row[0]), bytes(row[1])) if row else None


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"mime_type": str(row["mime_type"] or "")[:TYPE_CHARS], "kept": bool(row["kept"])}


def _names(content: Json) -> set[str]:
    try:
        parts = json.loads(str(content))
    except (ValueError, RecursionError):
        return set()
    parts = parts if isinstance(parts, list) else []
    return {one.sha256 for part in parts if isinstance(part, dict) for one in described(part)}


def inline(db: sqlite3.Connection, media: Iterable[Medium]) -> dict[str, str]:
    """Small pictures of *media* as `data:` addresses, by hash: for a file that loads nothing."""
    found: dict[str, str] = {}
    left = ALL_INLINE_BYTES
    for one in media:
        size = one.size or 0
        if not one.is_picture or one.sha256 in found or size > min(INLINE_BYTES, left):
            continue
        [data] = db.execute("select data from media where sha256 = ?", (one.sha256,)).fetchone()
        if data is not None and len(data) <= INLINE_BYTES:
            found[one.sha256] = f"data:{one.mime_type};base64,{base64.b64encode(data).decode()}"
            left -= len(data)
    return found


def headers(mime_type: str, sha256: str) -> tuple[str, dict[str, str]]:
    """The type a browser is told, and headers that let it do no more than show the bytes."""
    end = PICTURES.get(mime_type) or FILES.get(mime_type)
    how = "inline" if mime_type in PICTURES else "attachment"
    return mime_type if end else BYTES, {
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "content-disposition": f'{how}; filename="{sha256[:12]}.{end or "bin"}"',
        "cache-control": "private, max-age=3600",
    }
