"""What a process is: its program's name, who started it, and in which repository it works."""

import os
import subprocess
import sys

import pytest

from agenttrace_mitm.capture.program import Processes, described, repository_of, script


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python3.12 -u /home/me/my_agent.py --key x", "my_agent.py"),
        ("python -X dev -W ignore -m my.agent run", "my.agent"),
        ("python3 -m crew.__main__", "crew"),
        ("python", "python"),
        ("node --require ./hook.js --no-warnings bot.mjs", "bot.mjs"),
        ("node /usr/lib/node_modules/@google/gemini-cli/dist/index.js", "gemini-cli"),
        ("bun run agent.ts", "agent.ts"),
        ("java -Xmx1g -jar /opt/agent-1.0.jar", "agent-1.0.jar"),
        ("java -cp a.jar:b.jar com.example.Agent", "com.example.Agent"),
        ("/opt/claude/claude -p hello", ""),
        ("", ""),
    ],
)
def test_an_interpreter_is_called_by_its_script(command, name):
    """Options and their values are passed over; what is no interpreter names itself."""
    assert script(command.split(" ")) == name


def test_code_on_the_command_line_is_not_a_name():
    """It may be long, and hold anything."""
    assert script(["python3", "-c", "import x", "argument"]) == "python3"
    assert script(["node", "-e", "call()"]) == "node"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_process(tmp_path):
    """Its script, since when, where; and that it was us who started it."""
    program = tmp_path / "my_agent.py"
    program.write_text("print('up', flush=True); input()")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, str(program)], cwd=tmp_path, **pipes) as child:
        assert child.stdout
        child.stdout.readline()  # before it runs, it has no command line
        found, us = described(child.pid), described(os.getpid())
        assert child.stdin
        child.stdin.close()
    assert (found.pid, found.name, found.cwd) == (child.pid, "my_agent.py", str(tmp_path))
    assert int(found.started) >= int(us.started) > 0
    assert found.started_by == us.name


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_description_does_not_grow_old(tmp_path, monkeypatch):
    """Many connections are one look; a process that moves on is seen to."""
    now = [0.0]
    processes = Processes(lambda: now[0])
    monkeypatch.chdir(tmp_path)
    assert processes.of(os.getpid()).cwd == str(tmp_path)
    monkeypatch.chdir("/")
    assert processes.of(os.getpid()).cwd == str(tmp_path)
    now[0] = 4
    assert processes.of(os.getpid()).cwd == "/"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_program_that_ends_is_still_called_after_itself(tmp_path, monkeypatch):
    """Between two connections, or between two looks at it."""
    program = tmp_path / "brief.py"
    program.write_text("print('up', flush=True); input()")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    processes = Processes()
    with subprocess.Popen([sys.executable, str(program)], **pipes) as child:
        assert child.stdout
        child.stdout.readline()
        known = processes.of(child.pid)
        with monkeypatch.context() as gone:
            gone.setattr("agenttrace_mitm.capture.program._stat", _gone)
            assert described(child.pid).name == "brief.py"
        assert child.stdin
        child.stdin.close()
    assert processes.of(child.pid) is known
    with pytest.raises(OSError, match="No such"):
        described(child.pid)


def _gone(pid):
    raise FileNotFoundError(pid)


def _git(folder, head="ref: refs/heads/fix/it\n"):
    folder.mkdir(parents=True)
    (folder / "HEAD").write_text(head)


def test_a_repository(tmp_path):
    """From any folder in it; a commit that has no branch is told by its hash."""
    _git(tmp_path / "shop" / ".git")
    (deep := tmp_path / "shop" / "a" / "b").mkdir(parents=True)
    assert repository_of(deep) == ("shop", "fix/it")
    (tmp_path / "shop" / ".git" / "HEAD").write_text("0123456789abcdef0123\n")
    assert repository_of(deep) == ("shop", "0123456789ab")


def test_a_worktree(tmp_path):
    """Belongs to its repository, and has a branch of its own."""
    _git(tmp_path / "shop" / ".git", "ref: refs/heads/main\n")
    data = tmp_path / "shop" / ".git" / "worktrees" / "w"
    _git(data)
    (data / "commondir").write_text("../..\n")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".git").write_text(f"gitdir: {data}\n")
    assert repository_of(tmp_path / "w") == ("shop", "fix/it")


def test_no_repository(tmp_path):
    """Nor one that is broken."""
    assert repository_of(tmp_path) == ("", "")
    (tmp_path / ".git").mkdir()
    assert repository_of(tmp_path) == ("", "")
