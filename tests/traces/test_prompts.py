"""System prompts and tool sets: the same one is recognised, another one is another version."""

import time

import pytest

from agenttrace_mitm.store.prompts import tools_of
from agenttrace_mitm.traces.volatile import lasting

from .talks import Recording, says, user

CLAUDE = """You are a coding agent.

Here is useful information about the environment you are running in:
<env>
Working directory: {folder}
Is directory a git repo: Yes
Platform: linux
Today's date: {date}
</env>
You are powered by a model.

gitStatus: This is the git status at the start of the conversation.

Current branch: {branch}

Status:
M {folder}/a.py

Recent commits:
{commit} Mend the wheel
{commit} Add a wheel
"""

READ = {"name": "Read", "description": "Reads a file.", "input_schema": {"type": "object"}}
WRITE = {"name": "Write", "description": "Writes a file.", "input_schema": {"type": "object"}}


def prompt_of(talk: Recording, system: str, **given: object) -> str:
    call = talk.call([user("Hello there.")], says("Hello."), system=system, **given)  # type: ignore[arg-type]
    found: str = talk.of(call, "prompt_id")
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            CLAUDE.format(folder="/home/a", date="2026-01-02", branch="main", commit="a1b2c3d"),
            CLAUDE.format(folder="/srv/b", date="2026-03-04", branch="side", commit="0f9e8d7"),
        ),
        (
            "<environment_context>\n<cwd>/a</cwd>\n</environment_context> Work.",
            "<environment_context>\n<cwd>/b</cwd> zsh\n</environment_context> Work.",
        ),
        (
            "Today's date is Monday, November 3, 2025 .\nDirectory: /home/a\nHelp.",
            "Today's date is Tuesday, March 31, 2026 .\nDirectory: /home/b\nHelp.",
        ),
        ("It is 3 May 2026, 10:15 AM UTC.", "It is 14 June 2027, 7:02 PM UTC."),
        ("Now: 2026-05-03T10:15:00.123Z!", "Now: 2026-06-14T00:00:59.9Z!"),
        ("Run 0b6f6f5e-3b6e-4a52-8d51-0d7c5a7f9a11.", "Run 9a6f6f5e-3b6e-4a52-8d51-0d7c5a7f9a99."),
        ("Token usage: 1,234/200000; 198766 remaining", "Token usage: 99/200000; 3 remaining"),
        ("You have 12,000 tokens left.", "You have 900 tokens left."),
        (
            "x-anthropic-billing-header: cc_version=2.1; cch=9b9a1;\nHelp.",
            "x-anthropic-billing-header: cc_version=2.2; cch=00ce4;\nHelp.",
        ),
    ],
)
def test_what_changes_by_itself_is_set_aside(one: str, other: str) -> None:
    assert lasting(one) == lasting(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Answer in 3 sentences.", "Answer in 5 sentences."),
        ("Use at most 1000 words.", "Use at most 2000 words."),
        ("<env>\nDate\n</env> Be kind.", "<env>\nDate\n</env> Be brief."),
        ("Version 2.1 of the rules.", "Version 2.2 of the rules."),
    ],
)
def test_what_somebody_wrote_is_not(one: str, other: str) -> None:
    assert lasting(one) != lasting(other)


@pytest.mark.parametrize("piece", ["<env>", "1,", "gitStatus:\n", "12:", "a1", "date: "])
def test_hostile_text_takes_no_longer_than_its_length(piece: str) -> None:
    """No pattern goes back over what it has read: ten times the text, not a hundred times."""
    took = []
    for times in (2_000, 20_000):
        began = time.process_time()
        lasting(piece * times)
        took.append(time.process_time() - began)
    assert took[1] < 40 * max(took[0], 0.01)


def test_the_same_prompt_on_another_day_is_the_same_version() -> None:
    talk = Recording()
    first = prompt_of(talk, "You help. Today is 2026-01-02.", tools=[READ, WRITE])
    again = prompt_of(talk, "You help. Today is 2026-01-03.", tools=[WRITE, READ])
    assert first == again
    [[system]] = talk.db.execute("select system from prompts").fetchall()
    assert system == "You help. Today is [date]."


def test_other_words_other_tools_other_agents_are_other_versions() -> None:
    talk = Recording()
    found = [
        prompt_of(talk, "You help.", tools=[READ]),
        prompt_of(talk, "You help much.", tools=[READ]),
        prompt_of(talk, "You help.", tools=[READ, WRITE]),
        prompt_of(talk, "You help.", tools=[READ | {"description": "Reads."}]),
        prompt_of(talk, "You help.", tools=[READ], agent="other"),
    ]
    assert len(set(found)) == len(found)
    [count] = talk.row("select count(*) from prompts")
    assert count == len(found)


def test_cache_marks_are_no_change() -> None:
    talk = Recording()
    marked = READ | {"cache_control": {"type": "ephemeral"}}
    assert prompt_of(talk, "A.", tools=[READ]) == prompt_of(talk, "A.", tools=[marked])


def test_metadata_alone_keeps_prints_and_counts() -> None:
    talk = Recording(tier=1)
    prompt_of(talk, "You help a canary.", tools=[READ | {"description": "canary"}])
    row = talk.row("select system, tools, n_tools, system_chars > 0, privacy_tier from prompts")
    assert row == (None, None, 1, 1, 1)
    assert not any("canary" in line for line in talk.db.iterdump())


def test_a_higher_tier_brings_the_words() -> None:
    low = Recording(tier=1)
    prompt_of(low, "You help.")
    prompt_of(Recording(low.db, tier=3), "You help.")
    assert low.row("select system, privacy_tier from prompts") == ("You help.", 3)


def test_a_secret_in_a_prompt_is_redacted() -> None:
    talk = Recording()
    secret = "sk-ant-api03-" + "Ab3" * 31
    prompt_of(talk, f"Your key is {secret}.", tools=[READ | {"description": f"Use {secret}"}])
    system, tools = talk.row("select system, tools from prompts")
    assert "[redacted" in system
    assert secret not in system + str(tools_of(tools))


def test_a_call_without_either_has_none() -> None:
    assert prompt_of(Recording(), "") is None
