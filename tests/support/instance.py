"""A whole AgentTrace under a test: recorder, capture and web as real processes."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from agenttrace_mitm.launch.supervisor import Supervisor, supervised
from agenttrace_mitm.settings import Settings


class Instance:
    """An async context in which AgentTrace runs with *settings* (ports 0 mean free ones)."""

    def __init__(self, settings: Settings, *wanted: str) -> None:
        self.settings = settings
        self._wanted = wanted or ("recorder", "capture")
        self._context = supervised(settings, os.environ, stays=True)
        self.supervisor: Supervisor

    async def __aenter__(self) -> "Instance":
        self.supervisor = await self._context.__aenter__()
        try:
            await self.supervisor.ready(*self._wanted)
        except BaseException as error:
            await self._context.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._context.__aexit__(kind, error, trace)

    @property
    def proxy_port(self) -> int:
        """Where the proxy listens."""
        return self.supervisor.daemon.proxy_port

    @property
    def web_url(self) -> str:
        """Where the pages are."""
        return self.supervisor.daemon.web_url or ""

    @property
    def root_certificate(self) -> Path:
        """The root that programs have to trust."""
        return self.settings.ca_folder / "root.pem"

    async def rows(
        self, sql: str, enough: Callable[[list[dict[str, Any]]], bool] = bool
    ) -> list[dict[str, Any]]:
        """What *sql* selects, once that is *enough*: calls become rows shortly after they end."""
        found: list[dict[str, Any]] = []
        for _ in range(300):
            if self.settings.database.exists():
                found = select(self.settings.database, sql)
                if enough(found):
                    break
            await asyncio.sleep(0.1)
        return found


def select(database: Path, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """Rows as dicts."""
    db = sqlite3.connect(database)
    db.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in db.execute(sql, parameters)]
    finally:
        db.close()
