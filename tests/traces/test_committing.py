"""What commands and their outputs say of commits, branches and pull requests."""

import json

import pytest

from agenttrace_mitm.traces.committing import Named, Ref, Work, claim, work_of

S = 1_000_000
SPAN = (10 * S, 20 * S)


def work(command="git commit -m x", output="", tool="Bash", **given):
    arguments = given.pop("arguments", {"command": command})
    inside = given.pop("inside", None)
    found = work_of(
        given.pop("call_id", "c"), 0, given.pop("span", SPAN), tool=tool,
        arguments=json.dumps(arguments), result=output, inside=inside,
        is_error=given.pop("is_error", False),
    )  # fmt: skip
    assert not given
    return found


@pytest.mark.parametrize(
    "command",
    [
        "git commit -m x",
        "cd /p && git add -A && git commit -q -m 'y z'",
        'git -C "/a b" -c user.name=x commit --amend --no-edit',
        "git --no-pager merge feature",
        "git rebase main",
        "git cherry-pick abc",
        "git revert HEAD",
        "git pull --rebase",
    ],
)
def test_commands_that_make_commits(command):
    assert work(command).makes_commits


@pytest.mark.parametrize(
    "command", ["git status", "git log --oneline", "git push", "git diff", "git add x"]
)
def test_commands_that_make_none(command):
    assert not work(command).makes_commits


def test_no_command_is_no_work():
    assert work(tool="Read", arguments={"file_path": "git commit"}) is None


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (
            "[main 1a2b3c4] Mend it\n 2 files changed, 3 insertions(+), 1 deletion(-)\n",
            Named("1a2b3c4", "main", "Mend it", 2, 3, 1),
        ),
        (
            "[main (root-commit) 1a2b3c4] Begin\n 1 file changed, 1 insertion(+)\n"
            " create mode 100644 a\n",
            Named("1a2b3c4", "main", "Begin", 1, 1, 0),
        ),
        ("[detached HEAD 1a2b3c4] On its own\n", Named("1a2b3c4", "", "On its own")),
        (
            "[fix/a-b 1a2b3c4d5] Again [sic]\n Date: Mon Nov 2 10:00:00 2026 +0000\n"
            " 1 file changed, 2 deletions(-)\n",
            Named("1a2b3c4d5", "fix/a-b", "Again [sic]", 1, 0, 2),
        ),
    ],
)
def test_what_git_answers(output, named):
    assert work(output=output).named == (named,)


def test_results_that_are_json_are_read_too():
    """Gemini CLI's functionResponse, and Codex's list of texts that hold JSON."""
    line = "[main 1a2b3c4] Mend it\n 1 file changed, 1 insertion(+)"
    told = {"exit_code": 0, "output": line}
    texts = [
        {"type": "input_text", "text": "Done"},
        {"type": "input_text", "text": json.dumps(told)},
    ]
    for output in (json.dumps({"output": line}), json.dumps(texts)):
        assert work(output=output).named == (Named("1a2b3c4", "main", "Mend it", 1, 1, 0),)


def test_a_commit_line_that_no_commit_command_printed_is_only_text():
    assert work("git show x:notes", "[main 1a2b3c4] Mend it").named == ()


@pytest.mark.parametrize(
    ("command", "folders"),
    [
        ("cd /p/q && git commit -m x", ("/p/q",)),
        ("git -C '/p/a b' commit -m x", ("/p/a b",)),
        ("git commit -m 'cd home'", ()),
    ],
)
def test_where_the_command_went(command, folders):
    assert work(command).folders == folders


def test_where_the_tool_was_told_to_run_it():
    assert work(arguments={"command": "git commit -m x", "dir_path": "sub"}).folders == ("sub",)
    inside = [{"name": "exec_command", "arguments": {"cmd": "git commit -m x", "workdir": "/p"}}]
    script = work(tool="exec", arguments={}, inside=inside)
    assert (script.makes_commits, script.folders) == (True, ("/p",))


def test_branches_and_pull_requests():
    url = "https://github.com/o/r/pull/12"
    made = work("git switch -c fix && gh pr create", f"Switched to a new branch 'fix'\n{url}\n")
    assert made.refs == (Ref("branch", "fix", True), Ref("pull_request", url, True))
    seen = work("gh pr view 12", f"url: {url}\nSee {url}/files and {url}#x")
    assert {(ref.name, ref.made) for ref in seen.refs} == {(url, False)}
    pushed = work("git push -u origin fix", "To github.com:o/r\n * [new branch]      fix -> fix")
    assert pushed.refs == (Ref("branch", "fix", True),)


def test_a_page_to_open_a_pull_request_is_none():
    output = "remote: https://github.com/o/r/pull/new/fix\n"
    assert work("git push", output).refs == ()


def test_the_answer_names_the_commit_before_time_tells():
    first = work(call_id="a", output="[main 1a2b3c4] One")
    second = work(call_id="b", output="[main 9f8e7d6] Two", span=(11 * S, 19 * S))
    found = claim("9f8e7d6" + "0" * 33, 15 * S, [first, second])
    assert found
    assert (found.work, found.how, found.confidence) == (second, "output", 1.0)


def test_a_quiet_commit_is_found_by_its_time():
    found = claim("0" * 40, 20 * S, [work("git commit -qm x")])
    assert found
    assert (found.how, found.confidence) == ("time", 0.9)
    assert claim("0" * 40, 21 * S, [work("git commit -qm x")]) is None
    # Git's second began before the command did.
    assert claim("0" * 40, 10 * S, [work("git commit -qm x", span=(10 * S + 900_000, 20 * S))])
    assert claim("0" * 40, 9 * S, [work("git commit -qm x")]) is None


def test_a_command_whose_answer_names_its_commit_made_no_other():
    """What a person commits meanwhile is not its own."""
    line = "[main 1a2b3c4] One"
    assert claim("0" * 40, 15 * S, [work("git add -A; git commit -m One", line)]) is None
    found = claim("0" * 40, 15 * S, [work("git commit -m One && git commit -qm Two", line)])
    assert found
    assert found.how == "time"


def test_what_no_git_command_ran_for_is_nobodys():
    assert work("./release.sh") is None
    assert claim("0" * 40, 15 * S, [work("git status"), work("git log")]) is None


@pytest.mark.parametrize(
    "failed", [{"is_error": True}, {"output": "Exit code 1\nnothing to commit"}]
)
def test_a_failed_command_made_nothing_that_time_tells(failed):
    assert claim("0" * 40, 15 * S, [work(**failed)]) is None


def test_a_command_that_failed_after_its_commit_made_what_it_names():
    output = "Exit code 1\n[main 1a2b3c4] One\n1 failed"
    found = claim("1a2b3c4" + "0" * 33, 15 * S, [work("git commit -m x && pytest", output)])
    assert found
    assert isinstance(found.work, Work)


def test_long_odd_commands_cost_no_time():
    """Quadratic patterns would take minutes here."""
    for text in ("git " + "-c " * 5_000, "git x " * 20_000, "cd " * 50_000, "https://" * 20_000):
        work(text, "git " + text)


def test_what_clients_write_around_an_output_hides_nothing():
    """Gemini CLI puts words before it; Codex's scripts print JSON after lines of their own."""
    line = "[main 1a2b3c4] Mend it\n 1 file changed, 1 insertion(+)"
    named = (Named("1a2b3c4", "main", "Mend it", 1, 1, 0),)
    gemini = f"<untrusted_context>\nOutput: {line}\nProcess Group PGID: 7\n</untrusted_context>"
    codex = f"Script completed\nOutput:\n\n{json.dumps({'exit_code': 0, 'output': line})}"
    assert work(output=gemini).named == named
    assert work(output=codex).named == named
