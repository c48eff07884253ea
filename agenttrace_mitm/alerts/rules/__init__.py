"""The rule types there are.  A new one is a file in this folder and a line here."""

from typing import Any

from ..rule_type import RuleType
from . import (
    agent_down,
    blind_spot,
    budget,
    cache_hit_drop,
    cost_anomaly,
    error_rate,
    latency,
    loop,
    no_traffic,
    provider_unreachable,
    rate_limited,
    recorder_unhealthy,
    sql,
    unpriced,
)

RULE_TYPES: tuple[RuleType[Any], ...] = (
    agent_down.RULE,
    error_rate.RULE,
    budget.RULE,
    latency.RULE,
    rate_limited.RULE,
    cache_hit_drop.RULE,
    unpriced.RULE,
    no_traffic.RULE,
    cost_anomaly.RULE,
    loop.RULE,
    provider_unreachable.RULE,
    blind_spot.RULE,
    recorder_unhealthy.RULE,
    sql.RULE,
)
BY_NAME = {rule.name: rule for rule in RULE_TYPES}
