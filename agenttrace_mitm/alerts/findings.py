"""What a rule says now: its question asked, each row judged.

Comes in: a rule and a way to ask the database.  Goes out: one finding for each subject, firing or
not, with the evidence for those that fire.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..errors import SettingsError
from ..model import AlertRule
from .rule_type import At, Params, Question, RuleType, Verdict
from .rules import BY_NAME

type Ask = Callable[[Question], list[dict[str, Any]]]

LONGEST_SUBJECT = 200
MOST_SUBJECTS = 1_000
LONGEST_VALUE = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict about a subject, and for one that fires what it rests on."""

    subject: str
    verdict: Verdict
    evidence: dict[str, Any] | None = None


def type_of(rule: AlertRule) -> RuleType[Any]:
    """The rule's type.  Raises `SettingsError` for one that this version does not have."""
    found = BY_NAME.get(rule.type)
    if found is None:
        told = f"Types: {', '.join(BY_NAME)}"
        raise SettingsError(f"{rule.type!r} is not a rule type", _meant(rule.type, BY_NAME) + told)
    return found


def params_of(rule: AlertRule) -> Params:
    """The rule's settings.  Raises `SettingsError` naming the one that is wrong."""
    rule_type = type_of(rule)
    try:
        params: Params = rule_type.params.model_validate(rule.params or {})
    except ValidationError as error:
        known = list(rule_type.params.model_fields)
        told = f"Settings of {rule.type}: {', '.join(known)}"
        # First what there is not: another name may be what is missing.
        for each in error.errors():
            if each["type"] == "extra_forbidden":
                unknown = str(each["loc"][0])
                raise SettingsError(
                    f"Rules of type {rule.type} have no setting {unknown!r}",
                    _meant(unknown, known) + told,
                ) from None
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "params"
        raise SettingsError(
            f"{name} of rule {rule.name!r} is wrong: {first['msg']}",
            told,
        ) from None
    return params


def _meant(name: str, known: Iterable[str]) -> str:
    """A question about the *known* name that is most like *name*; empty where none is."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {found[0]}? " if found else ""


def find(rule: AlertRule, ask: Ask, at: At) -> list[Finding]:
    """A finding for each subject that the rule's question knows."""
    rule_type, params = type_of(rule), params_of(rule)
    question = rule_type.ask(params, at)
    judged: dict[str, tuple[Mapping[str, Any], Verdict]] = {}
    for row in ask(question)[:MOST_SUBJECTS]:
        subject, verdict = _subject(row), rule_type.judge(row, params, at)
        if subject not in judged or verdict.fires:
            judged[subject] = row, verdict
    found = []
    for subject, (judged_row, verdict) in judged.items():
        evidence = None
        if verdict.fires:
            calls = list(verdict.calls)
            if rule_type.calls:
                calls = [one["id"] for one in ask(rule_type.calls(params, at, subject))]
            evidence = _shown(question, judged_row, verdict) | {"calls": calls}
        found.append(Finding(subject, verdict, evidence))
    return found


def _subject(row: Mapping[str, Any]) -> str:
    named = row["subject"] if "subject" in row else next(iter(row.values()), "")
    return str("" if named is None else named)[:LONGEST_SUBJECT]


def _shown(question: Question, row: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    """The question and the row, as evidence."""
    shown = verdict.evidence if verdict.evidence is not None else row
    return {
        "sql": "\n".join(line.strip() for line in question.sql.strip().splitlines()),
        "parameters": question.parameters,
        "rows": [{name: _short(value) for name, value in shown.items()}],
    }


def _short(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value[:LONGEST_VALUE] if isinstance(value, str) else value
