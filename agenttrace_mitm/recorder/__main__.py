"""`python -m agenttrace_mitm.recorder`: the recorder as a process of its own.

Reads one JSON line of settings on standard input (beside them `for`, the name of the program that
starts it, where that is another one than ours), says `{"ready": true}` on standard output once
it listens (or `{"error": ..., "remedy": ...}`, exit code 1), and ends when standard input does,
after everything it was told is in the database.  Whoever stops it has stopped capture before; if
the parent was killed, capture still finishes what is under way, and the recorder hears it out.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import health
from ..access import fingerprint_key
from ..clock import now_us
from ..errors import AgentTraceError, SettingsError, StoreError
from ..pipeline import Pipeline
from ..pricing import read_user_prices, use
from ..pricing.overrides import USER_FILE
from ..relink import relink
from ..scheduling import Corner, step_back
from ..settings import Settings, heard
from ..store import (
    Answers,
    Event,
    Keeping,
    KnownContent,
    Reading,
    Spool,
    Writer,
    recorders,
    set_aside,
)
from ..traces import Fingerprinter
from .outcomes import SETTLE_S, Outcomes
from .service import Service

log = logging.getLogger(__name__)

HEAR_OUT_S = 60.0  # capture lets exchanges finish for half a minute
NICENESS = 19
"""Behind capture and behind the program, which somebody waits for: where they leave a processor
nothing, the recorder still gets a hundredth of it."""


def main() -> None:
    """Run until standard input ends or SIGTERM."""
    told = json.loads(sys.stdin.readline())
    program = str(told.pop("for", recorders.OURS))
    settings = heard(told)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    step_back(NICENESS, batch=True)
    try:
        lock = recorders.share(settings.database)
        asyncio.run(_run(settings, lock, program))
        lock.close()
    except AgentTraceError as error:
        print(json.dumps({"error": error.problem, "remedy": error.remedy}), flush=True)
        sys.exit(1)


def _use_prices(path: Path) -> None:
    """Price by the user's file; a slip in it must not keep calls from being recorded."""
    try:
        use(read_user_prices(path))
    except SettingsError as error:
        log.error("%s. %s", error.problem, error.remedy)


async def _listening(service: Service, settings: Settings) -> asyncio.Server:
    try:
        return await service.listen(settings.recorder_socket)
    except StoreError as error:
        there = recorders.recorder_of(settings.database)
        if there is None or there.is_ours:
            raise
        raise StoreError(f"{there} records here", there.remedy) from error


async def _run(settings: Settings, lock: recorders.Share, program: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    _use_prices(settings.home / USER_FILE)
    spool = Spool(settings.spool_folder)
    # Where calls wait in the spool, something was wrong with the database: look closer.
    damaged = set_aside(settings.database, settings.home, thorough=bool(spool.waiting()))
    reading = Reading(settings.database)
    known = KnownContent(reading)
    key = fingerprint_key(settings.fingerprint_file)
    fingerprinter = Fingerprinter(key)
    placing_prints = Fingerprinter(key)  # of the writer's thread
    pipeline = Pipeline(settings.privacy_tier, fingerprinter, known, Answers(reading))

    def saved(ids: Sequence[str]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody listens any more
            loop.call_soon_threadsafe(service.saved, ids)

    def forgotten() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(known.let_go, now_us())

    def replaced() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(look_again)

    def look_again() -> None:
        known.forget()
        reading.renew()

    writer = Writer(
        settings.database,
        spool,
        saved,
        keeping=Keeping(
            settings.retention_days,
            settings.retention_agents,
            settings.metadata_days,
            settings.max_bytes,
            settings.metadata_agents,
        ),
        forgotten=forgotten,
        replaced=replaced,
        relink=lambda db, ids: relink(db, placing_prints, ids),
    )
    if damaged:
        writer.put(_set_aside(damaged))
    # At tier 1 commands are not kept: there is nothing to look for.
    looks = settings.git and settings.privacy_tier > 1
    outcomes = Outcomes(settings.database, writer) if looks else None
    service = Service(pipeline, known, writer, outcomes, Corner())
    server = await _listening(service, settings)
    lock.tell(recorders.Recorder(os.getpid(), str(settings.home), program, os.getppid()))
    writer.start()
    if outcomes:
        outcomes.start()
    # What is made per call has no cycles, and what is remembered of earlier calls stays: to look
    # for garbage as often as Python does by itself costs a tenth of the calls a second.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    print(json.dumps({"ready": True}), flush=True)
    saying = asyncio.create_task(
        health.keep_saying(
            settings.run_folder, "recorder", service.figures, lambda: service.trouble
        ),
        name="health",
    )
    await _until_stdin_ends(stop)

    saying.cancel()
    server.close()
    # At once: the recorder of the next start wants the place.
    settings.recorder_socket.unlink(missing_ok=True)
    await service.hear_out(stop, HEAR_OUT_S)
    await service.finish()
    if outcomes:
        # A program may end right after its commit: git is asked when the result is stored.
        await asyncio.to_thread(writer.settle, SETTLE_S)
        await asyncio.to_thread(outcomes.stop)
    await asyncio.to_thread(writer.stop)
    reading.close()


def _set_aside(damaged: Path) -> Event:
    """What there is to say about a database that could not be read."""
    detail = f"the database could not be read; it is {damaged} now, see what is left with .recover"
    logging.getLogger(__name__).warning("%s", detail)
    return Event("database_set_aside", detail, now_us())


async def _until_stdin_ends(stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    end = asyncio.ensure_future(reader.read())
    await asyncio.wait(
        {end, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
    )


if __name__ == "__main__":
    main()
