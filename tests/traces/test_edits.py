"""Diffs that are worked out where a file differs alone."""

import difflib
import random
import re

from agenttrace_mitm.traces.edits import Files


def applied(before: list[str], diff: str) -> list[str]:
    """*before* with the unified *diff* applied, strictly."""
    after: list[str] = []
    at = 0
    for line in diff.split("\n")[2:]:
        if found := re.match(r"@@ -(\d+)(?:,(\d+))? ", line):
            begin = int(found[1]) - (found[2] != "0")
            after += before[at:begin]
            at = begin
        elif line.startswith("+"):
            after.append(line[1:])
        else:
            assert before[at] == line[1:]
            at += 1
            after += [line[1:]] if line.startswith(" ") else []
    return after + before[at:]


def test_a_diff_makes_the_one_text_of_the_other() -> None:
    draw = random.Random(3)
    as_a_whole = 0
    for _ in range(1_000):
        before = [draw.choice("abcdefgh") * draw.randint(1, 3) for _ in range(draw.randint(0, 40))]
        after = list(before)
        for _ in range(draw.randint(0, 4)):
            at = draw.randint(0, len(after))
            new = [draw.choice("xyzab") for _ in range(draw.randint(0, 3))]
            after[at : at + draw.randint(0, 3)] = new
        files = Files()
        files.written("p", "\n".join(before))
        change = files.written("p", "\n".join(after))
        old, new = "\n".join(before).splitlines(), "\n".join(after).splitlines()
        assert applied(old, change.diff) == new
        assert len(new) - len(old) == change.added - change.removed
        whole = difflib.unified_diff(old, new, "a/p", "b/p", lineterm="")
        as_a_whole += change.diff == "\n".join(whole)
    assert as_a_whole > 950


def test_line_numbers_of_a_read_are_no_part_of_the_file() -> None:
    texts = {
        "    1→a\n    2→\n    3→b": "a\n\nb",
        "1\ta\n2\tb\n\n": "a\nb\n\n",
        "1|x\n": "x\n",
        "1\ta\nb\n": "1\ta\nb\n",  # not a number on every line: these are the file's own
        "": "",
    }
    for read, text in texts.items():
        files = Files()
        files.read("p", read)
        assert files.written("p", text).diff == "", read
    files = Files()
    files.read("p", "1\t" * 50_000 + "\n" + "1\t" * 50_000 + "\nno")
    assert files.written("p", "").removed == 3
