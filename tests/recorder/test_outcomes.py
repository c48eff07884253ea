"""Commits of a session from its commands and its repository to the rows that tell of them."""

import hashlib

import pytest

from agenttrace_mitm.clock import now_us
from agenttrace_mitm.recorder.outcomes import _OF_CALL, Outcomes
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store import Spool, Writer, open_database
from agenttrace_mitm.store.commits import ONE_WORK, WORKS
from agenttrace_mitm.store.forgetting import forget_calls, forget_text
from agenttrace_mitm.store.pruning import prune
from agenttrace_mitm.store.retention import let_go
from agenttrace_mitm.store.sessions import sessions, story
from agenttrace_mitm.traces import Fingerprinter
from tests.support.git import SECOND, Git
from tests.traces.talks import NOON_US, Recording, says, tool_result, tool_use, user

SESSION = {"x_claude_code_session_id": "s-1"}
SECRET = "ghp_canaryF1g2H3i4J5k6L7m8N9o0P1q2R3s4"


class Desk:
    """A repository, an agent that works in it, and who looks at what comes of it."""

    def __init__(self, home, folder):
        self.database = home / "data.db"
        self.home = home
        self.git = Git(folder)
        self.git.commit("Before", NOON_US - 600 * SECOND, a_py="1\n")
        self.talk = Recording(open_database(self.database).conn)
        self.asked = [user("Mend it.")]
        self.at_us = NOON_US
        self._n = 0

    @property
    def db(self):
        return self.talk.db

    def commands(self, *commands, session=SESSION, cwd=None):
        """The agent has *commands* run side by side: pairs of a command and what it gives back.

        What it gives back may be a function, which is called with the time at which it runs.
        """
        cwd = str(self.git.folder) if cwd is None else cwd
        blocks, results = [], []
        for command, output in commands:
            self._n += 1
            blocks += tool_use(f"t{self._n}", "Bash", command=command)["content"]
            self.at_us = self.talk._now + 3 * SECOND  # when the reply has ended
            told = output(self.at_us) if callable(output) else output
            failed = told.startswith("Exit code")
            results += tool_result(f"t{self._n}", told, is_error=failed)["content"]
        made = {"role": "assistant", "content": blocks}
        self.talk.call(self.asked, made, cwd=cwd, **session)
        self.asked = [*self.asked, made, {"role": "user", "content": results}]

    def end(self, reply="Done.", session=SESSION, **given):
        """The agent says that it is done; then somebody looks at what came of it."""
        self.talk.call(self.asked, says(reply), cwd=str(self.git.folder), **session)
        self.asked = [*self.asked, says(reply)]
        self.look(**given)

    def look(self, credentials=(), session="%"):
        writer = Writer(self.database, Spool(self.home / "spool"), lambda ids: None)
        outcomes = Outcomes(self.database, writer)
        writer.start()
        outcomes.start()
        answers = self.db.execute(
            "select answered_by_call_id, t.call_id, t.position from tool_calls t"
            " join llm_calls c on c.id = t.call_id"
            " where answered_by_call_id is not null and c.session_id like ?",
            (session,),
        )
        for by, call_id, position in answers.fetchall():
            outcomes.expect(_Brings(by, call_id, position), credentials)
            outcomes.saved([by])
        outcomes.stop()
        writer.stop()

    def commits(self, columns="message, how, call_id is not null"):
        return self.db.execute(
            f"select {columns} from commits order by committed_us, message"
        ).fetchall()

    def commit(self, message, **files):
        """A command that commits."""
        return lambda at_us: self.git.commit(message, at_us, **files)


class _Brings:
    """As much of a record as says which tool call's result it brings."""

    def __init__(self, by, call_id, position):
        self.call = type("Call", (), {"id": by})
        self.tool_results = [type("Result", (), {"call_id": call_id, "position": position})]


@pytest.fixture
def desk(home, tmp_path):
    made = Desk(home, tmp_path / "shop")
    yield made
    made.db.close()


def test_a_commit_is_linked_to_the_command_and_the_prompt_that_made_it(desk):
    desk.commands(("git commit -am 'Mend it'", desk.commit("Mend it\n\nProperly.", a_py="2\n3\n")))
    desk.end()
    desk.asked = [*desk.asked, user("Thanks.")]
    desk.end("!")
    row = desk.db.execute("select * from commits")
    [commit] = [dict(zip([c[0] for c in row.description], each, strict=True)) for each in row]
    [(call_id, trace_id)] = desk.db.execute(
        "select t.call_id, c.trace_id from tool_calls t join llm_calls c on c.id = t.call_id"
    )
    assert commit.pop("found_us")
    assert commit == {
        "sha": desk.git.head, "session_id": "s-1", "repository": "shop", "branch": "main",
        "message": "Mend it\n\nProperly.", "author_us": desk.at_us, "committed_us": desk.at_us,
        "files": 1, "lines_added": 2, "lines_removed": 1,
        "numstat": '[["a.py",2,1]]', "replaced": 0, "trace_id": trace_id, "call_id": call_id,
        "position": 0, "how": "output", "confidence": 1.0,
    }  # fmt: skip
    told = story(desk.db, "s-1")
    assert [len(prompt.commits) for prompt in told.prompts] == [1, 0]
    [shown] = told.agent_commits
    assert (shown.sha, shown.lines_added, shown.lines_removed) == (desk.git.head, 2, 1)
    assert sessions(desk.db)[0].commits == 1


def test_a_quiet_commit_is_found_by_its_time(desk):
    def quiet(at_us):
        desk.commit("Quiet", a_py="2\n")(at_us)
        return ""

    desk.commands(("git commit -qam Quiet", quiet))
    desk.end()
    assert desk.commits() == [("Quiet", "time", 1)]


def test_a_failed_commit_links_nothing(desk):
    """Not even what somebody else commits meanwhile."""

    def fails(at_us):
        desk.commit("By hand", a_py="2\n")(at_us)
        return "Exit code 1\nnothing to commit, working tree clean"

    desk.commands(("git commit -m x", fails))
    desk.end()
    assert desk.commits() == [("By hand", "meanwhile", 0)]
    told = story(desk.db, "s-1")
    assert (told.agent_commits, sessions(desk.db)[0].commits) == ([], 0)
    assert [one.is_of_agent for one in told.prompts[0].commits] == [False]


def test_a_failed_commit_alone_leaves_no_row(desk):
    desk.commands(("git commit -m x", "Exit code 1\nnothing to commit"))
    desk.end()
    assert desk.commits() == []


def test_commands_side_by_side(desk):
    desk.commands(
        ("git commit -am One", desk.commit("One", a_py="2\n")),
        ("ls", "a.py"),
        ("git commit -am Two", desk.commit("Two", a_py="3\n")),
    )
    desk.end()
    assert desk.commits("message, position, how") == [("One", 0, "output"), ("Two", 2, "output")]


def test_what_a_person_commits_between_commands_is_said_so(desk):
    desk.commands(("ls", "a.py"))
    desk.git.commit("By hand", desk.at_us + 2 * SECOND, b_py="1\n")  # while the model answers
    desk.commands(("git commit -am x", desk.commit("By the agent", a_py="2\n")))
    desk.end()
    assert desk.commits() == [("By hand", "meanwhile", 0), ("By the agent", "output", 1)]


def test_an_amended_commit_is_replaced(desk):
    def amend(at_us):
        return desk.git("commit", "--amend", "-m", "Better", at_us=at_us)

    desk.commands(("git commit -am x", desk.commit("First", a_py="2\n")))
    desk.end()
    desk.commands(("git commit --amend -m Better", amend))
    desk.end()
    assert desk.commits("message, replaced") == [("First", 1), ("Better", 0)]
    told = story(desk.db, "s-1")
    assert [one.message for one in told.agent_commits] == ["Better"]


def test_where_the_repository_cannot_be_read_git_s_answer_is_what_there_is(desk):
    """Such as in a container, or where it belongs to another user."""
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n3\n")), cwd="/not/here")
    desk.talk.call(desk.asked, says("Done."), cwd="/not/here", **SESSION)
    desk.look()
    columns = "sha, message, branch, files, lines_added, lines_removed, committed_us, how"
    assert desk.commits(columns) == [
        (desk.git.head[:7], "Mend it", "main", 1, 2, 1, None, "output")
    ]
    # Once it can be read, the same commit is not there twice.
    desk.db.execute("update llm_calls set cwd = ?", (str(desk.git.folder),))
    desk.look()
    assert desk.commits("sha, lines_added") == [(desk.git.head, 2)]


def test_a_call_of_which_nobody_knows_who_made_it(desk):
    """It may have been over too soon: the session's other calls tell where it worked."""
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n3\n")), cwd="")
    desk.end()
    assert desk.commits("sha, lines_added") == [(desk.git.head, 2)]


def test_two_sessions_in_one_repository_each_have_their_own(desk):
    """A commit belongs to the command that made it, whoever sees it first."""
    other = {"x_claude_code_session_id": "s-2"}
    first = desk.asked
    desk.asked = [user("Something else.")]
    desk.commands(("ls", ""), session=other)
    second, desk.asked = desk.asked, first
    desk.commands(("git commit -am x", desk.commit("Of the first", a_py="2\n")))
    desk.talk.call(desk.asked, says("Done."), **SESSION)
    desk.asked = second
    desk.commands(("git commit -am x", desk.commit("Of the second", a_py="3\n")), session=other)
    desk.talk.call(desk.asked, says("Done."), cwd=str(desk.git.folder), **other)
    desk.look(session="s-2")
    columns = "session_id, message, how"
    seen = ("s-2", "Of the second", "output")
    assert desk.commits(columns) == [("s-2", "Of the first", "meanwhile"), seen]
    for _ in range(2):
        desk.look()
        assert desk.commits(columns) == [("s-1", "Of the first", "output"), seen]


def test_branches_and_pull_requests_are_kept(desk):
    url = "https://github.com/o/shop/pull/3"
    desk.commands(("git switch -c fix", "Switched to a new branch 'fix'"))
    desk.commands(("gh pr create --fill", f"{url}\n"), ("gh pr view", f"url: {url}"))
    desk.end()
    rows = desk.db.execute("select kind, name, made from git_refs order by kind").fetchall()
    assert rows == [("branch", "fix", 1), ("pull_request", url, 1)]
    [prompt] = story(desk.db, "s-1").prompts
    assert [(ref.name, ref.made) for ref in prompt.refs] == [("fix", True), (url, True)]


def test_secrets_are_taken_out(desk):
    """Of messages and paths as of any other text; also the credential of the exchange itself."""
    desk.commands(("git commit -qm x", desk.commit(f"Use {SECRET}", a_py="2\n")))
    (desk.git.folder / SECRET).write_text("1\n")
    desk.git.commit("key shapeless-credential-1", desk.at_us)
    shapeless = "shapeless-credential-1"
    digest = (len(shapeless), hashlib.sha256(shapeless.encode()).hexdigest())
    desk.end(credentials=[digest])
    rows = str(desk.db.execute("select * from commits").fetchall())
    assert SECRET not in rows
    assert shapeless not in rows
    assert rows.count("[redacted:") == 3


def test_rebuilding_traces_keeps_commits_and_links_them_anew(desk):
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n")))
    desk.git.commit("By hand", desk.at_us + 2 * SECOND, b_py="1\n")
    desk.commands(("git commit -qam y", lambda at: desk.commit("Quiet", a_py="3\n")(at) and ""))
    desk.end()
    before = desk.db.execute("select * from commits").fetchall()
    assert len(before) == 3
    prints = Fingerprinter(b"k" * 32)
    for _ in range(2):
        retrace(desk.database, prints)
        assert desk.db.execute("select * from commits").fetchall() == before
    desk.db.execute(
        "update commits set trace_id = 'x', call_id = null, position = null, how = 'meanwhile'"
    )
    retrace(desk.database, prints)
    assert desk.db.execute("select * from commits").fetchall() == before


def test_links_outlive_the_words_that_they_rest_on(desk):
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n")))
    desk.end()
    later = now_us() + SECOND
    while let_go(desk.db, later):
        pass
    kept = "sha, message, numstat, lines_added, how, call_id is not null"
    assert desk.commits(kept) == [(desk.git.head, None, None, 1, "output", 1)]
    retrace(desk.database, Fingerprinter(b"k" * 32))
    assert desk.commits(kept) == [(desk.git.head, None, None, 1, "output", 1)]


@pytest.mark.parametrize(("what", "name"), [("session", "s-1"), ("agent", "writer")])
def test_forgetting_takes_commits_along(desk, what, name):
    headers = SESSION | {"agent": "writer"}
    desk.git.commit("By hand", NOON_US + 2 * SECOND, b_py="1\n")
    url = "https://github.com/o/shop/pull/3"
    desk.commands(
        ("git commit -am x", desk.commit("Mend it", a_py="2\n")),
        ("gh pr create", url),
        session=headers,
    )
    desk.end(session=headers)
    assert len(desk.commits()) == 2
    counted = forget_calls(desk.database, Spool(desk.home / "spool"), what, name)
    assert (counted["commits"], counted["git_refs"]) == (2, 2)
    assert desk.commits() == []


def test_a_forgotten_text_goes_from_commits(desk):
    desk.commands(("git commit -am x", desk.commit("Mend the zebra", a_py="2\n")))
    desk.end()
    forget_text(desk.database, Spool(desk.home / "spool"), "zebra")
    assert desk.commits() == [("Mend the [forgotten]", "output", 1)]


def test_pruning_takes_words_and_leaves_figures(desk):
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n")))
    desk.end()
    day_us = 86_400 * SECOND
    prune(desk.database, now_us() + 2 * day_us, days=1, max_bytes=None, dry_run=False)
    assert desk.commits("message, lines_added") == [(None, 1)]


def test_what_came_while_nobody_looked_is_looked_at_at_the_start(home, tmp_path):
    """The recorder was killed between a result and the look at it."""
    desk = Desk(home, tmp_path / "shop")
    desk.talk = Recording(desk.db, at_us=now_us() // SECOND * SECOND - 60 * SECOND)
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n")))
    desk.talk.call(desk.asked, says("Done."), **SESSION)
    desk.look(session="nobody's")
    assert desk.commits() == [("Mend it", "output", 1)]
    desk.db.close()


def test_only_programs_of_this_machine_have_their_repository_read(desk):
    """A folder that a program tells us of itself is not looked into."""
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n")))
    desk.db.execute("update llm_calls set source = 'sdk'")
    desk.end()
    assert desk.commits("sha, lines_added, committed_us") == [(desk.git.head[:7], 1, None)]


def test_a_look_costs_the_same_however_much_was_done_before(desk):
    """Results are large and many: only commands that speak of git are read again."""
    for _ in range(3):
        desk.commands(("ls", "a.py"), ("git status", "clean"))
    desk.commands(("git commit -am x", desk.commit("Mend it", a_py="2\n")))
    desk.end()
    assert desk.commits() == [("Mend it", "output", 1)]
    plans = {}
    for name, sql in {"one": ONE_WORK, "all": WORKS, "session": _OF_CALL}.items():
        given = ("x",) * sql.count("?")
        plans[name] = [row[3] for row in desk.db.execute(f"explain query plan {sql}", given)]
    assert not [step for plan in plans.values() for step in plan if step.startswith("SCAN")]
    assert len(desk.db.execute(WORKS, ("s-1",)).fetchall()) == 4
