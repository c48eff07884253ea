"""Rules made and changed, judged before they are stored: for commands, files, pages and API."""

from collections.abc import Mapping
from typing import Any

from ..clock import new_id
from ..errors import SettingsError
from ..model import AlertRule
from .findings import params_of
from .targets import target_of

CHANGEABLE = (
    "name", "type", "params", "deliver", "enabled", "repeat_minutes", "tell_resolved",
    "silenced_until_us",
)  # fmt: skip
LONGEST_NAME = 100


def made(now_us: int, **values: Any) -> AlertRule:
    """A new rule.  Raises `SettingsError` naming what is wrong with it."""
    return _judged({"id": new_id(now_us), "created_us": now_us, "updated_us": now_us} | values)


def changed(rule: AlertRule, now_us: int, **values: Any) -> AlertRule:
    """*rule* with other values; the same object where nothing is different.

    Raises `SettingsError` naming what is wrong with it.
    """
    again = _judged(rule.model_dump() | values)
    if again == rule:
        return rule
    return again.model_copy(update={"updated_us": max(now_us, rule.updated_us + 1)})


def _judged(values: Mapping[str, Any]) -> AlertRule:
    name = values.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        raise SettingsError(f"{name!r} is not a name for a rule", "Give it a short one")
    if not name.isprintable():
        raise SettingsError(f"{name!r} is not a name for a rule", "Leave out control characters")
    try:
        rule = AlertRule.model_validate(dict(values))
    except ValueError as error:
        problem = str(error).splitlines()[1:3]
        raise SettingsError(
            f"Rule {name!r} is wrong: {' '.join(line.strip() for line in problem)}",
            f"A rule has: {', '.join(CHANGEABLE)}",
        ) from None
    if rule.repeat_minutes is not None and rule.repeat_minutes < 1:
        raise SettingsError("repeat_minutes is less than 1", "Leave it out to tell a firing once")
    for target in rule.deliver:
        target_of(target)
    # As their types read them: "20" is a number.
    params = params_of(rule).model_dump(mode="json", exclude_unset=True)
    return rule.model_copy(update={"params": params})
