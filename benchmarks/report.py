"""Figures as a table for people and as JSON for programs."""

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A figure: the median of what was measured, its spread, and what it should be."""

    what: str
    value: float
    goal: str = ""
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, what: str, values: Sequence[float], goal: str = "") -> "Row":
        """The row of several measurements; its spread is their middle half."""
        low, high = quantile(values, 0.25), quantile(values, 0.75)
        return cls(what, statistics.median(values), goal, low, high)

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached; None when there is none."""
        if not self.goal:
            return None
        sign, limit = self.goal.split(" ")
        wanted = float(limit)
        match sign:
            case ">=":
                return self.value >= wanted
            case "<=":
                return self.value <= wanted
            case _:
                return self.value == wanted


def ratios(
    title: str,
    found: Sequence[dict[str, dict[str, float]]],
    figure: str,
    first: str,
    second: str,
    goal: str,
    *,
    added: bool = False,
) -> Row:
    """*first* over *second* within each round; *added*: what they add to a direct call."""

    def value(one: dict[str, dict[str, float]], name: str) -> float:
        return one[name][figure] - (one["direct"][figure] if added else 0.0)

    return Row.of(title, [value(one, first) / value(one, second) for one in found], goal)


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that is not below *part* of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def table(name: str, rows: Sequence[Row]) -> str:
    """*rows* as a Markdown table."""
    lines = [f"## {name}", "", "| | median | spread | goal | |", "|---|---|---|---|---|"]
    for row in rows:
        spread = f"{row.low:,.3g} to {row.high:,.3g}" if row.low is not None else ""
        verdict = {True: "yes", False: "**no**", None: ""}[row.holds]
        lines.append(f"| {row.what} | {_number(row.value)} | {spread} | {row.goal} | {verdict} |")
    return "\n".join(lines) + "\n"


def write(path: Path, found: dict[str, list[Row]]) -> None:
    """Everything, and the machine it was measured on, as JSON."""
    rows = {
        name: [asdict(row) | {"holds": row.holds} for row in rows] for name, rows in found.items()
    }
    path.write_text(json.dumps({"machine": machine(), "figures": rows}, indent=1) + "\n")


def machine() -> dict[str, str]:
    """What it was measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": f"{len(models)} x {models[0]}" if models else platform.processor(),
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
