"""`/api/health`."""

from agenttrace_mitm import __version__

from .endpoint import Answer, Call, Endpoint


class Health(Answer):
    """How it stands."""

    status: str
    version: str
    calls: int
    last_call_us: int | None
    recorder: bool | None


async def _health(call: Call) -> Health:
    sql = "select (select max(rowid) from llm_calls), (select max(started_us) from llm_calls)"
    calls, last_us = await call.reading(lambda db: db.execute(sql).fetchone())
    settings = call.site.settings
    recorder = settings.recorder_socket.exists() if settings else None
    status = "degraded" if recorder is False else "ok"
    return Health(
        status=status, version=__version__, calls=calls or 0, last_call_us=last_us,
        recorder=recorder,
    )  # fmt: skip


ENDPOINTS = (Endpoint("GET", "/api/health", "read", "Is it recording?", Health, _health),)
