"""What a stream says in pieces, put together without knowing its dialect.

Comes in: a body of server-sent events or of lines of JSON.  Goes out: for each name that strings
stand under, all of them in a row.  A secret that was cut into deltas is whole again there.
"""

from ..model import Json
from ..wire.jsonio import NotJson, decode


def scattered(body: bytes) -> list[str]:
    """The strings of the JSON in the lines of *body*, those of one name joined in their order."""
    pieces: dict[tuple[str, ...], list[str]] = {}
    for line in body.splitlines():
        data = line.removeprefix(b"data:").strip()
        if data.startswith((b"{", b"[")):
            try:
                _gather(decode(data), (), pieces)
            except (NotJson, RecursionError):
                continue
    return ["".join(found) for found in pieces.values() if len(found) > 1]


def _gather(value: Json, name: tuple[str, ...], pieces: dict[tuple[str, ...], list[str]]) -> None:
    match value:
        case str():
            pieces.setdefault(name, []).append(value)
        case list():
            for item in value:
                _gather(item, name, pieces)
        case dict():
            for key, item in value.items():
                _gather(item, (*name, key), pieces)
        case _:
            pass
