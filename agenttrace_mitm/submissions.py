"""What programs tell of themselves, calls and events, as it may be stored.

Comes in: the JSON lists of a `Submitted` frame, judged by `ingest`, which the web process runs.
Goes out: records and events under the privacy tier, without secrets.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import msgspec
from pydantic import TypeAdapter

from .model import (
    LlmCall,
    Placement,
    Record,
    StoredEvent,
    StoredSession,
    SubmittedCall,
    row_of,
)
from .privacy import Redactor, keep, keep_event
from .scheduling import give_way
from .stored import without_secrets
from .traces.submitted import as_told

AT_ONCE = 25
"""Calls of which the whole rows are made before others may have the processor."""

_CALLS = msgspec.json.Decoder(list[SubmittedCall])
_EVENTS = TypeAdapter(list[StoredEvent])


def calls_told(said: bytes, tier: Literal[1, 2, 3]) -> list[Record]:
    """The calls of *said*, a JSON list.  Raises `ValueError` when it is not one.

    Of those with one id the first counts, as it does where the others come later.
    """
    calls: list[LlmCall] = []
    once = {told.id: told for told in reversed(_CALLS.decode(said))}
    for some in itertools.batched(reversed(once.values()), AT_ONCE):
        calls += [told.stored(tier) for told in some]
        give_way()
    # Nearly all have no secret, and one look at what came says so.
    is_clean = _is_clean(said)
    give_way()
    return [
        _record(call, placement, tier, is_clean=is_clean)
        for call, placement in zip(calls, _own_sessions(calls), strict=True)
    ]


def events_told(said: bytes, tier: Literal[1, 2, 3]) -> list[StoredEvent]:
    """The events of *said*, as `calls_told`."""
    kept = [keep_event(event, tier) for event in _EVENTS.validate_json(said)]
    if _is_clean(said):
        return kept
    return [StoredEvent(**Redactor().json(event.model_dump())) for event in kept]


def _record(
    call: LlmCall, placement: Placement, tier: Literal[1, 2, 3], *, is_clean: bool
) -> Record:
    if call.trace_id:
        call, placement = as_told(call, placement.session)
    record = row_of(Record, call=call, placement=placement)
    return keep(record if is_clean else without_secrets(record, Redactor()), tier)


def _is_clean(said: bytes) -> bool:
    return Redactor().data(said) is said


def _own_sessions(calls: Sequence[LlmCall]) -> list[Placement]:
    """The session that the program itself says each of *calls* is of, as wide as all of them.

    Calls of one session share a value, which has to be written once.
    """
    ends: dict[tuple[str | None, str | None], tuple[int, int]] = {}
    for call in calls:
        started, ended = call.started_us, call.ended_us or call.started_us
        first, last = ends.get((call.session_id, call.agent_id), (started, ended))
        ends[call.session_id, call.agent_id] = min(first, started), max(last, ended)
    found = {
        (session, agent): _own_session(session, agent, *times) if session else Placement()
        for (session, agent), times in ends.items()
    }
    return [found[call.session_id, call.agent_id] for call in calls]


def _own_session(
    session_id: str, agent_id: str | None, started_us: int, ended_us: int
) -> Placement:
    session = StoredSession(
        session_id=session_id,
        agent_id=agent_id,
        how="client",
        started_us=started_us,
        ended_us=ended_us,
    )
    return Placement(session=session)
