"""`docs/rules.md`, made from the rule types themselves."""

import json
from typing import Any

from .rule_type import Params, RuleType
from .rules import RULE_TYPES

SHARED = frozenset(Params.model_fields)


def rule_types() -> str:
    """A section for each type: what it does, its settings, and an example for a rules file."""
    return "\n".join(_section(rule) for rule in RULE_TYPES)


def shared() -> str:
    """The settings that every type has."""
    return _table(Params, SHARED)


def _section(rule: RuleType[Any]) -> str:
    own = frozenset(rule.params.model_fields) - SHARED
    lines = [f"## {rule.name}\n", f"{rule.summary}\n", _table(rule.params, own), "\n```yaml"]
    lines += [f"- name: my-{rule.name.replace('_', '-')}", f"  type: {rule.name}", "  params:"]
    lines += [f"    {name}: {json.dumps(value)}" for name, value in rule.example.items()]
    return "\n".join([*lines, "```\n"])


def _table(params: type[Params], names: frozenset[str]) -> str:
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in params.model_fields.items():
        if name in names:
            default = "required" if field.is_required() else f"`{json.dumps(field.default)}`"
            lines.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(lines)
