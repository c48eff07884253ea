"""Commits read from real repositories, which are left as they were."""

import os
import sys
from pathlib import Path

import pytest

from agenttrace_mitm.recorder import repository
from agenttrace_mitm.recorder.repository import read
from tests.support.git import SECOND, Git

NOON = 1_760_000_000 * SECOND


@pytest.fixture
def git(tmp_path):
    return Git(tmp_path / "shop")


def test_commits_since_a_moment(git):
    git.commit("Before", NOON - 60 * SECOND, a_py="1\n2\n")
    git.commit("Mend ü\n\nBecause it\nwas broken.", NOON, a_py="1\n3\n4\n", b_py="x\n")
    found = read(git.folder, NOON - SECOND)
    assert found
    assert (found.name, found.branch, found.root) == ("shop", "main", git.folder)
    [one] = found.commits
    assert one.sha == git.head
    assert one.message == "Mend ü\n\nBecause it\nwas broken."
    assert one.numstat == (("a.py", 2, 1), ("b.py", 1, 0))
    assert (one.author_us, one.committed_us) == (NOON, NOON)


def test_renamed_binary_and_empty(git):
    git.commit("Begin", NOON - 60 * SECOND, a_py="".join(f"{n}\n" for n in range(50)))
    git("mv", "a.py", "b c.py")
    (git.folder / "pixel").write_bytes(bytes(range(256)))
    git.commit("Move", NOON)
    git("commit", "--allow-empty", "-m", "Nothing", at_us=NOON + SECOND)
    found = read(git.folder, NOON)
    assert found
    counts = {one.message: one.numstat for one in found.commits}
    assert counts == {"Move": (("b c.py", 0, 0), ("pixel", None, None)), "Nothing": ()}


def test_what_was_fetched_or_only_moved_to_was_not_made_here(git, tmp_path):
    git.commit("Begin", NOON - 60 * SECOND, a_py="1\n")
    other = Git(tmp_path / "other")
    other("pull", "-q", str(git.folder), "main")
    other.commit("Theirs", NOON, b_py="1\n")
    git("pull", "-q", "--ff-only", str(other.folder), "main")
    found = read(git.folder, NOON)
    assert found
    assert (found.commits, len(found.on_branches)) == ((), 1)
    git("checkout", "-q", "-b", "side", "HEAD~")
    git.commit("Fast-forward: the tape", NOON + SECOND, c_py="1\n")
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-edit", "side", at_us=NOON + 2 * SECOND)
    git("checkout", "-q", "-b", "more")
    git.commit("More", NOON + 3 * SECOND, d_py="1\n")
    git("checkout", "-q", "main")
    git("merge", "-q", "more")
    found = read(git.folder, NOON)
    assert found
    made = {one.message.partition("\n")[0] for one in found.commits}
    assert made == {"Fast-forward: the tape", "Merge branch 'side'", "More"}


def test_rebased_and_picked_commits_are_new_ones(git):
    git.commit("Begin", NOON - 60 * SECOND, a_py="1\n")
    git("checkout", "-q", "-b", "side")
    git.commit("Side", NOON - 50 * SECOND, b_py="1\n")
    git("checkout", "-q", "main")
    git.commit("Main", NOON - 40 * SECOND, c_py="1\n")
    git("rebase", "-q", "main", "side", at_us=NOON)
    git("checkout", "-q", "-b", "third", "main")
    git("cherry-pick", "side", at_us=NOON + SECOND)
    found = read(git.folder, NOON)
    assert found
    assert [one.message for one in found.commits] == ["Side", "Side"]


def test_a_commit_of_another_time_is_found_by_its_name(git):
    git.commit("Dated", NOON - 10**9 * SECOND, a_py="1\n")
    sha = git.head
    found = read(git.folder, NOON, [sha[:7], "0123456"])
    assert found
    assert [one.sha for one in found.commits] == [sha]


def test_a_worktree_has_the_name_of_its_repository(git, tmp_path):
    git.commit("Begin", NOON, a_py="1\n")
    git("worktree", "add", "-q", str(tmp_path / "w"), "-b", "side")
    found = read(tmp_path / "w", NOON)
    assert found
    assert (found.name, found.branch, found.root) == ("shop", "side", tmp_path / "w")


@pytest.mark.parametrize("where", ["", "not-there", "a\0b", "empty"])
def test_no_repository_is_none(tmp_path, where):
    (tmp_path / "empty").mkdir()
    Git(tmp_path / "empty")  # no commit yet
    assert read(tmp_path / where if where else Path("/"), 0) is None


def test_no_git_is_none(git, monkeypatch):
    git.commit("Begin", NOON, a_py="1\n")
    monkeypatch.setenv("PATH", "/nowhere")
    assert read(git.folder, 0) is None


def test_a_git_that_hangs_is_given_up(git, monkeypatch, tmp_path):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    monkeypatch.setattr(repository, "TIMEOUT_S", 0.1)
    assert read(git.folder, 0) is None


def test_nothing_that_the_repository_configures_is_run(git, tmp_path):
    """A repository may have been written by somebody who wants to run something here."""
    git.commit("Begin", NOON - SECOND, a_py="1\n")
    (git.folder / ".gitattributes").write_text("*.py diff=evil filter=evil\n")
    git.commit("Attributes", NOON, a_py="2\n")
    trap = tmp_path / "trap"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    script.chmod(0o755)
    run = str(script)
    for name in (
        "core.pager", "pager.log", "diff.external", "diff.evil.textconv", "diff.evil.command",
        "filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "gpg.program",
        "core.fsmonitor", "core.sshCommand", "core.editor", "core.askPass", "alias.log",
    ):  # fmt: skip
        git("config", name, f"!{run}" if name.startswith("alias") else run)
    git("config", "log.showSignature", "true")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction", "pre-auto-gc"):
        (hooks / name).write_text(script.read_text())
        (hooks / name).chmod(0o755)
    git("config", "core.hooksPath", str(hooks))
    trap.unlink(missing_ok=True)
    before = _files(git.folder)
    found = read(git.folder, NOON - SECOND)
    assert found
    assert len(found.commits) == 2
    assert not trap.exists()
    assert _files(git.folder) == before


def test_the_recorders_own_git_variables_do_not_count(git, tmp_path, monkeypatch):
    """It may have been started from a hook."""
    git.commit("Begin", NOON, a_py="1\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert read(git.folder, NOON)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_another_user_is_not_read(git, tmp_path, monkeypatch):
    """Its configuration would be in force here: git refuses, and so do we."""
    monkeypatch.setenv("HOME", str(tmp_path))  # where nobody has said `safe.directory = *`
    git.commit("Begin", NOON, a_py="1\n")
    for path in (git.folder, git.folder / ".git"):
        os.chown(path, 12345, 12345)
    assert read(git.folder, NOON) is None


def _files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
