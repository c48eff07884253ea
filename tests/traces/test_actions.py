"""What tool calls of coding agents did, whatever their tools are called."""

import json
from typing import Any

import pytest

from agenttrace_mitm.traces.actions import Action, actions, kind_of
from agenttrace_mitm.traces.edits import Files
from agenttrace_mitm.traces.scripts import calls_inside

PATCH = """*** Begin Patch
*** Add File: new.txt
+hello
+there
*** Update File: src/a.py
*** Move to: src/b.py
@@ def f():
 x = 0
-x = 1
+x = 2
*** Delete File: gone.txt
*** End Patch"""


def did(tool: str, told: Any, result: str | None = "", files: Files | None = None) -> Action:
    arguments = told if isinstance(told, str) else json.dumps(told)
    [action] = actions(tool, arguments, result, None, files or Files())
    return action


@pytest.mark.parametrize(
    ("tool", "told", "result", "exit_code"),
    [
        ("Bash", {"command": "ls"}, "a b", 0),
        ("exec_command", {"cmd": "ls"}, "Chunk ID: 1\nProcess exited with code 2\nOutput:\n", 2),
        ("run_shell_command", {"command": "ls"}, "Output: x\nExit Code: 3", 3),
        ("bash", {"command": "ls"}, "a b", 0),
        ("execute_command", {"command": "ls"}, None, None),
        ("shell", {"command": ["ls"]}, '{"output":"","metadata":{"exit_code": 1}}', 1),
    ],
)
def test_commands_and_how_they_ended(
    tool: str, told: Any, result: str | None, exit_code: int | None
) -> None:
    action = did(tool, told, result)
    assert (action.kind, action.target, action.exit_code) == ("command", "ls", exit_code)


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        ("Edit", {"file_path": "a", "old_string": "two", "new_string": "2"}),
        ("MultiEdit", {"file_path": "a", "edits": [{"old_string": "two", "new_string": "2"}]}),
        ("replace", {"file_path": "a", "old_string": "two", "new_string": "2"}),
        ("edit", {"filePath": "a", "oldString": "two", "newString": "2"}),
        ("editor", {"path": "a", "old_text": "two", "new_text": "2"}),
        (
            "replace_in_file",
            {"path": "a", "diff": "------- SEARCH\ntwo\n=======\n2\n+++++++ REPLACE"},
        ),
        ("Write", {"file_path": "a", "content": "one\n2\nthree\n"}),
        ("apply_patch", "*** Begin Patch\n*** Update File: a\n@@\n one\n-two\n+2\n*** End Patch"),
    ],
)
def test_edits_of_every_agent_are_the_same_diff(tool: str, told: Any) -> None:
    """A file that was read is known, so that the hunk stands where it belongs."""
    files = Files()
    files.read("a", "one\ntwo\nthree\n")
    [change] = did(tool, told, "ok", files).changes
    assert change.diff.split("\n") == [
        "--- a/a", "+++ b/a", "@@ -1,3 +1,3 @@", " one", "-two", "+2", " three"
    ]  # fmt: skip
    assert (change.added, change.removed) == (1, 1)


def test_a_patch_adds_moves_and_deletes() -> None:
    files = Files()
    files.written("src/a.py", "x = 0\nx = 1\n")
    files.written("gone.txt", "old\n")
    new, moved, gone = did("apply_patch", PATCH, "Done!", files).changes
    assert (new.path, new.added, new.removed) == ("new.txt", 2, 0)
    assert (moved.path, moved.added, moved.removed) == ("src/b.py", 1, 1)
    assert "rename from src/a.py" in moved.diff
    assert (gone.path, gone.added, gone.removed) == ("gone.txt", 0, 1)


def test_a_script_did_what_its_calls_did() -> None:
    script = (
        'await tools.exec_command({cmd: "pytest -q"}); await tools.apply_patch(`' + PATCH + "`)"
    )
    inside: Any = calls_inside("exec", script)
    command, patch = actions("exec", script, '{"exit_code":0}', inside, Files())
    assert (command.kind, command.target) == ("command", "pytest -q")
    assert [change.path for change in patch.changes] == ["new.txt", "src/b.py", "gone.txt"]


def test_a_failed_edit_changed_nothing() -> None:
    told = {"file_path": "a", "old_string": "x", "new_string": "y"}
    [action] = actions("Edit", json.dumps(told), "no match", None, Files(), is_error=True)
    assert (action.failed, action.changes) == (True, ())


def test_plans_and_strangers() -> None:
    plan = did("update_plan", {"plan": [{"step": "Look", "status": "completed"}]})
    assert plan.plan == (("Look", "completed"),)
    assert kind_of("mcp__github__issues") == "mcp"
    assert kind_of("frobnicate") == "other"
    assert did("Edit", "not json").changes == ()
    assert did("Bash", "[1, 2").kind == "command"
    assert did("TodoWrite", {"todos": ["plain", 7]}).kind == "plan"
