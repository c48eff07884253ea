"""`/api/health`."""

import asyncio
from typing import Literal

from agenttrace_mitm import __version__, health

from .endpoint import Answer, Call, Endpoint


class Health(Answer):
    """How it stands; *reasons* say why it is degraded, the others None where nobody told them."""

    status: Literal["ok", "degraded"]
    reasons: list[str]
    version: str
    calls: int
    last_call_us: int | None
    recorder: bool | None
    waiting_calls: int | None
    lag_seconds: float | None


async def _health(call: Call) -> Health:
    sql = "select (select max(rowid) from llm_calls), (select max(started_us) from llm_calls)"
    calls, last_us = await call.reading(lambda db: db.execute(sql).fetchone())
    said = await asyncio.to_thread(health.told, call.site.run_folder)
    fresh = [one for one in said if one.is_fresh]
    recorder: bool | None = any(one.name == "recorder" for one in fresh)
    reasons = health.troubles(said)
    if not recorder and not reasons:
        if call.site.settings:
            reasons = ["nothing records: no recorder runs"]
        else:
            recorder = None  # nobody expects one behind a plain Datasette
    return Health(
        status="degraded" if reasons else "ok", reasons=reasons, version=__version__,
        calls=calls or 0, last_call_us=last_us, recorder=recorder,
        waiting_calls=health.waiting(fresh), lag_seconds=health.total(fresh, "lag_seconds"),
    )  # fmt: skip


ENDPOINTS = (Endpoint("GET", "/api/health", "read", "Is it recording?", Health, _health),)
