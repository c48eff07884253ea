"""What a rule type is: settings, one question to the database, and a judgement of each row.

A question is bounded by `At.now_us`, never by the wall clock, so that a rule can be tried out
against the past.  Its rows have a column `subject`; what the judgement says is about that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ..hosts import HOSTS
from ..model import Severity
from ..store.counting import MODEL_CALLS
from .moments import Zone

type Row = Mapping[str, Any]
type Per = Literal["all", "agent", "model", "provider", "session"]

CALL_FILTERS = {
    "agent": "agent_id",
    "model": "coalesce(response_model, model)",
    "provider": "provider",
    "project": "project",
}
SUBJECTS = {
    "all": "'all'",
    "agent": "coalesce(agent_id, '')",
    "model": "coalesce(response_model, model, '')",
    "provider": "provider",
    "session": "coalesce(session_id, '')",
}


MOST_CALLS = 10  # that a firing names
LOOKED_AT = 10_000


class Params(BaseModel):
    """Settings that every rule type has: which calls it is about."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    agent: str = Field("", description="only calls of this agent")
    model: str = Field("", description="only calls that this model answered")
    provider: str = Field("", description="only calls to this provider")
    project: str = Field("", description="only calls of this project")


class At(NamedTuple):
    """When a rule is judged, on whose clock, and which hosts are whose then."""

    now_us: int
    zone: Zone = None
    hosts: Mapping[str, str] = HOSTS


class Question(NamedTuple):
    """A read-only query with its named parameters."""

    sql: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a row means.  One that does not fire says why in *message*, for a recovery."""

    fires: bool
    message: str
    value: float | None = None
    severity: Severity = "critical"
    episode: str = ""
    evidence: Mapping[str, Any] | None = None
    calls: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class RuleType[P: Params]:
    """A kind of rule.  *calls* asks for the ids of the calls behind a firing, newest first.

    Or dearest first, where it is about spend.

    *gone* is the recovery message of a subject that the question no longer finds.
    """

    name: str
    summary: str
    params: type[P]
    ask: Callable[[P, At], Question]
    judge: Callable[[Row, P, At], Verdict]
    calls: Callable[[P, At, str], Question] | None = None
    gone: str = "nothing of it was seen this time"
    example: Mapping[str, Any] = field(default_factory=dict)


def filters(params: Params) -> tuple[str, dict[str, str]]:
    """The filters that are set, as conditions on `llm_calls`, and their parameters."""
    said = {name: value for name in CALL_FILTERS if (value := getattr(params, name))}
    clauses = "".join(f" and {CALL_FILTERS[name]} = :{name}" for name in said)
    return clauses, said


def calls_behind(
    condition: str,
    params: Params,
    per: str,
    subject: str,
    *,
    since_us: int,
    until_us: int,
    dearest: bool = False,
) -> Question:
    """The newest calls since *since_us* that *condition* holds for, of one subject.

    Or the dearest, of the newest 10,000: no index has what calls cost.
    """
    clauses, given = filters(params)
    sql = f"""
        select id, cost_nano_usd from llm_calls
        where started_us >= :since_us and started_us < :until_us and {MODEL_CALLS}
          and {condition}{clauses} and {SUBJECTS[per]} = :subject
        order by started_us desc limit {LOOKED_AT if dearest else MOST_CALLS}
    """
    if dearest:
        sql = f"select id from ({sql}) order by cost_nano_usd desc limit {MOST_CALLS}"
    return Question(sql, given | {"since_us": since_us, "until_us": until_us, "subject": subject})
