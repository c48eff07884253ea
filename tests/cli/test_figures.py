"""Figures in the terminal: spend and list prices, what nobody knows, what a gate takes them for."""

import json
import re

import pytest
from click.testing import CliRunner

from agenttrace_mitm import clock
from agenttrace_mitm.cli import cli, text
from agenttrace_mitm.model import Placement, Record, StoredSession
from agenttrace_mitm.store import open_database, queries
from agenttrace_mitm.store.rows import write_record
from tests.support.records import NOON_US, call


def test_values_as_people_read_them():
    assert [text.money(n) for n in (None, 0, 50_000, 1_234_567_890)] == [
        "-",
        "$0",
        "<$0.0001",
        "$1.23",
    ]
    assert [text.duration(n) for n in (None, 12.4, 1234, 126_145_300)] == [
        "-",
        "12 ms",
        "1.2 s",
        "35 h 2 m",
    ]
    assert text.printable("a\x1b[2Jb") == "a\N{REPLACEMENT CHARACTER}[2Jb"
    assert text.table(("n", "t"), []) == "n  t\n-  -"


def test_spend_and_what_is_covered_are_told_apart():
    assert text.bill(None, None) == "-"
    assert text.bill(1_500_000_000, 1_500_000_000) == "$1.50"
    assert text.bill(1_500_000_000, None) == text.bill(1_500_000_000, 0) == "$1.50 not metered"
    assert text.bill(1_500_000_000, 500_000_000) == "$0.50, $1.00 not metered"


def test_no_command_calls_a_list_price_spend(home):
    """Of calls that a subscription covers nobody gets a bill."""
    db = open_database(home / "data.db").conn
    at_us = clock.now_us()
    for n, billing in enumerate(("metered", None, "subscription", "free")):
        one = call(
            id=f"c{n}", started_us=at_us + n, billing=billing, cost_nano_usd=(n + 1) * 10**9,
            session_id="s", agent_id="a" if billing != "free" else "b",
        )  # fmt: skip
        session = StoredSession(session_id="s", started_us=at_us, ended_us=at_us)
        write_record(db, Record(call=one, placement=Placement(session=session)))
    db.close()
    for words in (["stats", "--by", "agent"], ["agents"]):
        shown = CliRunner().invoke(cli, words).output
        head, _, first, second = shown.splitlines()
        assert re.findall(r"spend|not metered|cost", head) == ["spend", "not metered"]
        assert re.findall(r"\$[\d.]+", first) == ["$3.00", "$3.00"]
        assert re.findall(r"\$[\d.]+", second) == ["$0", "$4.00"]
    listed = CliRunner().invoke(cli, ["sessions", "list"]).output
    assert "$3.00, $7.00 not metered" in listed
    told = json.loads(CliRunner().invoke(cli, ["stats", "--json", "--by", "provider"]).output)
    assert (told[0]["cost_nano_usd"], told[0]["spend_nano_usd"]) == (10 * 10**9, 3 * 10**9)


@pytest.mark.parametrize("status, said", [(200, "error"), (529, "error 529"), (None, "error")])
def test_an_error_inside_a_stream_has_no_status_that_all_is_well(status, said):
    one = queries.RecentCall(
        1, "a", NOON_US, "anthropic", "llm", "m", "error", status, 1, 1, None, 1.0, "writer"
    )
    assert re.search(rf"  {said} +writer$", text.call_line(one, colour=False))


def test_what_nobody_knows_is_not_nothing(home):
    """Neither a price nor tokens, nor what a call that failed may have cost; free calls cost 0."""
    db = open_database(home / "data.db").conn
    for id_, model, values in (
        ("a", "mystery", {}), ("b", "broken", {"outcome": "error"}),
        ("c", "both", {}), ("d", "both", {"cost_nano_usd": 10**9, "tokens_in": 5}),
        ("e", "gift", {"cost_nano_usd": 0}),
        ("f", "covered", {"cost_nano_usd": 5, "billing": "free"}),
    ):  # fmt: skip
        one = call(id=id_, started_us=clock.now_us(), model=model, session_id=model, **values)
        write_record(db, Record(call=one))
    db.close()
    shown = CliRunner().invoke(cli, ["stats"]).output
    told = {line.split()[0]: line.split()[3:6] for line in shown.splitlines()[2:]}
    assert told == {
        "mystery": ["-", "-", "-"],
        "broken": ["-", "-", "-"],
        "both": ["5", "-", "$1.00"],
        "gift": ["-", "-", "$0"],
        "covered": ["-", "-", "$0"],
    }
    listed = json.loads(CliRunner().invoke(cli, ["stats", "--json"]).output)
    assert {one["name"]: one["tokens_in"] for one in listed}["mystery"] is None
    for session, said, code in (
        ("mystery", "- and 1 call without a price", 1),
        ("broken", "-", 0),
        ("gift", "$0.00", 0),
    ):
        done = CliRunner().invoke(cli, ["gate", "--session", session, "--max-cost", "1"])
        assert re.search(rf"^spend +{re.escape(said)} +\$1", done.output, re.M), done.output
        assert done.exit_code == code


def test_a_gate_does_not_take_calls_without_usage_for_none(home):
    """They may have read anything; an error has not, nor has what is not counted in tokens."""
    db = open_database(home / "data.db").conn
    for id_, session, values in (
        ("a", "mystery", {"usage_source": "none"}), ("b", "broken", {"outcome": "error"}),
        ("c", "ranked", {"usage_source": "reported"}), ("d", "both", {"usage_source": "none"}),
        ("e", "both", {"tokens_in": 7, "usage_source": "reported"}),
    ):  # fmt: skip
        one = call(id=id_, started_us=clock.now_us(), session_id=session, **values)
        write_record(db, Record(call=one))
    db.close()
    for session, said, code in (
        ("mystery", "- and 1 call without usage", 1), ("broken", "-", 0), ("ranked", "-", 0),
        ("both", "7 and 1 call without usage", 1),
    ):  # fmt: skip
        words = ["gate", "--session", session, "--max-tokens", "9"]
        done = CliRunner().invoke(cli, words)
        assert re.search(rf"^tokens +{said} +9", done.output, re.M), done.output
        assert done.exit_code == code
        assert CliRunner().invoke(cli, [*words, "--allow-unpriced"]).exit_code == 0


def test_a_gate_names_the_agent_and_no_sub_agent(home):
    """As Sessions does; without a session's row it is the agent of the first call."""
    db = open_database(home / "data.db").conn
    at_us = clock.now_us()
    for n, (session, agent) in enumerate(
        [("one", "coder"), ("one", "coder/search"), ("two", "b"), ("two", "c")]
    ):
        one = call(id=f"c{n}", started_us=at_us + n, session_id=session, agent_id=agent)
        of = StoredSession(session_id=session, agent_id="coder", started_us=at_us, ended_us=at_us)
        placement = Placement(session=of) if session == "one" else Placement()
        write_record(db, Record(call=one, placement=placement))
    db.close()
    for session, agent in (("one", "coder"), ("two", "b")):
        shown = CliRunner().invoke(cli, ["gate", "--session", session, "--max-calls", "9"]).output
        assert shown.splitlines()[0] == f"Session {session} of {agent}"


def test_totals_of_an_empty_database(tmp_path):
    open_database(tmp_path / "data.db").close()
    assert queries.totals(tmp_path / "data.db", by="model") == []
    assert queries.last_number(tmp_path / "data.db") == 0


def test_how_recording_fares_in_four_lines():
    """Figures of all processes together; nothing while none has told."""
    from agenttrace_mitm.cli.text import recording

    assert recording({}) == ""
    told = {
        "capture-1": {"proxied_calls": 1200, "request_bytes": 5e6, "dropped_bytes": 7},
        "capture-2": {"proxied_calls": 34, "response_bytes": 2e9},
        "recorder": {"committed_calls": 1233, "lag_seconds": 0.26, "spool_bytes": 1500},
    }
    told["recorder"]["spooled_calls"] = 3
    told["capture-1"]["held_calls"] = 1
    assert recording(told).splitlines() == [
        "Passed    1,234 calls, 5.0 MB sent, 2.0 GB received",
        "Recorded  1,233 calls, lag 0.3 s",
        "Waiting   4 calls, 0 in memory, 1.5 kB in the spool",
        "Dropped   0 calls, 7 B of content",
    ]
