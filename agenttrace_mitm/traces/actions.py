"""What a coding agent did with a tool call: a command, a file read or changed, a plan, and so on.

Tools go by the names that Claude Code, Codex, Gemini CLI, OpenCode and Cline give them.  Changes
become unified diffs; the exit of a command is read from what came back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ..model import Json
from .edits import Change, Files, patched_paths

Kind = Literal[
    "command", "read", "write", "edit", "patch", "search", "fetch", "plan", "subagent", "ask",
    "mcp", "other",
]  # fmt: skip

_NAMES: dict[Kind, str] = {
    "command": "Bash BashOutput KillShell Monitor exec_command write_stdin shell local_shell"
    " run_shell_command bash run_commands execute_command",
    "read": "Read view_image read_file read_many_files list_directory read read_files list_files"
    " list_code_definition_names",
    "write": "Write write_file write write_to_file",
    "edit": "Edit MultiEdit NotebookEdit replace edit editor replace_in_file",
    "patch": "apply_patch",
    "search": "Glob Grep glob grep_search search_file_content grep search_files",
    "fetch": "WebFetch WebSearch web_search web_fetch google_web_search webfetch browser_action",
    "plan": "TodoWrite TaskCreate TaskUpdate TaskList TaskGet EnterPlanMode ExitPlanMode"
    " update_plan create_goal update_goal enter_plan_mode todowrite write_todos focus_chain"
    " plan_mode_respond",
    "subagent": "Agent Task spawn_agent invoke_agent task new_task search_subagent",
    "ask": "AskUserQuestion request_user_input ask_followup_question attempt_completion",
}
_KINDS: dict[str, Kind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_EXIT = re.compile(
    r"^(?:Process exited with code|Exit code:?|Command exited with code)\s*(-?\d+)"
    r"|\"exit_code\":\s*(-?\d+)",
    re.MULTILINE | re.IGNORECASE,
)
_HEAD = 4_000

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Action:
    """A thing that an agent did; fields that its kind does not have are empty.

    `exit_code` is None where nothing tells it.  `target` is what it was done to: the command, the
    path, the pattern, the address, the sub-agent's prompt.
    """

    kind: Kind
    tool: str
    target: str = ""
    exit_code: int | None = None
    output: str = ""
    failed: bool = False
    changes: tuple[Change, ...] = ()
    plan: tuple[tuple[str, str], ...] = ()
    """Steps with their status."""


def kind_of(tool: str) -> Kind:
    """What a tool of this name does."""
    name = tool.rpartition(".")[2]
    if name in _KINDS:
        return _KINDS[name]
    return "mcp" if tool.startswith("mcp_") or tool == "use_mcp_tool" else "other"


def actions(
    tool: str,
    arguments: str | None,
    result: str | None,
    inside: Json,
    files: Files,
    *,
    is_error: bool = False,
) -> list[Action]:
    """What a call of *tool* did; *inside* are the calls of a script, *files* what is known."""
    output = result
    if isinstance(inside, list) and inside:
        calls = [call for call in inside if isinstance(call, dict)]
        return [_action(str(c.get("name")), _told(c), output, files, is_error) for c in calls]
    told: Any = _parsed(arguments)
    return [_action(tool, told, output, files, is_error)]


def files_of(tool: str, arguments: str | None) -> tuple[list[str], bool]:
    """The files that a call of *tool* reads or changes; True when it knows the whole of one."""
    kind, told = kind_of(tool), _parsed(arguments)
    if kind == "patch":
        patch = told if isinstance(told, str) else _word(told, "patchText", "input", "patch")
        return patched_paths(patch), False
    if kind not in ("read", "write", "edit"):
        return [], False
    path = _path(told)
    return [path] if path else [], kind == "write" or (kind == "read" and _is_whole(told))


def _told(call: Mapping[str, Json]) -> Any:
    return call["arguments"] if "arguments" in call else str(call.get("source", ""))


def _action(tool: str, told: Any, result: str | None, files: Files, is_error: bool) -> Action:
    kind, output = kind_of(tool), result or ""
    exit_code = _exit_code(result, is_error) if kind == "command" else None
    failed = is_error or bool(exit_code)
    changes = () if failed or result is None else tuple(_changes(kind, tool, told, files))
    if kind == "read" and not failed and _is_whole(told):
        files.read(_path(told), output)
    return Action(
        kind,
        tool,
        _target(kind, told, changes),
        exit_code,
        output if kind in ("command", "subagent", "ask") or failed else output[:_HEAD],
        failed,
        changes,
        _plan(told) if kind == "plan" else (),
    )


def _parsed(arguments: str | None) -> Any:
    try:
        value = _decode(arguments or "")
    except msgspec.DecodeError:
        return arguments or ""  # such as a patch
    return value


def _word(told: Any, *names: str) -> str:
    """The first of *names* that *told* has, as text."""
    if not isinstance(told, dict):
        return ""
    for name in names:
        value = told.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value:
            return " ".join(str(item) for item in value)
    return ""


def _path(told: Any) -> str:
    return _word(
        told, "file_path", "filePath", "path", "absolute_path", "notebook_path", "dir_path"
    )


def _is_whole(told: Any) -> bool:
    """True when a read was not of a part."""
    parts = ("offset", "limit", "start_line", "end_line", "pages")
    return bool(_path(told)) and not any(told.get(part) for part in parts)


def _target(kind: Kind, told: Any, changes: tuple[Change, ...]) -> str:
    if kind == "command":
        return _word(told, "command", "cmd", "commands", "chars") or (
            told if isinstance(told, str) else ""
        )
    if kind in ("write", "edit", "patch", "read"):
        return ", ".join(change.path for change in changes) or _path(told)
    names = {
        "search": ("pattern", "regex", "query"),
        "fetch": ("url", "query", "prompt"),
        "subagent": ("prompt", "message", "description", "task_name"),
        "ask": ("question", "result", "questions"),
    }
    return _word(told, *names.get(kind, ()))


def _exit_code(result: str | None, is_error: bool) -> int | None:
    """The exit that a result tells; 0 for one without, as tools say only what went wrong."""
    if result is None:
        return None
    found = _EXIT.search(result[:_HEAD]) or _EXIT.search(result[-_HEAD:])
    if found:
        return int(found[1] or found[2])
    return None if is_error else 0


def _changes(kind: Kind, tool: str, told: Any, files: Files) -> list[Change]:
    if kind == "patch":
        patch = told if isinstance(told, str) else _word(told, "patchText", "input", "patch")
        return files.patched(patch)
    path = _path(told)
    if not path:
        return []
    if kind == "write":
        return [files.written(path, _word(told, "content"))]
    if kind != "edit":
        return []
    if tool == "replace_in_file":
        return files.replaced(path, _word(told, "diff"))
    edits = told.get("edits") if isinstance(told.get("edits"), list) else [told]
    return [_edited(path, edit, files) for edit in edits if isinstance(edit, dict)]


def _edited(path: str, edit: Mapping[str, Any], files: Files) -> Change:
    old = _word(edit, "old_string", "oldString", "old_text")
    new = _word(edit, "new_string", "newString", "new_text", "new_source")
    everywhere = edit.get("replace_all") or edit.get("replaceAll") or edit.get("allow_multiple")
    return files.edited(path, old, new, everywhere=bool(everywhere))


def _plan(told: Any) -> tuple[tuple[str, str], ...]:
    steps = next((told[n] for n in ("todos", "plan") if isinstance(told, dict) and n in told), None)
    if not isinstance(steps, list):
        words = _word(told, "subject", "description", "plan", "response", "objective")
        return ((words, ""),) if words else ()
    return tuple(
        (_word(step, "content", "step", "description", "title"), _word(step, "status"))
        for step in steps
    )
