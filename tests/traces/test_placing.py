"""Calls become threads, traces and spans, as a person would tell them."""

import re

from agenttrace_mitm.model import Message, ToolCallPart, ToolResultPart
from agenttrace_mitm.store import KnownContent
from agenttrace_mitm.traces import MadeTool, Seen
from agenttrace_mitm.traces.tools import Pairing

from .talks import NOON_US, PRINTS, SECOND, Recording, says, tool_result, tool_use, user

TASK = "Find out who wrote the parser and when."


def test_a_tool_loop_is_one_trace_and_the_next_question_another() -> None:
    """A trace is what was asked for; a thread is the conversation."""
    talk = Recording()
    asked = [user("What time is it?")]
    first = talk.call(asked, tool_use("t1", "clock"))
    asked += [tool_use("t1", "clock"), tool_result("t1", "noon")]
    second = talk.call(asked, says("Noon."))
    asked += [says("Noon."), user("And tomorrow?")]
    third = talk.call(asked, says("Noon too."))
    assert talk.of(second, "continues_call_id") == first
    assert talk.of(third, "continues_call_id") == second
    assert talk.of(first, "trace_id") == talk.of(second, "trace_id") != talk.of(third, "trace_id")
    assert {talk.of(id_, "thread_id") for id_ in (first, second, third)} == {first}
    assert talk.row("select name from traces where trace_id = ?", talk.of(third, "trace_id")) == (
        "And tomorrow?",
    )


def test_a_tool_span_lasts_from_the_reply_to_the_request_with_its_result() -> None:
    """Parallel calls are told apart, and an error is one."""
    talk = Recording()
    both = {"content": [*tool_use("a", "ls")["content"], *tool_use("b", "cat")["content"]]}
    asked = [user("Look around, please.")]
    first = talk.call(asked, {"role": "assistant", **both})
    results = [*tool_result("a", "x y")["content"]]
    results += tool_result("b", "no such file", is_error=True)["content"]
    asked += [{"role": "assistant", **both}, {"role": "user", "content": results}]
    second = talk.call(asked, says("There is nothing."))
    spans = talk.db.execute(
        "select name, outcome, ended_us - started_us, parent_span_id from spans"
        " where kind = 'tool' order by name"
    ).fetchall()
    above = talk.of(first, "span_id")
    assert spans == [("cat", "error", SECOND, above), ("ls", "ok", SECOND, above)]
    answered = talk.db.execute("select distinct answered_by_call_id from tool_calls").fetchall()
    assert answered == [(second,)]


def test_a_thread_that_begins_with_an_argument_is_a_sub_agent() -> None:
    """Its agent span hangs below the tool span, in the same trace."""
    talk = Recording()
    asked = [user("Tell me about the parser.")]
    parent = talk.call(asked, tool_use("t1", "research", task=TASK), agent="lead")
    child = talk.call([user(TASK)], says("Ada, in May."), system="You research.", agent="")
    talk.call(
        [*asked, tool_use("t1", "research", task=TASK), tool_result("t1", "Ada, in May.")],
        says("Ada wrote it."),
        agent="lead",
    )
    assert talk.of(child, "trace_id") == talk.of(parent, "trace_id")
    above, how, confidence = talk.row(
        "select parent_span_id, how, confidence from threads where thread_id = ?", child
    )
    assert (how, confidence) == ("argument", 0.9)
    assert talk.row("select name, kind from spans where span_id = ?", above) == ("research", "tool")
    assert talk.of(child, "agent_id") == "lead/research"


def test_the_same_words_after_the_result_are_nobodys_sub_agent() -> None:
    """The tool call was answered: somebody else asks the same."""
    talk = Recording()
    asked = [user("Tell me about the parser.")]
    parent = talk.call(asked, tool_use("t1", "research", task=TASK))
    answered = [*asked, tool_use("t1", "research", task=TASK), tool_result("t1", "Ada.")]
    talk.call(answered, says("Ada wrote it."))
    later = talk.call([user(TASK)], says("Ada, in May."), system="You research.")
    assert talk.of(later, "trace_id") != talk.of(parent, "trace_id")


def test_equal_first_prompts_of_two_processes_are_two_threads() -> None:
    """Each goes on with its own, though the model says the same."""
    talk = Recording()
    asked = [user("Say hello to everybody.")]
    firsts = [talk.call(asked, says("Hello."), pid=pid) for pid in (1, 2)]
    longer = [*asked, says("Hello."), user("Again.")]
    seconds = [talk.call(longer, says("Hello again."), pid=pid) for pid in (1, 2)]
    assert [talk.of(id_, "continues_call_id") for id_ in seconds] == firsts
    assert len({talk.of(id_, "session_id") for id_ in seconds}) == 2


def test_another_answer_to_the_same_question_is_a_fork() -> None:
    """Going back and asking differently stays in the thread, and says so."""
    talk = Recording()
    asked = [user("Name a colour.")]
    root = talk.call(asked, says("Red."))
    asked += [says("Red.")]
    one = talk.call([*asked, user("Darker.")], says("Maroon."))
    other = talk.call([*asked, user("Lighter.")], says("Pink."))
    assert talk.of(one, "history") == "grown"
    assert talk.of(other, "continues_call_id") == root
    assert (talk.of(other, "history"), talk.of(other, "thread_id")) == ("forked", root)


def test_a_cut_history_goes_on_from_its_last_turn() -> None:
    """A sliding window drops the oldest messages; a changed system prompt breaks no thread."""
    talk = Recording()
    whole = [user("one"), says("first"), user("two")]
    talk.call(whole[:1], says("first"), system="It is 12:00.")
    second = talk.call(whole, says("second"), system="It is 12:01.")
    window = [user("two"), says("second"), user("three")]
    third = talk.call(window, says("third"), system="It is 12:02.")
    assert talk.of(third, "continues_call_id") == second
    assert talk.of(third, "continues_how") == "turn"


def test_a_retry_is_an_attempt_below_its_operation() -> None:
    """One llm span with two attempts, and one trace."""
    talk = Recording()
    asked = [user("Please answer.")]
    failed = talk.call(asked, says(""), status=529)
    again = talk.call(asked, says("Here."), x_stainless_retry_count="1")
    assert talk.of(again, "operation_id") == failed
    assert talk.of(again, "trace_id") == talk.of(failed, "trace_id")
    kinds = talk.db.execute("select kind, outcome from spans order by kind, outcome").fetchall()
    assert kinds == [("agent", "ok"), ("attempt", "error"), ("attempt", "ok"), ("llm", "ok")]


def test_the_clients_own_trace_wins() -> None:
    """`traceparent` names the trace and the span around the agent."""
    talk = Recording()
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    call = talk.call([user("Hello there.")], says("Hi."), traceparent=parent)
    assert talk.of(call, "trace_id") == "a" * 32
    assert talk.row("select parent_span_id from spans where kind = 'agent'") == ("b" * 16,)


def test_side_calls_are_in_the_bill_and_not_in_the_story() -> None:
    """A title for the session: its cost counts, no span tells of it."""
    talk = Recording()
    session = {"x_claude_code_session_id": "s-1"}
    main = talk.call([user("Fix the bug, please.")], says("Done."), **session)
    side = talk.call(
        [user("Fix the bug, please.")],
        says("Bug fix"),
        x_claude_code_request_class="auxiliary",
        **session,
    )
    assert talk.of(side, "kind") == "auxiliary"
    assert talk.of(side, "session_id") == talk.of(main, "session_id") == "s-1"
    assert talk.of(side, "thread_id") is None
    assert talk.row("select count(*) from spans where call_id = ?", side) == (0,)


def test_ids_are_hex_of_the_documented_lengths() -> None:
    """Whoever exports them hands them to tools that take nothing else."""
    talk = Recording()
    call = tool_use("toolu_0123456789abcdef", "read", path="x.py")
    asked = [user("Read it.")]
    talk.call(asked, call)
    talk.call([*asked, call, tool_result("toolu_0123456789abcdef", "x")], says("Read."))
    traces = [row[0] for row in talk.db.execute("select trace_id from traces")]
    spans = [row[0] for row in talk.db.execute("select span_id from spans")]
    made = [row[0] for row in talk.db.execute("select span_id from tool_calls")]
    prompts = [row[0] for row in talk.db.execute("select prompt_id from llm_calls")]
    assert all(re.fullmatch("[0-9a-f]{32}", id_) for id_ in traces)
    assert all(re.fullmatch("[0-9a-f]{16}", id_) for id_ in spans + made + prompts)
    assert len(spans) == 4
    assert set(made) < set(spans)


def test_a_label_of_the_whole_run_does_not_hide_sub_agents() -> None:
    """Who is started by a labelled agent has its name and the tool's, not just the label."""
    talk = Recording()
    asked = [user("Who wrote it?")]
    call = tool_use("t1", "Task", prompt="Look into the history of parse.py.")
    lead = talk.call(asked, call, agent="mine")
    below = [user("Look into the history of parse.py.")]
    look = tool_use("t2", "Bash", command="git log")
    first = talk.call(below, look, agent="mine")
    second = talk.call([*below, look, tool_result("t2", "Ada")], says("Ada did."), agent="mine")
    last = talk.call([*asked, call, tool_result("t1", "Ada")], says("Ada."), agent="mine")
    assert [talk.of(one, "agent_id") for one in (lead, first, second, last)] == [
        "mine",
        "mine/Task",
        "mine/Task",
        "mine",
    ]


def test_a_sub_agent_that_names_itself_keeps_its_name() -> None:
    talk = Recording()
    talk.call([user("Who?")], tool_use("t1", "Task", prompt="Look into it all."), agent="lead")
    child = talk.call([user("Look into it all.")], says("Ada."), agent="researcher")
    assert talk.of(child, "agent_id") == "researcher"


def test_what_clients_put_among_the_words_is_no_prompt() -> None:
    talk = Recording()
    for notes in ("<environment_context>a</environment_context>", "<session_context>b"):
        call = talk.call([user(notes), user("Mend it.")], says("Done."))
        trace = talk.of(call, "trace_id")
        assert talk.row("select name from traces where trace_id = ?", trace) == ("Mend it.",)


def test_a_result_may_have_an_id_that_its_call_has_not() -> None:
    """Gemini CLI's sub-agents give ids to the results alone."""
    known = KnownContent(Recording().db)
    made = tuple(
        MadeTool("c", n, "", "", name, PRINTS.of("tool", f"{name} {{}}"), False, 1)
        for n, name in enumerate(("look", "run"))
    )
    parent = Seen("c", tools=made)
    calls = Message("assistant", tuple(ToolCallPart("", tool.name, "{}") for tool in made))
    results = [ToolResultPart(f"x#{n}", "ok", name=tool.name) for n, tool in enumerate(made)]
    pairing = Pairing(known, PRINTS, parent, "s", 2)
    found = pairing.answers([calls, Message("user", tuple(results))])
    assert [answer.made.name for answer in found] == ["look", "run"]


def test_name_and_arguments_alone_answer_no_call_of_an_unknown_conversation() -> None:
    """Gemini gives no ids: an equal call of another conversation may wait for its result."""
    talk = Recording()
    made = talk.call([user("Weather?")], tool_use("t1", "weather", city="Paris"))
    known = KnownContent(talk.db)
    told = [
        Message("assistant", (ToolCallPart("", "weather", '{"city": "Paris"}'),)),
        Message("user", (ToolResultPart("", "Rain.", name="weather"),)),
    ]
    later = NOON_US * 2
    session = talk.of(made, "session_id")
    assert Pairing(known, PRINTS, None, session, later).answers(told) == []
    [found] = Pairing(known, PRINTS, Seen("x", thread_id=made), session, later).answers(told)
    assert (found.made.call_id, found.how) == (made, "name+args")
