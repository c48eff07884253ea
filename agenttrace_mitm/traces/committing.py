"""What an agent's tool calls did with git, as far as their words tell, and which made a commit.

Reads commands and what came back: the commits that git names (`[main 1a2b3c4] Subject`), branches
and pull requests.  What the repository itself says is read elsewhere; here a commit of it finds
the tool call that made it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ..model import Json
from .actions import Action, actions, kind_of
from .edits import Files

SECOND_US = 1_000_000

_WORD = r"""(?:"[^"]*"|'[^']*'|\S+)"""
_GIT = rf"\bgit\b(?:\s+(?:-[cC]\s+(?!-){_WORD}|--?[\w-]+(?:={_WORD})?))*"
_MAKES = re.compile(rf"{_GIT}\s+(?:commit|merge|rebase|cherry-pick|revert|am|pull)\b")
_MAKING_TOOL = re.compile(r"(?:^|_)git_(?:commit|merge|rebase|cherry_pick|revert)$")
_ASKS_TO_MERGE = re.compile(r"\b(?:gh\s+pr|glab\s+mr)\s+(?:create|new)\b|\bhub\s+pull-request\b")
_SPEAKS_OF = re.compile(r"\b(?:git|gh|glab|hub)\b")
_GOES_TO = re.compile(rf"(?:(?:^|[;&|(\n])\s*cd|\bgit\s+(?:\S+\s+){{0,6}}?-C)\s+({_WORD})")
_FOLDERS = ("workdir", "cwd", "dir_path", "repo_path", "directory")

_COMMITTED = re.compile(
    # Gemini CLI writes "Output: " before what a command printed.
    r"^(?:Output: )?\[(?P<branch>detached HEAD|[^\s\]]+)(?: \(root-commit\))?"
    r" (?P<sha>[0-9a-f]{7,40})\] (?P<subject>.*)"
    r"(?P<counts>(?:\n (?:Author|Date|Committer): .*)*"
    r"\n \d+ files? changed(?:, \d+ insertions?\(\+\))?(?:, \d+ deletions?\(-\))?)?",
    re.MULTILINE,
)
_HASH = re.compile(r"\bcommitted successfully with hash (?P<sha>[0-9a-f]{7,40})\b")
_FILES, _ADDED, _REMOVED = (
    re.compile(rf"(\d+) {what}") for what in ("files? changed", r"insertions?\(", r"deletions?\(")
)
_NEW_BRANCH = re.compile(
    r"^(?:Output: )?Switched to a new branch '(.+)'$|^ \* \[new branch\]\s+(\S+)\s+->", re.MULTILINE
)
_BRANCH = re.compile(r"^(?:Output: )?(?:Switched to|Already on)(?: branch)? '(.+)'$", re.MULTILINE)
_PULL_REQUEST = re.compile(
    r"https?://[^\s\"'<>()\\]{1,300}/(?:pull|merge_requests|pull-requests)/\d+(?![\w/-])"
)
_DETACHED = "detached HEAD"
_DEEPEST = 4

How = Literal["output", "time"]
RefKind = Literal["branch", "pull_request"]

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Named:
    """A commit as git's answer to the command names it; counts are None where it gives none."""

    sha: str
    branch: str = ""
    subject: str = ""
    files: int | None = None
    lines_added: int | None = None
    lines_removed: int | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch, or the address of a pull request, that an output names; `made` by the command."""

    kind: RefKind
    name: str
    made: bool


@dataclass(frozen=True, slots=True)
class Work:
    """A tool call that ran git or a forge's program: when, and what that says.

    `folders` is where it went to, the likeliest first: absolute or relative to the program's.
    """

    call_id: str
    position: int
    started_us: int
    ended_us: int
    makes_commits: bool = False
    is_quiet: bool = False
    """It may have made more commits than `named` ones."""
    failed: bool = False
    folders: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()
    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """That a tool call made a commit, what that rests on, and how sure it is."""

    work: Work
    how: How
    confidence: float


def work_of(
    call_id: str,
    position: int,
    span: tuple[int, int],
    *,
    tool: str,
    arguments: str | None,
    result: str | None,
    inside: Json,
    is_error: bool,
) -> Work | None:
    """What an answered tool call says of git; None where it ran nothing of git's or a forge's."""
    is_maker = bool(_MAKING_TOOL.search(tool))
    if not is_maker and not inside and kind_of(tool) != "command":
        return None
    done = actions(tool, arguments, result, inside, Files(), is_error=is_error)
    commands = [action for action in done if action.kind == "command"]
    if not commands and not is_maker:
        return None
    command = "\n".join(action.target for action in commands)
    failed = is_error or any(action.failed for action in commands)
    if not is_maker and not _SPEAKS_OF.search(command):
        return None
    output = "\n".join(_strings(result))
    makes = len(_MAKES.findall(command)) + is_maker
    named = tuple(_named(output)) if makes else ()
    return Work(
        call_id,
        position,
        *span,
        makes_commits=bool(makes),
        is_quiet=len(named) < makes,
        failed=failed,
        folders=tuple(_folders(command, arguments, inside)),
        named=named,
        refs=tuple(_refs(output, command, done)),
    )


def claim(sha: str, committed_us: int | None, works: Iterable[Work]) -> Claim | None:
    """The tool call among *works* that made this commit.

    Git's answer names it, or it was committed while a command ran whose answer does not name all
    that it made.  A command that failed made only what its answer names.
    """
    works = list(works)
    for work in works:
        if any(_same(named.sha, sha) for named in work.named):
            return Claim(work, "output", 1.0)
    if committed_us is None:
        return None
    makers = [w for w in works if w.is_quiet and not w.failed and _runs(w, committed_us)]
    if not makers:
        return None
    last = max(makers, key=lambda work: (work.started_us, work.call_id, -work.position))
    return Claim(last, "time", 0.9 if len(makers) == 1 else 0.5)


def _runs(work: Work, committed_us: int) -> bool:
    """Git's times are whole seconds: the commit was made somewhere in that second."""
    return work.started_us < committed_us + SECOND_US and committed_us <= work.ended_us


def _same(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _named(output: str) -> Iterator[Named]:
    for found in _COMMITTED.finditer(output):
        counts = found["counts"]
        branch = "" if found["branch"] == _DETACHED else found["branch"]
        if not counts:
            yield Named(found["sha"], branch, found["subject"])
            continue
        numbers = (_number(pattern, counts) for pattern in (_FILES, _ADDED, _REMOVED))
        yield Named(found["sha"], branch, found["subject"], *numbers)
    for found in _HASH.finditer(output):
        yield Named(found["sha"])


def _number(pattern: re.Pattern[str], counts: str) -> int:
    found = pattern.search(counts)
    return int(found[1]) if found else 0


def _refs(output: str, command: str, done: Sequence[Action]) -> Iterator[Ref]:
    for found in _NEW_BRANCH.finditer(output):
        yield Ref("branch", found[1] or found[2], made=True)
    for found in _BRANCH.finditer(output):
        yield Ref("branch", found[1], made=False)
    for named in _named(output) if _MAKES.search(command) else ():
        if named.branch:
            yield Ref("branch", named.branch, made=False)
    asks = bool(_ASKS_TO_MERGE.search(command)) and not any(action.failed for action in done)
    for found in _PULL_REQUEST.finditer(output):
        yield Ref("pull_request", found[0], made=asks)


def _folders(command: str, arguments: str | None, inside: Json) -> Iterator[str]:
    """Where the command goes, then where the tool was told to run it."""
    for found in reversed(list(_GOES_TO.finditer(command))):
        yield found[1].strip("\"'")
    calls = inside if isinstance(inside, list) else []
    told = [call.get("arguments") for call in calls if isinstance(call, dict)]
    for each in told or [_json(arguments or "")]:
        if isinstance(each, dict):
            yield from (str(each[name]) for name in _FOLDERS if each.get(name))


def _json(text: str) -> Any:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return None


def _strings(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts in a result, also where they stand in JSON within JSON, or in lines of it."""
    if isinstance(value, str):
        inner = _json(value) if value[:1] in ("{", "[") and depth < _DEEPEST else None
        if isinstance(inner, dict | list):
            yield from _strings(inner, depth + 1)
        elif "\n{" in value and depth < _DEEPEST:  # Codex's scripts
            for line in value.split("\n"):
                yield from _strings(line, depth + 1)
        else:
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item, depth)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, depth)
