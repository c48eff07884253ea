"""What a monitoring system scrapes: `/-/agenttrace/metrics` in Prometheus' text format.

Totals of calls, tokens and spend come from the database; what waits, what was dropped and who was
restarted from what the processes say of themselves.  What nobody says is left out: absent is not 0.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datasette.utils.asgi import Response

from agenttrace_mitm import health
from agenttrace_mitm.health import Health

from .page import PREFIX, NoAnswer, reading, site_of
from .site import Datasette

PATH = rf"^{PREFIX}/metrics$"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

type Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name, what it is for people, and which figure of a process it shows."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    figure: str = ""


type Found = dict[Metric, list[Sample]]

TOLD = (
    Metric("agenttrace_proxied_calls_total", "counter",
           "Calls that passed the proxy since it started.", "proxied_calls"),
    Metric("agenttrace_request_bytes_total", "counter",
           "Bytes of request bodies that passed since the proxy started.", "request_bytes"),
    Metric("agenttrace_response_bytes_total", "counter",
           "Bytes of response bodies that passed since the proxy started.", "response_bytes"),
    Metric("agenttrace_running_calls", "gauge",
           "Calls under way in the proxy.", "running_calls"),
    Metric("agenttrace_held_calls", "gauge",
           "Calls that the recorder has not confirmed.", "held_calls"),
    Metric("agenttrace_held_bytes", "gauge",
           "Memory that they take in the proxy.", "held_bytes"),
    Metric("agenttrace_dropped_calls_total", "counter",
           "Calls that were forgotten for want of room.", "dropped_calls"),
    Metric("agenttrace_dropped_bytes_total", "counter",
           "Body bytes that were not kept, for want of room.", "dropped_bytes"),
    Metric("agenttrace_capture_failures_total", "counter",
           "Failures of ours in the proxy, which traffic did not notice.", "complaints"),
    Metric("agenttrace_client_connections", "gauge",
           "Clients that are connected to the proxy.", "connections"),
    Metric("agenttrace_refused_connections_total", "counter",
           "Clients that were turned away: more than the system has open files for.",
           "refused_connections"),
    Metric("agenttrace_committed_calls_total", "counter",
           "Calls that the recorder wrote since it started.", "committed_calls"),
    Metric("agenttrace_queued_calls", "gauge",
           "Records between the recorder and the database.", "queued_calls"),
    Metric("agenttrace_queued_bytes", "gauge",
           "Content that they hold in memory.", "queued_bytes"),
    Metric("agenttrace_recorder_lag_seconds", "gauge",
           "How long the oldest record has waited for the database, in the spool too.",
           "lag_seconds"),
    Metric("agenttrace_spooled_calls", "gauge",
           "Calls in the spool, which wait for the database.", "spooled_calls"),
    Metric("agenttrace_spool_bytes", "gauge",
           "Disk taken by records that wait for the database or were refused.", "spool_bytes"),
)  # fmt: skip

UP = Metric("agenttrace_process_up", "gauge", "Whether a process is up.")
TROUBLES = Metric(
    "agenttrace_recording_troubles", "gauge",
    "How many things keep calls from being recorded now; `/api/health` names them.",
)  # fmt: skip
RESTARTS = Metric(
    "agenttrace_process_restarts_total", "counter", "How often a process was started again."
)
CALLS = Metric("agenttrace_calls_total", "counter", "Calls in the database.")
FAILED = Metric("agenttrace_failed_calls_total", "counter", "Calls in the database that failed.")
UNPRICED = Metric("agenttrace_unpriced_calls_total", "counter", "Calls without a known price.")
TOKENS = Metric("agenttrace_tokens_total", "counter", "Tokens of the calls in the database.")
SPEND = Metric("agenttrace_spend_usd_total", "counter", "Spend of the calls in the database.")
EVENTS = Metric(
    "agenttrace_recorder_events_total", "counter", "What the recorder wanted known, by kind."
)
SIZE = Metric("agenttrace_database_bytes", "gauge", "Size of the database, its log included.")
STORED = (CALLS, FAILED, UNPRICED, TOKENS, SPEND, EVENTS)

ALL = (*TOLD, TROUBLES, UP, RESTARTS, *STORED, SIZE)

_TOTALS = """
    select provider, sum(calls) as calls, sum(failed) as failed, sum(unpriced) as unpriced,
           sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
           sum(case when billing in ('metered', '') then cost_nano_usd end) as cost_nano_usd
    from rollup_model where kind in ('llm', 'auxiliary') group by provider order by provider
"""
_EVENTS = "select coalesce(kind, ''), count(*) from recorder_events group by kind order by kind"


async def view(datasette: Datasette, request: Any) -> Response:
    """All metrics."""
    site = site_of(datasette)
    said = health.told(site.run_folder)
    stored: Found = {}
    with contextlib.suppress(NoAnswer):
        stored = await reading(datasette, _stored)
    file = Path(datasette.get_database(site.database).path)
    found: Found = {**_told(said), **stored, SIZE: [({}, float(_size(file)))]}
    return Response("".join(_lines(found)), content_type=CONTENT_TYPE)


def _told(all_said: list[Health]) -> Found:
    found: Found = {}
    said = [one for one in all_said if one.is_fresh]
    for metric in TOLD:
        value = health.total(said, metric.figure)
        found[metric] = [] if value is None else [({}, value)]
    found[TROUBLES] = [({}, len(health.troubles(all_said)))] if said else []
    parts = [(name, part) for one in said for name, part in one.parts.items()]
    for metric, figure in ((UP, "up"), (RESTARTS, "restarts")):
        found[metric] = [({"process": name}, part[figure]) for name, part in parts]
    return found


def _stored(db: sqlite3.Connection) -> Found:
    found: Found = {metric: [] for metric in STORED}
    for provider, calls, failed, unpriced, sent, received, cost in db.execute(_TOTALS):
        labels = {"provider": provider}
        found[CALLS].append((labels, calls))
        found[FAILED].append((labels, failed))
        found[UNPRICED].append((labels, unpriced))
        found[SPEND].append((labels, (cost or 0) / 1e9))
        found[TOKENS].append(({**labels, "direction": "in"}, sent or 0))
        found[TOKENS].append(({**labels, "direction": "out"}, received or 0))
    found[EVENTS] = [({"kind": kind}, count) for kind, count in db.execute(_EVENTS)]
    return found


def _size(file: Path) -> int:
    sizes = (file, file.with_name(f"{file.name}-wal"))
    return sum(each.stat().st_size for each in sizes if each.exists())


def _lines(found: Found) -> Iterator[str]:
    for metric, samples in found.items():
        if not samples:
            continue
        yield f"# HELP {metric.name} {metric.help}\n"
        yield f"# TYPE {metric.name} {metric.kind}\n"
        for labels, value in samples:
            said = ",".join(f'{name}="{_escaped(word)}"' for name, word in labels.items())
            yield f"{metric.name}{f'{{{said}}}' if said else ''} {_number(value)}\n"


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
