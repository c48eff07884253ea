"""A coding agent's session told from its calls: prompts, diffs, sub-agents, cost, time."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from agenttrace_mitm.store.sessions import sessions, story
from agenttrace_mitm.traces.stories import Times, pauses_of, split

from ..traces.talks import SECOND, Json, Recording, says, tool_result, tool_use, user

SESSION = {"x_claude_code_session_id": "s-1"}
FILE = "def parse(text):\n    return text.split()\n\n\nprint(parse('a b'))\n"
NUMBERED = "".join(f"{n}\t{line}\n" for n, line in enumerate(FILE.splitlines(), 1))


def _task(talk: Recording) -> None:
    """Read, edit, test (which fails), plan, ask a sub-agent, and say so; then a second prompt."""
    steps: list[tuple[Json, Json]] = [
        (tool_use("r", "Read", file_path="p.py"), tool_result("r", NUMBERED)),
        (
            tool_use("e", "Edit", file_path="p.py", old_string="text.split()", new_string="text"),
            tool_result("e", "The file p.py has been updated."),
        ),
        (
            tool_use("b", "Bash", command="pytest -q"),
            tool_result("b", "Exit code 1\n1 failed", is_error=True),
        ),
        (
            tool_use("t", "TodoWrite", todos=[{"content": "Mend it", "status": "pending"}]),
            tool_result("t", "ok"),
        ),
        (
            tool_use("a", "Agent", description="look", prompt="Find out why the test fails."),
            tool_result("a", "It needs a list."),
        ),
    ]
    asked = [user("<system-reminder>It is Monday.</system-reminder>"), user("Mend the parser.")]
    for call, result in steps:
        talk.call(asked, call, **SESSION)
        if call["content"][0]["name"] == "Agent":
            headers = SESSION | {"x_claude_code_agent_id": "a1"}
            talk.call([user("Find out why the test fails.")], says("It needs a list."), **headers)
        asked += [call, result]
    talk.call(asked, says("It needs a list; I left it."), **SESSION)
    talk.call(
        [user("Mend the parser.")],
        says("Mending"),
        x_claude_code_request_class="auxiliary",
        **SESSION,
    )
    talk.call([*asked, says("It needs a list; I left it."), user("Thanks.")], says("!"), **SESSION)


def test_a_session_tells_what_was_done_for_each_prompt() -> None:
    talk = Recording()
    _task(talk)
    told = story(talk.db, "s-1")
    assert told
    assert [prompt.text for prompt in told.prompts] == ["Mend the parser.", "Thanks."]
    first, second = told.prompts
    assert (first.reply, second.reply) == ("It needs a list; I left it.", "!")
    kinds = [step.action.kind for step in first.steps]
    assert kinds == ["read", "edit", "command", "plan", "subagent"]
    command = first.steps[2].action
    assert (command.target, command.exit_code, command.failed) == ("pytest -q", 1, True)
    assert first.steps[3].action.plan == (("Mend it", "pending"),)
    assert first.sub_agents == ("a1",)
    assert (told.lines_added, told.lines_removed, told.files_touched) == (1, 1, ["p.py"])
    assert told.tool_failures == 1


def test_side_calls_are_in_the_bill_alone() -> None:
    talk = Recording()
    _task(talk)
    told = story(talk.db, "s-1")
    assert told
    assert (told.bill.calls, told.aside.calls) == (9, 1)
    assert sum(prompt.bill.calls for prompt in told.prompts) == 8
    [listed] = sessions(talk.db)
    assert (listed.calls, listed.prompts) == (9, 2)
    assert listed.cost_nano_usd == told.bill.cost_nano_usd


def test_time_before_a_retry_is_not_idle() -> None:
    """While anything works it does not count, nor does the time before another operation."""
    tries = [("a", 0, 10), ("b", 12, 20), ("a", 30, 40), (None, 45, 50), ("a", 60, None)]
    pauses = pauses_of(tries)
    assert pauses == [(10, 30), (40, 60)]
    answering = [(began, ended or began) for _, began, ended in tries]
    assert split((0, 100), answering, [(55, 57)], pauses) == Times(33, 2, 40, 25)
    assert split((0, 100), answering, [(55, 57)]) == Times(33, 2, 65, 0)


def test_time_is_the_models_the_tools_or_nobodys() -> None:
    talk = Recording()
    _task(talk)
    told = story(talk.db, "s-1")
    assert told
    for prompt in told.prompts:
        times = prompt.times
        whole = prompt.ended_us - prompt.started_us
        assert times.model_us + times.tool_us + times.idle_us + times.retry_us == whole
    assert told.prompts[0].times.model_us == 7 * SECOND
    assert told.prompts[0].times.tool_us == 6 * SECOND


def test_the_diff_is_what_git_says(tmp_path: Path) -> None:
    talk = Recording()
    _task(talk)
    told = story(talk.db, "s-1")
    assert told
    [change] = told.prompts[0].steps[1].action.changes
    environ = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *words],
            check=True,
            capture_output=True,
            text=True,
            env=environ,
        )
        return done.stdout

    git("init", "-q")
    (tmp_path / "p.py").write_text(FILE)
    git("add", "p.py")
    (tmp_path / "p.py").write_text(FILE.replace("text.split()", "text"))
    theirs = [line for line in git("diff").splitlines() if not line.startswith(("diff", "index"))]
    assert change.diff.splitlines() == theirs


def test_a_session_without_content_has_names_and_times() -> None:
    """What is not kept is not told, and nothing breaks."""
    talk = Recording()
    _task(talk)
    talk.db.execute("update messages set content = null")
    talk.db.execute("update tool_calls set arguments = null, result = null")
    talk.db.execute("update traces set name = null")
    told = story(talk.db, "s-1")
    assert told
    assert [prompt.text for prompt in told.prompts] == ["", ""]
    assert [step.action.tool for step in told.prompts[0].steps][:2] == ["Read", "Edit"]
    assert json.dumps([step.duration_us for step in told.steps])


def test_an_unknown_session_is_none() -> None:
    assert story(Recording().db, "nobody") is None


@pytest.mark.parametrize(
    "marks",
    [
        {"x_claude_code_request_class": "auxiliary"},  # a title, on the provider's own host
        {"x_claude_code_auxiliary_type": "security_monitor"},
        {"anthropic_beta": "claude-code-20250219,claude-code-side-query-2026-09-29"},
    ],
    ids=lambda marks: next(iter(marks)),
)
def test_no_side_call_is_a_turn_and_each_is_billed(marks: dict[str, str]) -> None:
    """Not even one that says the person's own words, before, amid or after the turns."""
    talk = Recording()
    asked = [user("Mend the parser.")]
    edit = tool_use("b", "Bash", command="ls")
    for messages, reply in (
        (asked, edit),
        ([*asked, edit, tool_result("b", "p.py")], says("Mended.")),
    ):
        talk.call(asked, says("Aside."), **SESSION, **marks)
        talk.call(messages, reply, **SESSION)
    talk.call(asked, says("Aside."), **SESSION, **marks)
    told = story(talk.db, "s-1")
    assert told
    [prompt] = told.prompts
    assert (prompt.text, prompt.reply, len(prompt.steps)) == ("Mend the parser.", "Mended.", 1)
    assert (told.bill.calls, told.aside.calls, prompt.bill.calls) == (5, 3, 2)
    assert told.bill.cost_nano_usd == (told.aside.cost_nano_usd or 0) + (
        prompt.bill.cost_nano_usd or 0
    )


def test_a_title_without_any_header_is_no_prompt_and_no_prompt_version() -> None:
    """As OpenCode asks for one, beside the turn that it is the title of."""
    talk = Recording()
    opencode = {"x_session_id": "ses_1", "user_agent": "opencode/1.2.3"}
    title = "You are a title generator. You output ONLY a thread title. Nothing else."
    bash = [{"name": "bash", "input_schema": {}}]
    talk.call(
        [user("Generate a title for this conversation:\n"), user("Mend the parser.")],
        says("Mending the parser"),
        system=title,
        **opencode,
    )
    talk.call([user("Mend the parser.")], says("Mended."), tools=bash, **opencode)
    [listed] = sessions(talk.db)
    told = story(talk.db, listed.session_id)
    assert told
    assert [prompt.text for prompt in told.prompts] == ["Mend the parser."]
    assert (told.bill.calls, told.aside.calls) == (2, 1)
    systems = talk.db.execute("select system from prompts").fetchall()
    assert [system for (system,) in systems] == ["You help."]
