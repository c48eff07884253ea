"""Whatever tables there are, forgetting reaches each: one that is added later is tried by itself.

Every table gets a row whose every text holds a canary that names its column, so that what is left
says where.  Files beside the database are tried as well: the log, the spool, dead letters.
"""

import json
import re
import sqlite3

import pytest
from click.testing import CliRunner

from agenttrace_mitm.cli import cli
from agenttrace_mitm.clock import new_id
from agenttrace_mitm.model import Payload, Record, StoredPrompt
from agenttrace_mitm.store import Spool, open_database, search
from agenttrace_mitm.store.forgetting import forget_calls, forget_text
from agenttrace_mitm.store.histograms import unpack as unpack_histogram
from agenttrace_mitm.store.payloads import pack, unpack
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, call, message

PLACE = re.compile(rb"zxcanary ?([\w.]*)>?")
KEYS = {
    name: f"<zxcanary {name}>" for name in ("agent_id", "session_id", "trace_id", "thread_id")
} | {"subject": "<zxcanary agent_id>"}
_NOBODYS = {
    "alert_rules": "somebody wrote it: docs/privacy.md",
    "api_tokens": "of programs that ask",
    "blind_spots": "of hosts",
    "recorder_events": "of the recorder",
    "content_mark": "it repeats the settings",
    "rollup_model": "it has no agents and sessions",
}
"""What an agent or a session leaves there is not of its calls; a text goes from there as well."""
NOBODYS = {
    "agent": {*_NOBODYS, "audit"},
    "session": {*_NOBODYS, "audit", "rollup_hour", "rollup_day"},  # no sessions there
    "text": set(),
}
PACKED = {"payloads": ("request_headers", "response_headers", "request_body", "response_body",
                       ), "prompts": ("tools",), "media": ("data",)}  # fmt: skip


def tables(db):
    found = db.execute(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        " and name not like '\\_%' escape '\\' and name not like 'messages_fts%'"
    )
    return [name for (name,) in found]


def value_of(table, column, type_, call_id):
    """What stands in a *column* of a *table*; None where nothing does."""
    if column in {"latencies", "arrivals"}:
        return None  # numbers alone
    if type_ in ("integer", "float", "real"):
        return {"id": 900, "since_us": NOON_US - 10**12, "stored_after": None}.get(column, 1)
    if column.endswith("call_id") or column == "retry_of":
        return call_id
    if column in KEYS:
        return KEYS[column]
    if column in PACKED.get(table, ()):
        return pack(json.dumps([f"<zxcanary {table}.{column}>"]).encode())
    assert type_ == "text", f"{table}.{column}: how is it read, and what reaches it?"
    if (table, column) == ("alert_firings", "evidence"):
        return json.dumps({"calls": [call_id], "rows": ["<zxcanary evidence>"]})
    if (table, column) == ("prompts", "tool_sizes"):
        return json.dumps([["<zxcanary tool_sizes>", 1]])
    if (table, column) == ("alert_deliveries", "firing_id"):
        return "<zxcanary alert_firings.id>"
    return f"<zxcanary {table}.{column}>"


@pytest.fixture
def home_full(home):
    """A home where a doomed call's words stand in every table; gives a function that fills it."""

    def fill(how):
        keys = {name: KEYS[name] for name in ("agent_id", "session_id", "trace_id", "thread_id")}
        id_ = new_id(NOON_US)
        prompt = StoredPrompt(prompt_id="p", agent_id=KEYS["agent_id"], system="<zxcanary system>")
        doomed = Record(
            call=call(id=id_, prompt_id="p", **keys),
            messages=(message("<zxcanary said by the wire>"),),
            payload=Payload(request_body=b"<zxcanary body>" * 99, request_headers=[("a", "b")]),
            prompt=prompt,
        )
        db = open_database(home / "data.db").conn
        write_record(db, doomed)
        write_record(db, Record(call=call(agent_id="kept"), messages=(message("kept words"),)))
        filled = set()
        for table in tables(db):
            if table == "llm_calls" or table in NOBODYS[how]:
                continue
            columns = [
                (row[1], row[2].lower()) for row in db.execute(f"pragma table_info({table})")
            ]
            values = {name: value_of(table, name, type_, id_) for name, type_ in columns}
            names = ", ".join(f'"{name}"' for name in values)
            db.execute(
                f"insert or replace into {table} ({names}) values ({', '.join('?' * len(values))})",
                list(values.values()),
            )
            filled.add(table)
        search.index_new(db)
        db.close()
        spool = Spool(home / "spool")
        spool.add([doomed])
        spool.bury(doomed, "<zxcanary reason>" if how == "text" else "because")
        return filled

    return home, fill


def places_left(home):
    """Where canaries are left, file by file."""
    return sorted(
        f"{file.name}: {found.decode()}"
        for file in home.rglob("*")
        if file.is_file()
        for found in {match[0] for match in PLACE.finditer(file.read_bytes())}
    )


def packed_left(database):
    """Where canaries are left that stand compressed."""
    with sqlite3.connect(database) as db:
        rows = [
            (f"{table}.{column}", unpack(stored))
            for table, columns in PACKED.items()
            for column in columns
            for (stored,) in db.execute(f"select {column} from {table}")
            if isinstance(stored, bytes)
        ]
    return [place for place, told in rows if told and b"zxcanary" in told]


@pytest.mark.parametrize("how", ["agent", "session", "text"])
def test_nothing_is_left_in_any_table_or_file(home_full, how):
    home, fill = home_full
    filled = fill(how)
    assert packed_left(home / "data.db")
    spool = Spool(home / "spool")
    if how == "text":
        forget_text(home / "data.db", spool, "zxcanary")
    else:
        forget_calls(home / "data.db", spool, how, KEYS[f"{how}_id"])
    assert {"alert_firings", "commits", "events", "holds", "rollup_session"} <= filled
    assert places_left(home) == []
    assert packed_left(home / "data.db") == []
    with sqlite3.connect(home / "data.db") as db:
        texts = [row[0] for row in db.execute("select text from messages where text is not null")]
    assert "kept words" in texts


@pytest.mark.parametrize(("how", "name"), [("agent", "zxcanary"), ("session", "s-zxcanary")])
def test_whoever_wrote_about_it_by_the_api_named_it(home, how, name):
    db = open_database(home / "data.db").conn
    write_record(db, Record(call=call(agent_id="zxcanary", session_id="s-zxcanary")))
    db.execute(
        "insert into audit (at_us, who, method, path) values (1, 'cli', 'POST', ?)",
        (f"/api/agents/{name}",),
    )
    db.execute("insert into holds values ('s-zxcanary', 1, 'zxcanary wants it')")
    db.execute("insert into sessions (session_id, agent_id) values ('s-zxcanary', 'zxcanary')")
    db.close()
    forget_calls(home / "data.db", Spool(home / "spool"), how, name)
    assert places_left(home) == []
    with sqlite3.connect(home / "data.db") as db:
        assert db.execute("select path from audit").fetchall() == [("/api/agents/[forgotten]",)]


def test_sums_of_what_is_told_apart_no_more_are_added_up(home):
    """Where calls went by age, nothing but these is left: names go, figures stay."""
    db = open_database(home / "data.db").conn
    for agent, latency in (("zxcanary", 10), ("[forgotten]", 10), ("kept", 10)):
        one = call(agent_id=agent, session_id="s", latency_ms=latency, cost_nano_usd=5)
        write_record(db, Record(call=one))
    histogram = "select latencies from rollup_model"
    (all_three,) = db.execute(histogram).fetchone()
    db.execute("delete from llm_calls")
    db.execute("insert into horizon values (1, ?)", (NOON_US * 2,))
    db.close()
    assert forget_text(home / "data.db", Spool(home / "spool"), "zxcanary") == {"sums": 3}
    assert places_left(home) == []
    with sqlite3.connect(home / "data.db") as db:
        for table in ("hour", "day", "session"):
            sql = f"select agent_id, calls, cost_nano_usd from rollup_{table} order by 1"
            assert db.execute(sql).fetchall() == [("[forgotten]", 2, 10), ("kept", 1, 5)]
        spend = "select session_id, calls, cost_nano_usd from rollup_spend"
        assert db.execute(spend).fetchall() == [("s", 3, 15)]
        took = [unpack_histogram(row[0]) for row in db.execute("select latencies from rollup_day")]
    assert sum(took) == unpack_histogram(all_three)
    assert took[0] != took[1]


def test_files_that_were_set_aside_are_named(home):
    """They cannot be read: who wants to be rid of it has to delete them."""
    open_database(home / "data.db").close()
    (home / "data.db.damaged-20260101T000000Z").write_bytes(b"zxcanary")
    said = CliRunner().invoke(cli, ["db", "forget", "--text", "zxcanary", "--yes"])
    assert "data.db.damaged-20260101T000000Z was set aside" in said.output
    assert said.exit_code == 0
