"""Real coding agents through `run --`: a prompt, a command that they run, their calls as rows.

`scripts/agents` installs them; without it these tests are skipped by name.
"""

import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agenttrace_mitm.access import fingerprint_key
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store.graph import Edge, communication
from agenttrace_mitm.store.queries import reading
from agenttrace_mitm.store.sessions import story
from agenttrace_mitm.traces import Fingerprinter
from agenttrace_mitm.traces.stories import Story
from tests.support.fake_upstream import PROVIDERS, Exchange, Upstream
from tests.support.git import Git
from tests.support.instance import select

from . import agent_scripts as scripts
from . import agent_task as task
from . import transcripts

INSTALLED = Path(__file__).parent / "agents" / "node_modules" / ".bin"
COMMAND = [sys.executable, "-m", "agenttrace_mitm"]
PROMPT = "Make the file made.txt"
KEY = "sk-ant-api03-not-a-key"
PATIENCE_S = 180.0
ANSWERS: dict[str, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    "/v1/messages": (scripts.anthropic, "text/event-stream"),
    "/v1/responses": (scripts.openai, "text/event-stream"),
    ":streamGenerateContent": (scripts.google, "text/event-stream"),
    ":generateContent": (scripts.google, "application/json"),
}
MODELS = {"data": [], "models": [], "object": "list"}


@dataclass(frozen=True)
class Agent:
    """A coding agent: how it is started, what its environment needs, how it is told by the wire."""

    name: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    client: str
    calls_itself: str
    provider: str
    tool: str


AGENTS = (
    Agent(
        "claude",
        ("-p", PROMPT, "--allowedTools", "Bash,Edit,Read,Agent"),
        # It would install its next version for the whole machine.
        {"ANTHROPIC_API_KEY": KEY, "DISABLE_AUTOUPDATER": "1"},
        "claude-code",
        "claude-cli/2.1.329",
        "anthropic",
        "Bash",
    ),
    Agent(
        "codex",
        ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT),
        {"CODEX_API_KEY": "sk-not-a-key", "OPENAI_API_KEY": "sk-not-a-key"},
        "codex",
        "codex_exec/0.171.0",
        "openai",
        "",
    ),
    Agent(
        "gemini",
        ("-p", PROMPT, "--yolo", "-m", "gemini-2.5-pro"),
        {"GEMINI_API_KEY": "not-a-key", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
        "gemini-cli",
        "GeminiCLI-tui/0.61.0/",
        "google",
        "run_shell_command",
    ),
)


TEAM = replace(
    AGENTS[1],
    arguments=("exec", "-m", "gpt-5.5", "--enable", "multi_agent_v2", *AGENTS[1].arguments[1:]),
)
"""Codex with a model that has a price, functions for tools, and sub-agents."""


async def answer(exchange: Any) -> None:
    """What the script says; lists are empty, sockets are refused, all else is fine."""
    target = exchange.request.target.partition("?")[0]
    if exchange.request.header("upgrade"):
        await exchange.respond(404, b"{}")
        return
    if isinstance(exchange, Exchange):
        await exchange.read_body()
    else:
        await exchange.ended.wait()
    found = next((ANSWERS[part] for part in ANSWERS if target.endswith(part)), None)
    if found is None or exchange.request.method != "POST":
        known = [("content-type", "application/json")]
        await exchange.respond(200, json.dumps(MODELS).encode(), known)
        return
    script, kind = found
    body = script(json.loads(exchange.request.body))
    if kind == "text/event-stream" and body.startswith(b"{"):
        body = b"data: " + body + b"\r\n\r\n" if "Generate" in target else body
        kind = kind if "Generate" in target else "application/json"
    await exchange.respond(200, body, [("content-type", kind)])


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """The providers, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="providers", daemon=True)
    thread.start()
    found = Upstream(tmp_path_factory.mktemp("upstream"), answer)
    asyncio.run_coroutine_threadsafe(found.__aenter__(), loop).result()
    yield found
    with contextlib.suppress(Exception):  # agents hang up as they like
        asyncio.run_coroutine_threadsafe(found.__aexit__(None, None, None), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="module")
def environ(upstream: Upstream) -> Iterator[dict[str, str]]:
    """An instance that stays."""
    home = Path(tempfile.mkdtemp(prefix="at-"))  # short: sockets have short names
    given = os.environ | {
        "AGENTTRACE_HOME": str(home),
        "AGENTTRACE_PROXY_PORT": "0",
        "AGENTTRACE_PORT": "0",
        "AGENTTRACE_UPSTREAM_CA": str(upstream.ca),
        "AGENTTRACE_UPSTREAM_MAP": json.dumps(upstream.map(*PROVIDERS)),
    }
    subprocess.run([*COMMAND, "start", "--detach", "--no-open"], env=given, check=True)
    try:
        yield given
    finally:
        subprocess.run([*COMMAND, "stop", "--now"], env=given, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _rows(environ: dict[str, str], agent: Agent) -> list[dict[str, Any]]:
    """Its model calls in order, once both of them are there."""
    database = Path(environ["AGENTTRACE_HOME"]) / "data.db"
    sql = """
        select * from llm_calls
        where agent_id = ? and kind = 'llm' and outcome = 'ok' order by started_us
    """
    end = time.monotonic() + 30
    while len(found := select(database, sql, agent.name)) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _skip_unless_installed(agent: Agent) -> None:
    if not (INSTALLED / agent.name).exists():
        pytest.skip(f"{agent.name} is not installed: scripts/agents")


def _run(
    agent: Agent, environ: dict[str, str], work: Path, home: Path, prompt: str = PROMPT
) -> str:
    """What the agent prints when it is asked in *work*."""
    arguments = [prompt if argument == PROMPT else argument for argument in agent.arguments]
    program = str(INSTALLED / agent.name)
    done = subprocess.run(
        [*COMMAND, "run", "--quiet", "--agent", agent.name, "--", program, *arguments],
        cwd=work,
        env=environ | agent.environ | {"HOME": str(home), "IS_SANDBOX": "1", "CI": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_a_coding_agent_is_recorded(agent: Agent, environ: dict[str, str], tmp_path: Path) -> None:
    """It works as without us; its calls have client, version, session, tokens and the tool call."""
    _skip_unless_installed(agent)
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    said = _run(agent, environ, work, home)
    assert scripts.DONE in said
    assert (work / "made.txt").read_text() == "made-by-the-agent\n", said

    asked, told = _rows(environ, agent)[-2:]
    assert {asked["client"], told["client"]} == {agent.client}
    assert asked["user_agent"].startswith(agent.calls_itself)
    assert asked["provider"] == agent.provider
    assert asked["session_id"] == told["session_id"]
    assert asked["session_id"]
    assert (asked["tokens_in"], told["tokens_out"]) == (scripts.USED_IN, scripts.USED_OUT)
    assert asked["finish_reason"] == "tool_calls"
    assert told["continues_call_id"] == asked["id"]
    database = Path(environ["AGENTTRACE_HOME"]) / "data.db"
    [tool] = select(database, "select * from tool_calls where call_id = ?", asked["id"])
    assert scripts.COMMAND in (tool["arguments"] or "").replace("\\", "")
    assert tool["answered_by_call_id"] == told["id"]
    assert agent.tool in ("", tool["name"])


ASKED = "Split at commas, not at blanks, and commit that."


@dataclass(frozen=True)
class Work:
    """What an agent does of the task, and where it writes that down itself."""

    says: Callable[[Path, dict[str, Any]], bytes]
    transcript: Callable[[Path], transcripts.Transcript]
    kinds: tuple[str, ...]
    sub_agent: str = ""
    price: tuple[float, float, float] | None = None
    """Dollars for a million tokens: read, from the cache, written; None: no price list has it."""
    is_side_by_side: bool = False
    """The sub-agent works while the agent goes on: `kinds` has its steps at the end."""


WORK = {
    "claude": Work(
        task.anthropic,
        transcripts.claude,
        ("read", "edit", "command", "subagent", "command", "command"),
        "claude/Agent",
        (4, 0.2, 20),
    ),
    "codex": Work(
        task.openai,
        transcripts.codex,
        ("command", "patch", "command", "command"),
    ),
    "codex-team": Work(
        task.openai_team,
        transcripts.codex,
        ("command", "patch", "command", "subagent", "other", "command", "command"),
        "codex/spawn_agent",
        (5, 0.5, 30),
        is_side_by_side=True,
    ),
    "gemini": Work(
        task.google,
        transcripts.gemini,
        ("read", "edit", "command", "subagent", "command", "other", "command"),
        "gemini/invoke_agent",
        (1.25, 0.125, 10),
    ),
}


def _told(environ: dict[str, str], work: Path) -> tuple[Story, list[Edge], list[dict[str, Any]]]:
    """The story of the session in *work*, who called whom, and its tool calls; once it is whole."""
    database = Path(environ["AGENTTRACE_HOME"]) / "data.db"
    end = time.monotonic() + 30
    while True:
        ids = select(
            database,
            "select distinct session_id from llm_calls where cwd = ? and kind = 'llm'",
            str(work),
        )
        with reading(database) as db:
            told = story(db, ids[0]["session_id"]) if ids else None
            edges = communication(db).edges
        if told and told.commits and told.prompts[-1].reply == task.DONE:
            break
        assert time.monotonic() < end, told
        time.sleep(0.05)
    tools = select(
        database,
        "select t.* from tool_calls t join llm_calls c on c.id = t.call_id where session_id = ?"
        " order by t.started_us",
        told.session_id,
    )
    return told, list(edges), tools


def _turns(environ: dict[str, str], session_id: str) -> list[transcripts.Turn]:
    """What was recorded of a session's answers, as its transcript should say; main thread first."""
    rows = select(
        Path(environ["AGENTTRACE_HOME"]) / "data.db",
        "select response_model, tokens_in, cache_read_tokens, tokens_out, tool_names"
        " from llm_calls c join threads t using (thread_id)"
        " where c.session_id = ? and c.outcome = 'ok' and c.kind = 'llm'"
        " order by t.parent_span_id is not null, c.started_us",
        session_id,
    )
    told = [list(row.values()) for row in rows]
    return [transcripts.Turn(*row, tuple(json.loads(names or "[]"))) for *row, names in told]


@pytest.mark.parametrize(
    ("agent", "working"),
    [*((agent, agent.name) for agent in AGENTS), (TEAM, "codex-team")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_session_is_told_as_it_was(
    agent: Agent,
    working: str,
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prompt, steps, diff, commit, sub-agent and cost: as scripted, as git and the agent say."""
    _skip_unless_installed(agent)
    does = WORK[working]
    for path, (_, kind) in list(ANSWERS.items()):
        monkeypatch.setitem(ANSWERS, path, (functools.partial(does.says, tmp_path / "work"), kind))
    home = tmp_path / "home"
    home.mkdir()
    git = Git(tmp_path / "work")
    git("config", "user.name", "A")
    git("config", "user.email", "a@example.org")
    git.commit("Begin", 0, parse_py=task.BEFORE)
    said = _run(agent, environ, git.folder, home, ASKED)
    assert task.DONE in said
    assert (git.folder / task.FILE).read_text() == task.AFTER, said
    own = does.transcript(home)

    told, edges, tools = _told(environ, git.folder)
    [prompt] = told.prompts
    assert own.session_id in ("", told.session_id)
    assert [prompt.text] == own.prompts == [ASKED]
    assert prompt.reply == own.reply == task.DONE
    steps = list(prompt.steps)
    if does.is_side_by_side:
        steps.sort(key=lambda step: step.in_sub_agent)
    assert tuple(step.action.kind for step in steps) == does.kinds
    assert _turns(environ, told.session_id) == own.turns
    assert sorted(tool["name"] for tool in tools) == sorted(own.tools)
    commands = [step for step in prompt.steps if step.action.kind == "command"]
    assert all(step.action.exit_code == 0 for step in commands)
    ran = next(step.action for step in commands if step.action.target == task.RUN)
    assert task.PRINTED in ran.output
    assert all(tool["answered_by_call_id"] for tool in tools if tool["name"] != "complete_task")

    [change] = [change for step in prompt.steps for change in step.action.changes]
    theirs = git("show", "--format=", "HEAD").splitlines()
    assert change.diff.splitlines() == [
        line for line in theirs if not line.startswith(("diff ", "index "))
    ]
    body = change.diff.splitlines()[3:]
    assert own.diff == body[: len(own.diff)]  # Codex keeps a line of context
    assert [line for line in own.diff if line[0] != " "] == [
        line for line in body if line[0] != " "
    ]

    [commit] = prompt.commits
    assert told.commits == (commit,)
    assert (commit.sha, commit.message, commit.branch) == (git.head, task.SUBJECT, "main")
    assert (commit.files, commit.lines_added, commit.lines_removed) == (1, 1, 1)
    assert (commit.how, commit.repository) == ("output", "work")
    [made] = [tool for tool in tools if "git commit" in (tool["arguments"] or "")]
    assert commit.call_id == made["call_id"]

    assert prompt.sub_agents == ((does.sub_agent,) if does.sub_agent else ())
    below = [step for step in prompt.steps if step.in_sub_agent]
    assert [step.action.target for step in below][:1] == [task.LOOK] * bool(does.sub_agent)
    assert {step.agent_id for step in below} == set(prompt.sub_agents)
    assert own.below == [task.ASKED_BELOW] * bool(does.sub_agent)
    mine = [edge for edge in edges if edge.caller == agent.name]
    mine = [edge for edge in mine if edge.callee == does.sub_agent]
    assert [(e.times, e.calls) for e in mine] == [(1, 2)] * len(own.below)

    bill = told.bill
    assert bill.tokens_in == sum(turn.tokens_in for turn in own.turns)
    assert bill.tokens_out == sum(turn.tokens_out for turn in own.turns)
    assert bill.calls == len(own.turns)
    assert bill.cost_nano_usd == _priced(own.turns, does.price)
    if own.cost_usd is not None:
        assert bill.cost_nano_usd == round(own.cost_usd * 1e9)
    assert _rebuilt(environ, tmp_path / "copy.db", told.session_id) == told


def _priced(turns: list[transcripts.Turn], price: tuple[float, float, float] | None) -> int | None:
    """Nano-dollars for what *turns* used."""
    if price is None:
        return None
    read, cached, written = (round(1000 * each) for each in price)
    return sum(
        (turn.tokens_in - turn.cached) * read + turn.cached * cached + turn.tokens_out * written
        for turn in turns
    )


def _rebuilt(environ: dict[str, str], copy: Path, session_id: str) -> Story | None:
    """The session's story when everything is inferred anew, in a copy of the database."""
    instance = Path(environ["AGENTTRACE_HOME"])
    with (
        contextlib.closing(sqlite3.connect(instance / "data.db")) as live,
        contextlib.closing(sqlite3.connect(copy)) as to,
    ):
        live.backup(to)
    retrace(copy, Fingerprinter(fingerprint_key(instance / "fingerprint.key")))
    with reading(copy) as db:
        return story(db, session_id)


def _pointed(environ: dict[str, str]) -> dict[str, str]:
    """What makes Claude Code take the proxy for a provider of its own: it leaves marks out then."""
    told = subprocess.run(
        [*COMMAND, "status", "--json"], env=environ, capture_output=True, check=True
    )
    facts = json.loads(told.stdout)
    return {"ANTHROPIC_BASE_URL": f"http://{facts['proxy_host']}:{facts['proxy_port']}"}


@pytest.mark.parametrize("way", ["proxy", "base-url"])
def test_the_security_monitor_of_claude_code_is_no_turn(
    environ: dict[str, str], tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It judges each command in automatic mode: in the bill, never among the prompts."""
    _skip_unless_installed(AGENTS[0])
    agent = replace(
        AGENTS[0],
        arguments=("-p", PROMPT, "--permission-mode", "auto"),
        environ=AGENTS[0].environ | (_pointed(environ) if way == "base-url" else {}),
    )
    # What writes in the folder alone is not judged; a program of its own is.
    monkeypatch.setattr(scripts, "COMMAND", f"python3 -c '{scripts.COMMAND_AS_PROGRAM}'")
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    said = _run(agent, environ, work, home)
    assert scripts.DONE in said
    assert (work / "made.txt").read_text() == "made-by-the-agent\n", said
    own = transcripts.claude(home)

    calls = _calls_in(environ, work, enough={"llm": 2, "auxiliary": 1})
    watching = [call for call in calls if call["kind"] == "auxiliary"]
    with reading(Path(environ["AGENTTRACE_HOME"]) / "data.db") as db:
        told = story(db, own.session_id)
    assert told
    assert watching
    assert {call["session_id"] for call in calls} == {own.session_id}
    assert [prompt.text for prompt in told.prompts] == [PROMPT]
    assert told.prompts[0].bill.calls == len(calls) - len(watching) == 2
    assert (told.bill.calls, told.aside.calls) == (len(calls), len(watching))
    assert told.aside.tokens_out == len(watching) * scripts.USED_OUT


@pytest.mark.parametrize("way", ["proxy", "base-url"])
def test_side_calls_of_claude_code_are_no_turns(
    environ: dict[str, str], tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal it asks for a title: in the bill, never among the prompts."""
    agent = AGENTS[0]
    _skip_unless_installed(agent)
    pointed = _pointed(environ) if way == "base-url" else {}
    pty = pytest.importorskip("pty")
    path = "/v1/messages"
    monkeypatch.setitem(ANSWERS, path, (scripts.anthropic_hello, ANSWERS[path][1]))
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / ".claude.json").write_text(json.dumps(_at_home(work)))
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [*COMMAND, "run", "--quiet", "--agent", "seated", "--", str(INSTALLED / "claude"), ASKED],
        cwd=work,
        env=environ
        | agent.environ
        | pointed
        | {"HOME": str(home), "IS_SANDBOX": "1", "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    reading_on = threading.Thread(target=_read_to_the_end, args=(ours,), daemon=True)
    reading_on.start()
    try:
        calls = _calls_in(environ, work, enough={"llm": 1, "auxiliary": 1})
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        reading_on.join()
        os.close(ours)
    asked, aside = (
        [call for call in calls if call["kind"] == kind] for kind in ("llm", "auxiliary")
    )
    assert [call["session_id"] for call in aside] == [asked[0]["session_id"]] * len(aside)
    with reading(Path(environ["AGENTTRACE_HOME"]) / "data.db") as db:
        told = story(db, asked[0]["session_id"])
    assert told
    assert [prompt.text for prompt in told.prompts] == [ASKED]
    assert (told.bill.calls, told.aside.calls) == (len(calls), len(aside))
    assert told.prompts[0].bill.calls == len(asked)
    assert told.aside.cost_nano_usd
    costs = [prompt.bill.cost_nano_usd or 0 for prompt in told.prompts]
    assert told.bill.cost_nano_usd == sum(costs) + told.aside.cost_nano_usd


def _at_home(work: Path) -> dict[str, Any]:
    """Settings of somebody who has used it before, and trusts *work*."""
    return {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
        "projects": {str(work): {"hasTrustDialogAccepted": True}},
    }


def _read_to_the_end(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


def _calls_in(
    environ: dict[str, str], work: Path, enough: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The ended calls of the program in *work*, once so many of each kind are there."""
    sql = """
        select * from llm_calls
        where cwd = ? and kind in ('llm', 'auxiliary') and outcome = 'ok' order by started_us
    """
    end = time.monotonic() + PATIENCE_S
    while True:
        found = select(Path(environ["AGENTTRACE_HOME"]) / "data.db", sql, str(work))
        kinds = Counter(call["kind"] for call in found)
        if all(kinds[kind] >= number for kind, number in enough.items()):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)
