"""What the fake provider has a coding agent do: a script of replies, one for each of its calls.

The agent (`coder.py`) does it for real, in a small folder of its own: what it reads, runs and
changes is what the replay of its session shows.
"""

from dataclasses import dataclass, field
from typing import Any

PROMPTS = (
    "A price of $7 comes out as 7 cents. Mend prices.py, and see that the tests pass.",
    "Good. It should take thousands separators too, as in $1,234.50.",
)
SEARCH = "Find every caller of parse_price in this folder, and say what each of them expects."

OLD = '    return int(text.strip("$").replace(".", ""))\n'
NEW = """\
    dollars, _, cents = text.strip("$").partition(".")
    return int(dollars) * 100 + int(cents or 0)
"""
TEST = """
    def test_thousands(self):
        self.assertEqual(prices.parse_price("$1,234.50"), 123450)
"""
RUN = "python -m unittest -q"
SUM_UP = (
    "The amount is now worked out in cents: dollars and cents are parsed apart, so a price without "
    "cents works too. All tests pass."
)


@dataclass(frozen=True, slots=True)
class Scripted:
    """A reply: thoughts, words, and calls of tools with their arguments."""

    says: str = ""
    thinks: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = field(default=())


def todos(*states: str) -> tuple[str, dict[str, Any]]:
    """A call that writes the plan down, with how far each step is."""
    steps = ("Read the parser", "Run the tests", "Mend the parser", "Run the tests again")
    plan = [{"content": what, "status": how} for what, how in zip(steps, states, strict=True)]
    return "TodoWrite", {"todos": plan}


MAIN = (
    Scripted(
        says="I read the parser first.",
        thinks="A factor of 100: the dot is probably just dropped. First see, then change.",
        calls=(
            ("Read", {"file_path": "prices.py"}),
            todos("in_progress", "pending", "pending", "pending"),
        ),
    ),
    Scripted(
        says="It drops the dot, so whole dollars are taken for cents. What do the tests say?",
        calls=(("Bash", {"command": RUN, "description": "Run the tests"}),),
    ),
    Scripted(
        thinks="Before the result's unit changes, somebody has to look at who uses it.",
        calls=(("Agent", {"description": "Find callers", "prompt": SEARCH}),),
    ),
    Scripted(
        says="Both callers want cents, so I parse dollars and cents apart.",
        calls=(("Edit", {"file_path": "prices.py", "old_string": OLD, "new_string": NEW}),),
    ),
    Scripted(
        calls=(
            ("Bash", {"command": RUN, "description": "Run the tests again"}),
            todos("completed", "completed", "completed", "in_progress"),
        )
    ),
    Scripted(says=SUM_UP),
    Scripted(
        says="A test first.",
        calls=(
            ("Edit", {"file_path": "test_prices.py", "old_string": "\n\nif __name__",
                      "new_string": TEST + "\n\nif __name__"}),
            ("Edit", {"file_path": "prices.py", "old_string": '.strip("$")',
                      "new_string": '.strip("$").replace(",", "")'}),
        ),
    ),
    Scripted(calls=(("Bash", {"command": RUN, "description": "Run the tests"}),)),
    Scripted(says="Thousands separators are taken, and a test says so."),
)  # fmt: skip
BELOW = (
    Scripted(calls=(("Grep", {"pattern": "parse_price"}),)),
    Scripted(
        says="Two callers: `checkout.py` adds the result to a sum of cents, and `report.py` "
        "divides it by 100. Both expect whole cents."
    ),
)


def reply(messages: list[dict[str, Any]]) -> Scripted:
    """The next reply in the conversation of *messages*."""
    script = BELOW if messages[0]["content"] == SEARCH else MAIN
    turn = sum(message["role"] == "assistant" for message in messages)
    return script[min(turn, len(script) - 1)]
