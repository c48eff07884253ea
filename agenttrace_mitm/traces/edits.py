"""Changes of files as unified diffs, from what an agent's tools were told.

A diff of an edit needs the file around it: `Files` remembers what the agent read and wrote.  Where
a file was not seen whole, the old and the new text stand alone, and the hunk begins at line 1.
"""

import difflib
import re
from dataclasses import dataclass

_LINE_NUMBER = re.compile(r"^ *\d+(?:\t|→|\|)", re.MULTILINE)
_NUMBERED = re.compile(r"(?> *\d+[\t→|][^\n]*+(?:\n|\Z)|[^\S\n]*+\n)++\s*")
_SEARCH = re.compile(r"^-{5,} SEARCH\n(.*?)^={5,}\n(.*?)^\+{5,} REPLACE", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+)$")
_MOVE = "*** Move to: "
_PATCHED = re.compile(r"^\*\*\* (?:Update|Delete) File: (.+)$", re.MULTILINE)
_HUNK = re.compile(r"([-+])(\d+)")
_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one file: a unified diff, and how many lines it adds and removes."""

    path: str
    diff: str
    added: int
    removed: int


class Files:
    """Files as an agent last saw them; unknown ones are missing.

    Diffs name them from *folder* on, where they are in it, as git does.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder.rstrip("/") + "/"
        self._texts: dict[str, str] = {}
        self._results: dict[str, str] = {}

    def read(self, path: str, result: str) -> None:
        """The agent read the whole of *path*; *result* may number its lines."""
        self._results[path] = result

    def written(self, path: str, text: str) -> Change:
        """*path* got *text* as its whole content."""
        before = self._seen(path) or ""
        self._texts[path] = text
        return self._change(path, before, text)

    def edited(self, path: str, old: str, new: str, *, everywhere: bool = False) -> Change:
        """*old* was replaced by *new* in *path*."""
        text = self._seen(path)
        if text is None or not old or old not in text:
            if not old and text is None:
                return self.written(path, new)
            return self._change(path, old, new)
        after = text.replace(old, new) if everywhere else text.replace(old, new, 1)
        self._texts[path] = after
        return self._change(path, text, after)

    def patched(self, patch: str) -> list[Change]:
        """The changes of an `apply_patch` text (`*** Begin Patch`)."""
        changes = []
        kind, path, body, to = "", "", list[str](), ""
        for line in [*patch.splitlines(), "*** End Patch"]:
            if found := _FILE.match(line):
                changes += self._section(kind, path, body, to)
                kind, path, body, to = found[1], found[2].strip(), [], ""
            elif line.startswith(_MOVE):
                to = line.removeprefix(_MOVE).strip()
            elif line.startswith("*** End Patch"):
                changes += self._section(kind, path, body, to)
                break
            elif kind and not line.startswith("*** "):
                body.append(line)
        return changes

    def replaced(self, path: str, blocks: str) -> list[Change]:
        """The changes of `SEARCH`/`REPLACE` blocks, one after the other."""
        return [self.edited(path, old, new) for old, new in _SEARCH.findall(blocks)]

    def _seen(self, path: str) -> str | None:
        """The file as it was last seen; most that are read are never changed, so it is made now."""
        result = self._results.pop(path, None)
        if result is not None:
            numbered = _NUMBERED.fullmatch(result)
            self._texts[path] = _LINE_NUMBER.sub("", result) if numbered else result
        return self._texts.get(path)

    def _section(self, kind: str, path: str, body: list[str], to: str) -> list[Change]:
        match kind:
            case "Add":
                text = "".join(f"{line[1:]}\n" for line in body if line.startswith("+"))
                return [self.written(path, text)]
            case "Delete":
                before = self._seen(path) or ""
                self._texts.pop(path, None)
                return [self._change(path, before, "")]
            case "Update":
                change = self._updated(path, body)
                if to:
                    self._texts[to] = self._texts.pop(path, "")
                    head = f"rename from {path}\nrename to {to}\n"
                    change = Change(to, head + change.diff, change.added, change.removed)
                return [change]
        return []

    def _updated(self, path: str, body: list[str]) -> Change:
        """The hunks of an update, applied where the file is known."""
        hunks = [hunk for hunk in _hunks(body) if hunk]
        before = self._seen(path)
        after = before
        for hunk in hunks:
            old = "".join(f"{line[1:]}\n" for line in hunk if not line.startswith("+"))
            new = "".join(f"{line[1:]}\n" for line in hunk if not line.startswith("-"))
            known = after is not None and bool(old) and old in after
            after = after.replace(old, new, 1) if known and after is not None else None
        if before is not None and after is not None:
            self._texts[path] = after
            return self._change(path, before, after)
        self._texts.pop(path, None)
        olds = "".join(f"{line[1:]}\n" for h in hunks for line in h if not line.startswith("+"))
        news = "".join(f"{line[1:]}\n" for h in hunks for line in h if not line.startswith("-"))
        return self._change(path, olds, news)

    def _change(self, path: str, before: str, after: str) -> Change:
        name = path.removeprefix(self._folder)
        lines = list(
            difflib.unified_diff(
                before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm=""
            )
        )
        body = lines[2:]
        return Change(
            path,
            "\n".join(lines),
            sum(line.startswith("+") for line in body),
            sum(line.startswith("-") for line in body),
        )


def patched_paths(patch: str) -> list[str]:
    """The files that an `apply_patch` text expects to be there."""
    return [path.strip() for path in _PATCHED.findall(patch)]


def _hunks(body: list[str]) -> list[list[str]]:
    hunks: list[list[str]] = [[]]
    for line in body:
        if line.startswith("@@"):
            hunks.append([])
        else:
            hunks[-1].append(line or " ")
    return hunks
