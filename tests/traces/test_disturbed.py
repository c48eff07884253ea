"""Calls that end in another order, come late, twice or again: the same threads, tools and agents.

The runs are ours; `scripts/conformance traces --disturbed all` asks the same of recorded ones.
"""

import json
import sqlite3
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest
from msgspec.structs import replace

from agenttrace_mitm.model import Body, Exchange, Headers
from agenttrace_mitm.retrace import retrace
from agenttrace_mitm.store import open_database
from agenttrace_mitm.traces.late import SIDE_BY_SIDE

from . import disturbed
from .inferred import differences, rows
from .runs import record_all
from .talks import NOON_US, PRINTS, SECOND, Recording, says, tool_result, tool_use, user
from .written import runs

LINKS = """
    select id, continues_call_id, continues_how, history, thread_id, trace_id, agent_id, prompt_id
    from llm_calls where outcome = 'ok' order by id
"""
TOOLS = "select call_id, position, answered_by_call_id, how from tool_calls order by 1, 2"
SPANS = "select span_id, trace_id, parent_span_id, kind, name, thread_id from spans order by 1"
THREADS = "select thread_id, agent_id, parent_thread_id, parent_span_id from threads order by 1"
MESSAGES = "select call_id, direction, position, choice from call_messages order by 1, 2, 3, 4"


def told(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """What was inferred, times aside."""
    return {sql: db.execute(sql).fetchall() for sql in (LINKS, TOOLS, SPANS, THREADS, MESSAGES)}


def recorded(path: Path, disturbance: disturbed.Disturbance, restart_every: int = 0):
    db = open_database(path).conn
    record_all(db, disturbance(runs()), restart_every=restart_every)
    return db


@pytest.fixture
def steady(tmp_path):
    return told(recorded(tmp_path / "steady.db", list))


def test_the_written_runs_are_what_they_say(tmp_path):
    """Else agreeing with them would mean nothing."""
    db = recorded(tmp_path / "a.db", list)
    [[calls, threads]] = db.execute("select count(*), count(distinct thread_id) from llm_calls")
    assert (calls, threads) == (30, 10)
    below = "select count(*) from threads where parent_span_id is not null"
    assert db.execute(below).fetchone() == (2,)
    open_ = "select count(*) from tool_calls where answered_by_call_id is null"
    assert db.execute(open_).fetchone() == (0,)
    forks = "select count(*) from llm_calls where history = 'forked'"
    assert db.execute(forks).fetchone() == (2,)


@pytest.mark.parametrize(
    "disturbance",
    [
        *(pytest.param(partial(disturbed.shuffled, seed=s), id=f"shuffled {s}") for s in (1, 2, 3)),
        pytest.param(disturbed.belated, id="belated"),
        pytest.param(lambda calls: calls[::-1], id="backwards"),
        pytest.param(disturbed.twice, id="twice"),
    ],
)
def test_the_order_in_which_calls_come_changes_nothing(tmp_path, steady, disturbance):
    """Nor does placing them again: live and rebuild give the same tables."""
    path = tmp_path / "data.db"
    db = recorded(path, disturbance)
    assert told(db) == steady
    before = rows(db)
    assert retrace(path, PRINTS).changed == 0
    assert differences(before, rows(db)) == []


@pytest.mark.parametrize("every", [1, 5])
def test_a_restart_changes_nothing(tmp_path, steady, every):
    assert told(recorded(tmp_path / "data.db", list, restart_every=every)) == steady


def test_a_new_recorder_knows_what_the_one_before_knew():
    """Ids repeat: the latest that has one, made since, must not hide the earlier."""
    talk = Recording()
    asked = [user("Which files of the project are too long?")]
    look, brought = tool_use("call_1", "lines"), tool_result("call_1", "900 a.py")
    first = talk.call(asked, look, pid=1)
    again = Recording(talk.db, at_us=NOON_US + 60 * SECOND)
    again.call([user("What is the time?")], tool_use("call_1", "date"), pid=2)
    # Its history was edited: only the id tells.
    later = again.call([user("Files too long?"), look, brought], says("Only a.py."), pid=1)
    assert again.of(later, "continues_call_id") == first
    answered = "select answered_by_call_id from tool_calls where call_id = ?"
    assert again.row(answered, first) == (later,)


def test_calls_that_fail_first_are_where_they_would_be(tmp_path, steady):
    """A retry has the place of its first attempt; what it brings and makes is the same."""
    db = recorded(tmp_path / "data.db", disturbed.retried)
    [[tries]] = db.execute("select count(*) from llm_calls where attempt = 2")
    assert tries == 10
    found = told(db)
    # The attempt that failed brought the result already.
    tools = [(*row[:2], row[2].removesuffix("-failed"), row[3]) for row in found[TOOLS]]
    assert tools == steady[TOOLS]
    links = [(row[0], row[1], row[6]) for row in found[LINKS]]
    assert links == [(row[0], row[1], row[6]) for row in steady[LINKS]]
    [[threads]] = db.execute("select count(distinct thread_id) from llm_calls")
    assert threads == 10


def test_a_late_parent_takes_its_child_and_what_hangs_on_it(tmp_path):
    """The child's tools, its sub-agent and the words that were stored with it go along."""
    path = tmp_path / "data.db"
    talk = Recording(open_database(path).conn)
    asked = [user("What is in the cellar?")]
    first = says("I shall have somebody look into the cellar of the house.")
    prompt = "Go down into the cellar and write a list of everything that stands there."
    task = tool_use("toolu_0123456789abcdef", "Task", prompt=prompt)
    late = talk.exchange(asked, first)
    child = talk.call([*asked, first, user("Please do.")], task)
    below = talk.call([user(prompt)], says("Wine, coal, a bicycle."))
    result = [task, tool_result("toolu_0123456789abcdef", "Wine, coal, a bicycle.")]
    last = talk.call([*asked, first, user("Please do."), *result], says("Wine, coal, a bicycle."))
    assert talk.of(child, "continues_call_id") is None
    messages = "select count(*) from call_messages where call_id = ? and direction = 'in'"
    assert talk.row(messages, child) == (4,)
    talk.add(late)
    assert talk.of(child, "continues_call_id") == late.id
    assert talk.of(last, "thread_id") == late.id
    assert talk.row(messages, child) == (2,)
    assert talk.row("select parent_thread_id from threads where thread_id = ?", below) == (late.id,)
    before = rows(talk.db)
    assert retrace(path, PRINTS).changed == 0
    assert differences(before, rows(talk.db)) == []


def test_a_late_call_takes_who_brings_its_result_without_the_history():
    """Of what was said the request repeats nothing: the id of the result alone tells."""
    talk = Recording()
    look = tool_use("call_0123456789abcdef", "lines")
    late = talk.exchange([user("Which files are too long?")], look)
    brought = tool_result("call_0123456789abcdef", "900 a.py")
    after = talk.call([brought], says("Only a.py."))
    assert talk.of(after, "continues_call_id") is None
    talk.add(late)
    assert talk.of(after, "continues_call_id") == late.id
    assert talk.of(after, "history") == "compacted"
    answered = "select answered_by_call_id from tool_calls where call_id = ?"
    assert talk.row(answered, late.id) == (after,)


def counting() -> list[Exchange]:
    """A client that takes up one of the tools that it was asked to call, and forgets the others."""
    talk = Recording()
    first, second, other, third, last = (
        tool_use(f"toolu_{name}0123456789", "count", value=name[:-1])
        for name in ("oneA", "twoA", "twoB", "threeB", "threeC")
    )

    def both(one: dict, another: dict) -> dict:
        return {"role": "assistant", "content": [*one["content"], *another["content"]]}

    asked = [user("Count to three, please.")]
    calls = [talk.exchange(asked, both(first, second))]
    for made, reply in (
        (first, both(other, third)),
        (other, last),
        (last, says("One, two, three.")),
    ):
        asked = [*asked, made, tool_result(made["content"][0]["id"], "counted")]
        calls.append(talk.exchange(asked, reply))
    return calls


def test_in_whatever_order_they_end_the_same_is_told():
    """What a call was thought to answer, before the one came that it does, is open again."""
    calls = counting()
    found = set()
    for order in permutations(calls):
        talk = Recording()
        for one in order:
            talk.add(one)
        found.add(json.dumps({sql: talk.db.execute(sql).fetchall() for sql in (LINKS, TOOLS)}))
    [same] = found
    assert json.loads(same)[TOOLS][1][2] == calls[3].id, "by name and arguments alone"


def test_an_open_call_of_the_same_id_does_not_hide_the_late_one():
    """Another session's sub-agent is still at work, and its id repeats."""
    talk = Recording()
    brief = "Go down into the cellar and write a list of everything that stands there."
    talk.call([user("What is there?")], tool_use("call_1", "Task", prompt=brief), pid=1)
    late = talk.exchange([user("Which files are too long?")], tool_use("call_1", "lines"), pid=2)
    # Its history was edited: only the id tells.
    after = talk.call([user("Too long?"), tool_result("call_1", "900 a.py")], says("a."), pid=2)
    talk.add(late)
    assert talk.of(after, "continues_call_id") == late.id


def test_a_late_twin_that_said_something_else_takes_who_repeats_it():
    """The id repeats, so the earlier twin seemed to have made the call as well."""
    talk = Recording()
    asked = [user("Which files are too long?")]
    talk.call(asked, tool_use("call_1", "lines", path="a"))
    late = talk.exchange(asked, tool_use("call_1", "lines", path="b"))
    told = [*asked, tool_use("call_1", "lines", path="b"), tool_result("call_1", "900 b.py")]
    after = talk.call(told, says("Only b.py."))
    talk.add(late)
    assert talk.of(after, "continues_call_id") == late.id


CELLAR = "Go down into the cellar and write a list of everything that stands there."


def test_a_version_that_is_nobodys_any_more_goes():
    """The sub-agent's prompt is its own once the late call that started it has come."""
    talk = Recording()
    task = tool_use("toolu_0123456789abcdef", "Task", prompt=CELLAR)
    late = talk.exchange([user("What is in the cellar?")], task)
    below = talk.call([user(CELLAR)], says("Wine."), system="You look into cellars.")
    versions = "select prompt_id from prompts order by 1"
    alone = talk.of(below, "prompt_id")
    talk.add(late)
    own = sorted(talk.of(id_, "prompt_id") for id_ in (late.id, below))
    assert [id_ for [id_] in talk.db.execute(versions)] == own
    # Who asks as that one did before brings its version again.
    again = talk.call([user("Who are you?")], says("Nobody."), system="You look into cellars.")
    assert talk.of(again, "prompt_id") == alone
    assert talk.row("select count(*) from prompts where prompt_id = ?", alone) == (1,)


def test_a_sub_agent_goes_to_the_likelier_twin_that_came_late(tmp_path):
    """Two open tool calls have its first words: the later one started it."""
    path = tmp_path / "data.db"
    talk = Recording(open_database(path).conn)
    first = tool_use("toolu_0123456789abcdef", "Task", prompt=CELLAR)
    talk.call([user("What is in the cellar?")], first)
    second = tool_use("toolu_fedcba9876543210", "Task", prompt=CELLAR)
    late = talk.exchange([user("Is there wine in the cellar?")], second)
    below = talk.call([user(CELLAR)], says("Wine, coal, a bicycle."))
    talk.add(late)
    assert talk.row("select parent_thread_id from threads where thread_id = ?", below) == (late.id,)
    before = rows(talk.db)
    assert retrace(path, PRINTS).changed == 0
    assert differences(before, rows(talk.db)) == []


GREETING = [user("Say hello to everybody in the house."), says("Hello, everybody in the house!")]


def test_of_equal_calls_the_later_is_gone_on_from_however_long_the_first_took():
    """Its connection may have ended long after its reply was complete."""
    talk = Recording()
    first = talk.exchange(GREETING[:1], GREETING[1])
    second = talk.exchange(GREETING[:1], GREETING[1])
    later = talk.exchange([*GREETING, user("Once more.")], says("Hello."))
    for one in (second, later, replace(first, ended_us=later.ended_us + 1)):
        talk.add(one)
    assert talk.of(later.id, "continues_call_id") == second.id


def test_a_call_that_found_its_late_parent_is_found_by_the_likelier_twin_of_it():
    """Both came after what goes on from one of them."""
    talk = Recording()
    first = talk.exchange(GREETING[:1], GREETING[1])
    second = talk.exchange(GREETING[:1], GREETING[1])
    later = talk.call([*GREETING, user("Once more.")], says("Hello."))
    talk.add(first)
    assert talk.of(later, "continues_call_id") == first.id
    talk.add(second)
    assert talk.of(later, "continues_call_id") == second.id


def test_the_last_of_many_that_wait_alike_finds_its_late_parent():
    """Equal runs, one after the other, all look for the same."""
    talk = Recording()
    for number in range(SIDE_BY_SIDE):
        talk.call([*GREETING, user(f"Now in language {number}.")], says("Hello."))
    late = talk.exchange(GREETING[:1], GREETING[1])
    last = talk.call([*GREETING, user("Once more.")], says("Hello."))
    talk.add(late)
    assert talk.of(last, "continues_call_id") == late.id


def test_a_retry_goes_on_from_what_its_first_attempt_went_on_from():
    """That one has taken it, but not from its own operation."""
    talk = Recording()
    talk.call(GREETING[:1], GREETING[1])
    second = talk.call(GREETING[:1], GREETING[1])
    more = [*GREETING, user("Once more.")]
    failed = talk.call(more, says(""), status=529)
    again = talk.call(more, says("Hello."))
    assert talk.of(again, "operation_id") == failed
    assert [talk.of(id_, "continues_call_id") for id_ in (failed, again)] == [second, second]


def test_a_failed_attempt_is_not_taken_for_one_whose_reply_was_lost():
    """The history was retold: it goes on from the attempt that was answered."""
    talk = Recording()
    failed = talk.call(GREETING[:1], says(""), status=529)
    answered = talk.call(GREETING[:1], GREETING[1])
    assert talk.of(answered, "operation_id") == failed
    told = [GREETING[0], says("Good day to all of you in there."), user("Once more.")]
    later = talk.call(told, says("Hello."))
    assert talk.of(later, "continues_call_id") == answered


def test_what_was_retried_is_no_open_end():
    """A prompt that failed, was answered, and gone on from: who repeats no reply begins anew."""
    talk = Recording()
    failed = talk.call(GREETING[:1], says(""), status=529)
    answered = talk.call(GREETING[:1], GREETING[1])
    assert talk.of(answered, "operation_id") == failed
    talk.call([*GREETING, user("Once more.")], says("Hello."))
    other = talk.call([GREETING[0], user("And to the garden.")], says("Hello, garden!"))
    assert talk.of(other, "continues_call_id") is None


def test_a_failure_is_in_one_piece_and_its_caller_streams_all_the_same():
    """Equal conversations, one of them streamed: its failed attempt belongs to that one."""
    talk = Recording()
    first = talk.exchange(GREETING[:1], GREETING[1])
    talk.add(_streamed(first, "Hello, everybody in the house!"))
    talk.call(GREETING[:1], GREETING[1])
    failed = talk.exchange([*GREETING, user("Once more.")], says(""), status=529)
    record = talk.add(_streamed(failed))
    assert record.call.streamed
    assert talk.of(failed.id, "continues_call_id") == first.id


def _streamed(one: Exchange, reply: str = "") -> Exchange:
    """*one* with a stream asked for, and *reply* streamed where there is one."""
    request = Body.of(json.dumps({**json.loads(one.request.data), "stream": True}).encode())
    if not reply:
        return replace(one, request=request)
    message = {**json.loads(one.response.data), "content": [], "stop_reason": None}
    text = {"type": "text_delta", "text": reply}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    lines = (f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
    stream = Headers((("content-type", "text/event-stream"),))
    body = Body.of("".join(lines).encode())
    return replace(one, request=request, response_headers=stream, response=body)
