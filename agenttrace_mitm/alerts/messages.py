"""What is told about a firing: one JSON body for programs, and words for people.

The body has the fields that AgentTrace's webhooks always had (`agent_id`, `rule_type`, `message`,
`timestamp`) and more.  Evidence rows stay at home: a webhook leaves this machine.
"""

from typing import Any

from ..clock import derived_id
from ..model import AlertRule, Delivery, Firing, Transition
from . import words
from .moments import told
from .rule_type import At

PAGE = "/-/agenttrace/alerts"
CALL_PAGE = "/-/agenttrace/calls/"
WORDS: dict[Transition, str] = {
    "fired": "Firing",
    "escalated": "Worse",
    "repeated": "Still firing",
    "resolved": "Resolved",
    "test": "Test",
}


def deliveries(
    rule: AlertRule, firing: Firing, transition: Transition, at: At, pages_url: str
) -> list[Delivery]:
    """A message for each target of *rule*; the same call makes the same ids."""
    body = body_of(rule, firing, transition, at, pages_url)
    return [
        Delivery(
            id=(id_ := derived_id(at.now_us, f"{firing.id} {transition} {at.now_us} {target}")),
            firing_id=firing.id,
            topic=f"{firing.rule_id} {firing.subject}",
            transition=transition,
            target=target,
            body=body | {"id": id_},
            created_us=at.now_us,
            due_us=at.now_us,
        )
        for target in rule.deliver
    ]


def body_of(
    rule: AlertRule, firing: Firing, transition: Transition, at: At, pages_url: str
) -> dict[str, Any]:
    """The JSON of a webhook, without the id of the message."""
    params = rule.params if isinstance(rule.params, dict) else {}
    agent = firing.subject if params.get("per") == "agent" else params.get("agent")
    if rule.type == "agent_down":
        agent = firing.subject
    evidence = firing.evidence if isinstance(firing.evidence, dict) else {}
    message = firing.resolution if transition == "resolved" else firing.message
    return {
        "transition": transition,
        "agent_id": agent or None,
        "rule_type": rule.type,
        "message": sentence(firing, transition, message or ""),
        "timestamp": told(at.now_us, at.zone),
        "rule": {"id": rule.id, "name": rule.name},
        "firing_id": firing.id,
        "subject": firing.subject,
        "severity": firing.severity,
        "value": firing.value,
        "started_at": told(firing.started_us, at.zone),
        "resolved_at": told(firing.resolved_us, at.zone) if firing.resolved_us else None,
        "calls": evidence.get("calls", []),
        "links": {
            "alert": f"{pages_url}{PAGE}#{firing.id}",
            "calls": [f"{pages_url}{CALL_PAGE}{call}" for call in evidence.get("calls", [])[:3]],
        },
    }


def sentence(firing: Firing, transition: Transition, message: str) -> str:
    """The firing in one line, whatever its subject or message contains."""
    line = f"{WORDS[transition]}: {firing.rule_name}: {words.about(firing.subject)}: {message}"
    return " ".join(line.split())


def text_of(body: dict[str, Any]) -> str:
    """The body as a few lines for people."""
    lines = [body["message"], f"Since {body['started_at']}", *body["links"]["calls"]]
    return "\n".join([*lines, body["links"]["alert"]])
