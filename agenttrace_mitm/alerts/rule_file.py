"""Rules from a YAML file that people review: what it would change, and the change.

    - name: daily budget
      type: budget
      params: {limit_usd: 20, time_zone: Europe/Berlin}
      deliver: ["slack:${SLACK_WEBHOOK}"]

`${NAME}` in a target is taken from the environment, so that no secret has to be in the file.
Rules that the file does not name stay, unless they are to be pruned.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from ..errors import SettingsError
from ..model import AlertRule
from .making import changed, made
from .targets import shown

KNOWN = frozenset(
    {"name", "type", "params", "deliver", "enabled", "repeat_minutes", "tell_resolved"}
)
_DEFAULTS: Mapping[str, Any] = {
    "params": {}, "deliver": (), "enabled": True, "repeat_minutes": None, "tell_resolved": True,
}  # fmt: skip
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one rule, with a line for each value that changes."""

    verb: Literal["add", "change", "remove", "keep"]
    rule: AlertRule
    differences: tuple[str, ...] = ()


def read(text: str, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rules that the file holds.  Raises `SettingsError` naming what is wrong with it."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"The rules are not YAML ({error})".replace("\n", " ")) from None
    rules = content.get("rules") if isinstance(content, dict) else content
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise SettingsError("The file holds no list of rules", "See docs/alerts.md for its form")
    for rule in rules:
        if unknown := sorted(map(str, set(rule) - KNOWN)):
            raise SettingsError(
                f"{unknown[0]!r} of rule {rule.get('name')!r} is not known",
                f"A rule has: {', '.join(sorted(KNOWN))}",
            )
    names = [rule.get("name") for rule in rules]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingsError(f"Two rules are called {twice[0]!r}", "Rename one of them")
    return [_filled(dict(_DEFAULTS) | rule, environ) for rule in rules]


def plan(
    stored: Sequence[AlertRule], wanted: Sequence[Mapping[str, Any]], now_us: int, *, prune: bool
) -> list[Step]:
    """What has to happen so that the rules are as *wanted*."""
    by_name = {rule.name: rule for rule in stored}
    steps = []
    for values in wanted:
        before = by_name.pop(str(values.get("name")), None)
        if before is None:
            steps.append(Step("add", made(now_us, **values)))
            continue
        after = changed(before, now_us, **values)
        differences = tuple(_differences(before, after))
        steps.append(Step("change" if differences else "keep", after, differences))
    if prune:
        steps += [Step("remove", rule) for rule in by_name.values()]
    return steps


def dump(rules: Sequence[AlertRule]) -> str:
    """The rules as such a file."""
    listed = []
    for rule in rules:
        values = {name: getattr(rule, name) for name in ("name", "type", *_DEFAULTS)}
        values["deliver"] = list(rule.deliver)
        kept = {n: v for n, v in values.items() if n in ("name", "type") or v != _plain(n)}
        listed.append(kept)
    text: str = yaml.safe_dump(listed, sort_keys=False, allow_unicode=True)
    return text


def _plain(name: str) -> Any:
    return [] if name == "deliver" else _DEFAULTS[name]


def _filled(rule: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    def value(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise SettingsError(
                f"{match[1]} is not set, and rule {rule.get('name')!r} wants it",
                "Set it in the environment",
            )
        return environ[match[1]]

    targets = rule["deliver"]
    if isinstance(targets, list | tuple):
        targets = tuple(
            _VARIABLE.sub(value, target) if isinstance(target, str) else target
            for target in targets
        )
    return rule | {"deliver": targets}


def _differences(before: AlertRule, after: AlertRule) -> list[str]:
    lines = []
    for name in sorted(KNOWN):
        was, becomes = getattr(before, name), getattr(after, name)
        if name == "deliver":
            was, becomes = [shown(one) for one in was], [shown(one) for one in becomes]
            if was == becomes and before.deliver != after.deliver:
                lines.append("deliver: another address")
        if was != becomes:
            lines.append(f"{name}: {was!r} -> {becomes!r}")
    return lines
