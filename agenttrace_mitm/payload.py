"""What is kept of the bytes of an exchange at tier 3: decoded bodies, headers, media apart.

Comes in: an exchange and what was understood.  Goes out: a `Payload`, its media set aside so that
an image sent with every turn is stored once.  `redacted` takes the secrets out of all of it.
"""

from .model import Exchange, Payload, StoredMedium, Understood, row_of
from .privacy import Redactor, is_grant, keep_headers, without_grant
from .providers.media_tokens import audio_tokens, image_tokens
from .wire.media import Medium, replaced, set_aside
from .wire.multipart import files_in

BODY_LIMIT = 16 * 1024 * 1024
MEDIUM_LIMIT = 8 * 1024 * 1024
ARRIVALS_LIMIT = 20_000
_REDACTED = b"[redacted:"


def payload_of(exchange: Exchange, understood: Understood) -> Payload | None:
    """The bytes of *exchange* that may be stored.

    Not yet redacted, but for what OAuth is asked and answers: that is told by the exchange.
    """
    if understood.kind == "telemetry" or exchange.within:  # the carrier's payload has it
        return None
    form, files = _without_files(exchange, understood.request_body)
    request, sent = _without_media(form)
    response, made = _without_media(understood.response_body)
    if understood.kind == "admin" and is_grant(exchange.path, request):
        request = without_grant(request, answered=False)
        response = without_grant(response, answered=True)
    media = {medium.sha256: medium for medium in (*files, *sent, *made)}
    model = understood.reply.model or understood.ask.model
    arrivals = exchange.response.arrivals[:ARRIVALS_LIMIT]
    return row_of(
        Payload,
        request_headers=keep_headers(exchange.request_headers.pairs),
        response_headers=keep_headers(exchange.response_headers.pairs),
        request_body=request,
        response_body=response,
        arrivals=[[at_us - exchange.started_us, end] for at_us, end in arrivals],
        media=tuple(_stored(medium, exchange.family, model) for medium in media.values()),
    )


def redacted(
    payload: Payload, redactor: Redactor, headers: Redactor | None = None, *, withhold: bool
) -> Payload:
    """*payload* without secrets; without the response where it is to be withheld.

    *headers* redacts those, where that is another.  The same object where there was nothing to do.
    """
    headers = headers or redactor
    response = None if withhold else _clean(payload.response_body, redactor)
    clean: dict[str, object] = {
        "request_headers": headers.json(payload.request_headers),
        "response_headers": headers.json(payload.response_headers),
        "request_body": _clean(payload.request_body, redactor),
        "response_body": response,
        "media": tuple(_without_secret(medium, redactor) for medium in payload.media),
    }
    changed = {name: value for name, value in clean.items() if value != getattr(payload, name)}
    return payload.model_copy(update=changed) if changed else payload


def _without_files(
    exchange: Exchange, body: bytes | None
) -> tuple[bytes | None, tuple[Medium, ...]]:
    """*body* without the files of a form.  One that holds a secret stays, to be redacted there."""
    said = exchange.request_headers.get("content-type")
    if not body or "multipart/form-data" not in said:
        return body, ()
    redactor = Redactor(exchange.credential_digests)
    clean = [
        (start, end, kind)
        for start, end, kind in files_in(body, said)
        if _is_clean(body[start:end], redactor)
    ]
    return replaced(body, clean)


def _is_clean(data: bytes, redactor: Redactor) -> bool:
    """False where a secret is in *data*, or was: then its hash is not that of what was sent."""
    return redactor.data(data) is data and _REDACTED not in data


def _without_media(body: bytes | None) -> tuple[bytes | None, tuple[Medium, ...]]:
    short, media = set_aside(body) if body else (None, ())
    return (short if short and len(short) <= BODY_LIMIT else None), media


def _stored(medium: Medium, provider: str, model: str) -> StoredMedium:
    tokens = None
    if medium.width and medium.height:
        tokens = image_tokens(provider, model, medium.width, medium.height)
    elif medium.duration_ms:
        tokens = audio_tokens(provider, medium.duration_ms)
    size = len(medium.data)
    return StoredMedium(
        sha256=medium.sha256,
        mime_type=medium.mime_type,
        size=size,
        width=medium.width,
        height=medium.height,
        duration_ms=medium.duration_ms,
        token_estimate=tokens,
        data=medium.data if size <= MEDIUM_LIMIT else None,
    )


def _without_secret(medium: StoredMedium, redactor: Redactor) -> StoredMedium:
    """*medium*; without its bytes where a secret is written in them."""
    if medium.data is None or redactor.data(medium.data) is medium.data:
        return medium
    return medium.model_copy(update={"data": None})


def _clean(body: bytes | None, redactor: Redactor) -> bytes | None:
    return None if body is None else redactor.data(body)
