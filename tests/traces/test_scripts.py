"""Commands and patches inside the scripts of Codex's code mode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttrace_mitm.traces.scripts import calls_inside

SCRIPT = r"""
// run the tests first
const r = await tools.exec_command({cmd: "pytest -q \"a b\"", workdir: '/p', 'tty': false,});
await tools.apply_patch("*** Begin Patch\n*** Update File: a.py\n@@\n-1\n+\ud83d\ude00\n");
await tools.write_stdin({session_id: 7, chars: `yes
no`, waits: [1, 2.5, null]});
"""


def test_commands_and_patches_are_read() -> None:
    """Objects with bare and quoted keys, three kinds of strings, trailing commas, comments."""
    command, patch, stdin = calls_inside("exec", SCRIPT)
    assert command == {
        "name": "exec_command",
        "arguments": {"cmd": 'pytest -q "a b"', "workdir": "/p", "tty": False},
    }
    assert patch["arguments"].splitlines()[1:3] == ["*** Update File: a.py", "@@"]
    assert "+\U0001f600" in patch["arguments"]
    expected = {"session_id": 7, "chars": "yes\nno", "waits": [1, 2.5, None]}
    assert stdin["arguments"] == expected


@pytest.mark.parametrize(
    "argument",
    ["command", "`ls ${folder}`", "{cmd: make()}", '"a" + b', "{...options}", "{cmd: 'cut off"],
)
def test_what_would_have_to_be_run_is_kept_as_source(argument: str) -> None:
    """We do not guess: the source is kept, and that it is no value can be seen."""
    assert calls_inside("exec", f"tools.exec_command({argument}") == [
        {"name": "exec_command", "source": argument}
    ]
    [found] = calls_inside("exec", f"tools.exec_command({argument});")
    assert "arguments" not in found


def test_other_tools_take_no_script() -> None:
    """A call in the words of another tool is words."""
    assert calls_inside("Read", SCRIPT) == []


@given(st.text(), st.text())
def test_any_text_is_survived(before: str, after: str) -> None:
    """Models write anything."""
    for script in (before, f"{before}tools.x({after}", "tools.x(" + "[" * 50 + after):
        calls_inside("exec", script)
