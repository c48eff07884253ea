"""From findings to firings: what begins, goes on, gets worse and ends, and what is to be told.

Pure: the same findings twice change nothing the second time.  One firing per episode and subject;
a subject that is no longer found has recovered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..clock import derived_id
from ..model import AlertRule, Firing, Transition
from .findings import Finding
from .moments import MINUTE_US


@dataclass(frozen=True, slots=True)
class Change:
    """A firing as it is now, and what is to be told about it; None tells nothing."""

    firing: Firing
    tell: Transition | None = None


def changes(
    rule: AlertRule,
    open_firings: Mapping[str, Firing],
    findings: Iterable[Finding],
    now_us: int,
    gone: str,
) -> list[Change]:
    """What *findings* change about the rule's *open_firings* (by subject)."""
    found = {finding.subject: finding for finding in findings}
    done = []
    for subject, firing in open_firings.items():
        finding = found.get(subject)
        if finding is None:
            done.append(_resolved(rule, firing, gone, now_us))
        elif not finding.verdict.fires:
            done.append(_resolved(rule, firing, finding.verdict.message, now_us))
        elif finding.verdict.episode != firing.episode:
            ended = f"followed by another ({finding.verdict.message})"
            done += [_resolved(rule, firing, ended, now_us), _fired(rule, finding, now_us)]
        else:
            done.append(_goes_on(rule, firing, finding, now_us))
    new = (one for one in found.values() if one.verdict.fires and one.subject not in open_firings)
    done += [_fired(rule, finding, now_us) for finding in new]
    return done


def is_silenced(rule: AlertRule, now_us: int) -> bool:
    """Whether nothing is to be told about *rule* now."""
    return rule.silenced_until_us is not None and now_us < rule.silenced_until_us


def _fired(rule: AlertRule, finding: Finding, now_us: int) -> Change:
    verdict = finding.verdict
    silent = is_silenced(rule, now_us)
    firing = Firing(
        id=derived_id(now_us, f"{rule.id} {finding.subject} {verdict.episode} {now_us}"),
        rule_id=rule.id,
        rule_name=rule.name,
        rule_type=rule.type,
        subject=finding.subject,
        episode=verdict.episode,
        severity=verdict.severity,
        message=verdict.message,
        value=verdict.value,
        started_us=now_us,
        seen_us=now_us,
        told_us=None if silent else now_us,
        evidence=finding.evidence,
    )
    return Change(firing, None if silent else "fired")


def _goes_on(rule: AlertRule, firing: Firing, finding: Finding, now_us: int) -> Change:
    verdict = finding.verdict
    worse = verdict.severity == "critical" and firing.severity == "warning"
    tell = _due(rule, firing, worse, now_us)
    update: dict[str, Any] = {
        "seen_us": now_us,
        "message": verdict.message,
        "value": verdict.value,
        "evidence": finding.evidence,
    }
    if worse:  # and never back: what goes to and fro would be told each time
        update |= {"severity": "critical", "told_us": None, "acknowledged_us": None}
    if tell:
        update["told_us"] = now_us
    return Change(firing.model_copy(update=update), tell)


def _due(rule: AlertRule, firing: Firing, worse: bool, now_us: int) -> Transition | None:
    """What a firing that goes on gives reason to tell."""
    if is_silenced(rule, now_us):
        return None
    if worse and firing.told_us is not None:
        return "escalated"
    if firing.told_us is None:  # it began in silence, or got worse in it
        return None if firing.acknowledged_us and not worse else "fired"
    if firing.acknowledged_us or not rule.repeat_minutes:
        return None
    return "repeated" if now_us - firing.told_us >= rule.repeat_minutes * MINUTE_US else None


def _resolved(rule: AlertRule, firing: Firing, why: str, now_us: int) -> Change:
    """Who was told that it fires is told that it is over, unless all is to be silent."""
    told = firing.told_us is not None and rule.tell_resolved and not is_silenced(rule, now_us)
    update = {"resolved_us": now_us, "resolution": why}
    return Change(firing.model_copy(update=update), "resolved" if told else None)
