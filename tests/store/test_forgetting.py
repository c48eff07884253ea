"""What is forgotten leaves no byte in any file; what others use stays."""

import json

import pytest
from click.testing import CliRunner

from agenttrace_mitm.cli import cli
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.model import (
    Payload,
    Record,
    StoredCommit,
    StoredPrompt,
    StoredRef,
    StoredSession,
    StoredToolCall,
)
from agenttrace_mitm.model.placement import Placement
from agenttrace_mitm.store import Spool, open_database, request_of
from agenttrace_mitm.store.chains import Recent
from agenttrace_mitm.store.commits import write_commit, write_ref
from agenttrace_mitm.store.forgetting import forget_calls, forget_text
from agenttrace_mitm.store.payloads import headers_of
from agenttrace_mitm.store.prompts import tools_of
from agenttrace_mitm.store.revise import problems
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, call, message

CANARY = "zxcanary-Grüße"
PLAIN = "zxcanary"


def talk(agent, session, *said, call_id=None, continues=None, **values):
    """A call of an agent with everything that can hold its words."""
    one = call(
        id=call_id or new_id(), agent_id=agent, session_id=session, cost_nano_usd=5,
        continues_call_id=continues, trace_id=("1" if agent == "kept" else "0") * 32, **values,
    )  # fmt: skip
    place = StoredSession(session_id=session, agent_id=agent, started_us=NOON_US, ended_us=NOON_US)
    return Record(
        call=one, messages=said,
        tool_calls=(StoredToolCall(tool_call_id="t", position=0, name="ls", arguments=session),),
        payload=Payload(request_body=json.dumps([m.text for m in said]).encode() * 20),
        placement=Placement(session=place),
    )  # fmt: skip


@pytest.fixture
def place(home):
    """A home with a kept agent and a doomed one, whose words stand everywhere."""
    db = open_database(home / "data.db").conn
    shared = message("shared words", 0)
    secret = [message(f"{CANARY} number {n} {word}", n + 1) for n, word in enumerate("abcdefgh")]
    doomed = talk("doomed-zxcanary", "s-zxcanary", shared, *secret, call_id=new_id(NOON_US),
                  error_message=f"went wrong: {CANARY}", tags={"note": CANARY})  # fmt: skip
    write_record(db, doomed)
    write_record(db, talk("kept", "s2", shared, message("kept words", 1)))
    now = NOON_US
    db.execute(
        "insert into events (id, at_us, agent_id, session_id, type, message)"
        " values ('e', ?, ?, ?, 'x', ?)",
        (now, "doomed-zxcanary", "s-zxcanary", CANARY),
    )
    db.execute(
        "insert into alert_firings (id, rule_id, subject, message, started_us, evidence)"
        " values ('f', 'r', 'all', ?, ?, ?)",
        (CANARY, now, json.dumps({"calls": [doomed.call.id], "rows": [CANARY]})),
    )
    db.execute(
        "insert into alert_deliveries (id, firing_id, topic, body) values ('d', 'f', 'r', ?)",
        (json.dumps({"message": CANARY}),),
    )
    db.close()
    spool = Spool(home / "spool")
    spool.add([doomed, talk("kept", "s2", message("spooled", 0))])
    spool.bury(doomed, "because")
    return home


def traces_of(home, word):
    found = []
    for file in home.rglob("*"):
        if file.is_file() and word.encode() in file.read_bytes():
            found.append(file.name)
    return found


@pytest.mark.parametrize(
    ("what", "name"), [("agent", "doomed-zxcanary"), ("session", "s-zxcanary")]
)
def test_an_agent_or_session_leaves_no_byte(place, what, name):
    assert "data.db" in traces_of(place, PLAIN)
    counted = forget_calls(place / "data.db", Spool(place / "spool"), what, name)
    assert counted["llm_calls"] == 1
    assert counted["spool"] == 2
    assert traces_of(place, PLAIN) == []
    db = open_database(place / "data.db").conn
    assert [row[0] for row in db.execute("select text from messages order by id")] == [
        "shared words", "kept words",
    ]  # fmt: skip
    assert db.execute("select sum(calls), sum(cost_nano_usd) from rollup_day").fetchone() == (1, 5)
    db.close()
    assert problems(place / "data.db") == []
    (file,) = Spool(place / "spool").waiting()
    assert [record.call.agent_id for record in Spool(place / "spool").read(file)] == ["kept"]


def test_of_a_trace_only_what_programs_said_of_its_agent_stays(place):
    """Not what they said of the trace; events that name none stay."""
    db = open_database(place / "data.db").conn
    db.execute("update events set trace_id = ?", ("0" * 32,))
    db.execute("insert into events (id, at_us, agent_id, type) values ('n', 1, 'kept', 'x')")
    db.close()
    counted = forget_calls(place / "data.db", Spool(place / "spool"), "trace", "0" * 32)
    assert (counted["llm_calls"], counted["spool"], counted["events"]) == (1, 2, 1)
    assert traces_of(place, PLAIN) == []
    db = open_database(place / "data.db").conn
    assert db.execute("select id from events").fetchall() == [("n",)]
    db.close()
    assert problems(place / "data.db") == []


@pytest.mark.parametrize("text", [CANARY, PLAIN])
def test_a_text_goes_wherever_it_stands(place, text):
    """Also as JSON, and within JSON; the rows and their figures stay."""
    counted = forget_text(place / "data.db", Spool(place / "spool"), text)
    assert counted["messages"] >= 8
    left = traces_of(place, text)
    assert left == []
    db = open_database(place / "data.db").conn
    assert db.execute("select count(*), sum(cost_nano_usd) from llm_calls").fetchone() == (2, 10)
    assert "[forgotten]" in db.execute("select error_message from llm_calls").fetchone()[0]
    words = "select count(*) from messages_fts where messages_fts match 'number'"
    assert db.execute(words).fetchone() == (8,)
    assert db.execute("select count(*) from payloads where request_body is null").fetchone() == (1,)
    db.close()
    assert problems(place / "data.db") == []


def test_a_text_goes_from_headers_and_the_others_stay(home):
    """They are stored compressed; damaged ones could hold it unseen."""
    db = open_database(home / "data.db").conn
    for id_, title in (("a", f"{CANARY} and {CANARY}"), ("b", "nothing"), ("c", "nothing")):
        payload = Payload(request_headers=[("x-title", title)], response_headers=[("date", "x")])
        write_record(db, Record(call=call(id=id_), payload=payload))
    db.execute("update payloads set response_headers = x'03ff' where call_id = 'c'")
    kept = db.execute("select request_headers from payloads where call_id = 'b'").fetchone()
    db.close()
    assert forget_text(home / "data.db", Spool(home / "spool"), CANARY)["payloads"] == 2
    db = open_database(home / "data.db").conn
    (a, *rest), b, c = db.execute(
        "select request_headers, response_headers from payloads order by call_id"
    ).fetchall()
    assert headers_of(a) == [["x-title", "[forgotten] and [forgotten]"]]
    assert headers_of(rest[0]) == [["date", "x"]]
    assert (b[0], c[1]) == (kept[0], None)
    db.close()


def test_a_text_goes_from_the_tools_of_prompts(home):
    db = open_database(home / "data.db").conn
    tools = [{"name": "ls", "description": f"Lists {CANARY}. " * 9}, {"name": "cat"}]
    prompt = StoredPrompt(prompt_id="p", agent_id="a", tools=tools, n_tools=2)
    write_record(db, Record(call=call(prompt_id="p", agent_id="a"), prompt=prompt))
    db.close()
    assert forget_text(home / "data.db", Spool(home / "spool"), CANARY)["prompts"] == 1
    db = open_database(home / "data.db").conn
    [(stored, sizes)] = db.execute("select tools, tool_sizes from prompts").fetchall()
    assert tools_of(stored) == [
        {"name": "ls", "description": "Lists [forgotten]. " * 9},
        {"name": "cat"},
    ]
    assert [name for name, _ in json.loads(sizes)] == ["ls", "cat"]
    db.close()


def test_a_kept_call_keeps_the_history_it_continues(home):
    """Another session went on from a forgotten one: what it was sent with stays its own."""
    db = open_database(home / "data.db").conn
    first, second = new_id(NOON_US), new_id(NOON_US + 10**6)
    write_record(
        db, talk("a", "gone", message("one", 0), message("reply", 1, "out"), call_id=first)
    )
    write_record(db, talk("a", "gone", message("two", 2), call_id=second, continues=first))
    write_record(db, talk("b", "kept", message("three", 3), continues=second))
    write_record(db, talk("a", "gone", message("nobody's", 3), continues=second))
    db.close()
    forget_calls(home / "data.db", Spool(home / "spool"), "session", "gone")
    db = open_database(home / "data.db").conn
    rows = db.execute(
        "select c.position, m.text from call_messages c join messages m on m.id = c.message_id"
        " order by c.position"
    )
    assert rows.fetchall() == [(0, "one"), (1, "reply"), (2, "two"), (3, "three")]
    assert db.execute("select count(*) from messages").fetchone() == (4,)
    db.close()
    assert problems(home / "data.db") == []


@pytest.mark.parametrize("how", ["agent", "text"])
def test_bodies_that_are_stored_as_what_they_add_can_still_be_read(home, how):
    """To a forgotten body: they stand alone before it goes."""
    db, recent = open_database(home / "data.db").conn, Recent()
    said = [b" ".join(b"word %d" % n for n in range(500 + turn)) for turn in range(4)]
    bodies = [said[0], said[1] + CANARY.encode(), said[2], said[3]]
    ids = [new_id(NOON_US + turn) for turn in range(4)]
    for turn, (id_, body) in enumerate(zip(ids, bodies, strict=True)):
        agent = "doomed" if turn == 1 else "kept"
        one = call(id=id_, agent_id=agent, continues_call_id=ids[turn - 1] if turn else None)
        write_record(db, Record(call=one, payload=Payload(request_body=body)), recent)
    after = "select count(*) from payloads where stored_after is not null"
    assert db.execute(after).fetchone() == (3,)
    db.close()
    if how == "agent":
        forget_calls(home / "data.db", Spool(home / "spool"), "agent", "doomed")
    else:
        forget_text(home / "data.db", Spool(home / "spool"), CANARY)
    db = open_database(home / "data.db").conn
    left = [request_of(db, id_) for id_ in ids]
    db.close()
    assert left == [bodies[0], None, bodies[2], bodies[3]]
    assert problems(home / "data.db") == []
    assert traces_of(home, CANARY) == []


def test_what_is_not_there_is_said(place):
    for what in ("agent", "session", "trace"):
        said = CliRunner().invoke(cli, ["db", "forget", f"--{what}", "nobody", "--yes"])
        assert said.exit_code == 1
        assert f"There is no {what} 'nobody': nothing was forgotten" in said.output
    absent = CliRunner().invoke(cli, ["db", "forget", "--text", "nowhere at all", "--yes"])
    assert (absent.exit_code, absent.output) == (0, "It stands nowhere.\n")
    with pytest.raises(StoreError, match="too short"):
        forget_text(place / "data.db", Spool(place / "spool"), "abc")


def test_the_command_asks_first(place):
    done = CliRunner().invoke(cli, ["db", "forget", "--session", "s-zxcanary"], input="n\n")
    assert done.exit_code == 1
    assert traces_of(place, PLAIN)
    done = CliRunner().invoke(cli, ["db", "forget", "--session", "s-zxcanary"], input="y\n")
    assert done.exit_code == 0, done.output
    assert traces_of(place, PLAIN) == []
    assert CliRunner().invoke(cli, ["db", "forget", "--yes"]).exit_code == 2


@pytest.mark.parametrize("how", ["agent", "session", "text"])
def test_prompts_commits_and_sums_forget_too(home, how):
    """What is told about calls beside them: the agent's prompt, its commits, branches, rollups."""
    db = open_database(home / "data.db").conn
    for agent, session, word in (("doomed-zxcanary", "s-zxcanary", CANARY), ("kept", "s2", "kept")):
        prompt = StoredPrompt(
            prompt_id=f"p-{session}", agent_id=agent, system=f"You are {word}.",
            tools=[{"name": "ls", "description": word}],
        )  # fmt: skip
        one = talk(agent, session, message(word, 0), prompt_id=prompt.prompt_id)
        write_record(db, one.model_copy(update={"prompt": prompt}))
        id_ = one.call.id
        for n, made_by in enumerate((id_, None)):
            commit = StoredCommit(
                sha=f"{n}" * 40, session_id=session, message=f"Say {word}", found_us=NOON_US,
                numstat=[[1, 2, f"{word}.py"]], how="time", call_id=made_by, position=0,
            )  # fmt: skip
            write_commit(db, commit)
        ref = StoredRef(session_id=session, kind="branch", name=f"fix-{word}", made=True,
                        call_id=id_, position=0, at_us=NOON_US)  # fmt: skip
        write_ref(db, ref)
    db.close()
    assert "data.db" in traces_of(home, PLAIN)
    spool = Spool(home / "spool")
    if how == "text":
        forget_text(home / "data.db", spool, PLAIN)
    else:
        name = {"agent": "doomed-zxcanary", "session": "s-zxcanary"}[how]
        forget_calls(home / "data.db", spool, how, name)
    assert traces_of(home, PLAIN) == []
    db = open_database(home / "data.db").conn
    left = 2 if how == "text" else 1
    for table, each in (("prompts", 1), ("commits", 2), ("git_refs", 1), ("rollup_session", 1)):
        assert db.execute(f"select count(*) from {table}").fetchone() == (each * left,), table
    assert db.execute("select sum(calls) from rollup_session").fetchone() == (left,)
    assert db.execute("select system from prompts where agent_id = 'kept'").fetchone() == (
        "You are kept.",
    )
    db.close()
    assert problems(home / "data.db") == []
