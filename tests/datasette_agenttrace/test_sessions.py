"""The Sessions page and the replay of one session: figures, words by tier, pages, and plans."""

import json
import re
from urllib.parse import quote

import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.model import Placement, Record, StoredSession, StoredTrace
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.sessions import story
from datasette_agenttrace.sessions import memory, replay
from datasette_agenttrace.sessions import outcome as outcomes
from datasette_agenttrace.sessions import outline as outlines
from datasette_agenttrace.sessions.queries import load, sessions_asked
from tests.datasette_agenttrace.listed import call, store
from tests.datasette_agenttrace.scene import NOON, TODAY, Page
from tests.datasette_agenttrace.test_traces import BAD, crowd, plans
from tests.store.test_sessions import _task
from tests.traces.talks import Recording, says, tool_result, tool_use, user

pytestmark = pytest.mark.usefixtures("noon")

SESSIONS = "/-/agenttrace/sessions"


async def test_the_list_tells_what_a_session_left_behind(talk, get):
    _task(talk)
    [line] = (await get(f"{SESSIONS}.json")).json()["sessions"]
    assert (line["session_id"], line["first_prompt"], line["prompts"]) == (
        "s-1", "Mend the parser.", 2,
    )  # fmt: skip
    left = line["outcome"]
    assert (left["lines_added"], left["lines_removed"], left["files"]) == (1, 1, ["p.py"])
    assert (left["tool_calls"], left["tool_failures"]) == (5, 1)
    page = (await get(SESSIONS)).text
    assert f'href="{SESSIONS}/s-1"' in page
    assert "+1" in page


async def test_agents_are_named_where_they_change(talk, get):
    """Several may share a session: a script of planner and writer is one run of a program."""
    turns = (("planner", "Plan."), ("planner", "Plan more."), ("writer", "Write."), ("lead", "Ok."))
    for agent, words in turns:
        talk.call([user(words)], says(f"{agent} says"), agent=agent)
    [session] = (await get(f"{SESSIONS}.json")).json()["sessions"]
    assert session["agents"] == ["planner", "writer", "lead"]
    page = (await get(SESSIONS)).text
    assert '<bdi>planner</bdi> <span title="planner, writer, lead">and 2 more</span>' in page
    place = f"{SESSIONS}/{quote(session['session_id'])}"
    one = (await get(place)).text
    assert "<bdi>planner</bdi>, <bdi>writer</bdi>, <bdi>lead</bdi>" in one
    told = one[one.index('class="at-told"') :]
    assert [told.count(f"<b><bdi>{name}</bdi></b>") for name in ("planner", "writer", "lead")] == [
        2, 1, 1,
    ]  # fmt: skip


async def test_one_agent_is_not_named_at_every_call(talk, get):
    for words in ("Plan.", "Write."):
        talk.call([user(words)], says("Yes."), agent="planner", x_claude_code_session_id="s-1")
    page = (await get(f"{SESSIONS}/s-1")).text
    told = page[page.index('class="at-told"') :]
    assert "Write." in told
    assert "<b><bdi>" not in told
    assert "more</span>" not in page


async def test_the_context_window_says_what_was_read_and_not_where_its_axis_ends(talk, get):
    talk.call([user("Hi.")], says("Yes.") | {"usage": {"input_tokens": 2210, "output_tokens": 1}})
    [session] = (await get(f"{SESSIONS}.json")).json()["sessions"]
    page = (await get(f"{SESSIONS}/{quote(session['session_id'])}")).text
    assert "tokens read by each call, 2.2k at most" in page
    assert "3.0k" not in page


async def test_the_list_is_told_again_when_a_session_goes_on(talk, get):
    """What is remembered of it holds until then."""
    _task(talk)
    await get(f"{SESSIONS}.json")
    write = tool_use("w", "Write", file_path="new.py", content="a\nb\n")
    asked = [user("And another file.")]
    talk.call(asked, write, x_claude_code_session_id="s-1")
    result = tool_result("w", "ok")
    talk.call([*asked, write, result], says("Done."), x_claude_code_session_id="s-1")
    [line] = (await get(f"{SESSIONS}.json")).json()["sessions"]
    assert line["outcome"]["lines_added"] == 3
    assert line["outcome"]["files"] == ["p.py", "new.py"]


async def test_calls_are_passed_over_again_only_when_a_session_goes_on(talk, get, monkeypatch):
    """Its other pages are told from what was remembered; words are not remembered."""
    _task(talk)
    told = []
    real = outlines.outline
    monkeypatch.setattr(outlines, "outline", lambda *given: told.append(1) or real(*given))
    outlines._known.clear()
    before = (await get(f"{SESSIONS}/s-1.json")).json()
    assert (await get(f"{SESSIONS}/s-1.json?page=2")).json() == before
    assert len(told) == 1
    talk.db.execute("update traces set name = 'let go'")
    assert (await get(f"{SESSIONS}/s-1.json")).json()["headings"][0]["words"] == "let go"
    assert len(told) == 1
    talk.call([user("And another thing.")], says("Done."), x_claude_code_session_id="s-1")
    after = (await get(f"{SESSIONS}/s-1.json")).json()
    assert len(told) == 2
    assert after["bill"]["calls"] == before["bill"]["calls"] + 1
    assert len(after["headings"]) == len(before["headings"]) + 1


async def test_content_that_was_let_go_is_not_remembered_for_long(talk, get, monkeypatch):
    """Paths and counts of what was changed are content as well."""
    _task(talk)
    now_us = clock.now_us()
    assert (await get(f"{SESSIONS}/s-1.json")).json()["outcome"]["files"] == ["p.py"]
    talk.db.execute("update tool_calls set arguments = null, result = null")
    monkeypatch.setattr(clock, "now_us", lambda: now_us + memory.KEPT_US)
    for path in (f"{SESSIONS}/s-1.json", f"{SESSIONS}.json"):
        found = (await get(path)).json()
        left = found["outcome"] if "outcome" in found else found["sessions"][0]["outcome"]
        assert left["files"] == []


async def test_a_replay_tells_what_the_story_tells(talk, get):
    """The page, the command line and plain SQL agree."""
    _task(talk)
    told = story(talk.db, "s-1")
    found = (await get(f"{SESSIONS}/s-1.json")).json()
    assert [prompt["text"] for prompt in found["prompts"]] == ["Mend the parser.", "Thanks."]
    kinds = [s["step"]["kind"] for t in found["prompts"][0]["turns"] for s in t["steps"]]
    assert kinds == [step.action.kind for step in told.prompts[0].steps]
    left = found["outcome"]
    assert left["lines_added"] == told.lines_added
    assert left["lines_removed"] == told.lines_removed
    assert left["tool_failures"] == told.tool_failures
    for prompt, same in zip(found["prompts"], told.prompts, strict=True):
        assert prompt["heading"]["bill"]["cost_nano_usd"] == same.bill.cost_nano_usd
        assert prompt["heading"]["bill"]["calls"] == same.bill.calls
        assert prompt["times"]["model_ms"] * 1000 == same.times.model_us
        assert prompt["times"]["tool_ms"] * 1000 == same.times.tool_us
        assert prompt["times"]["idle_ms"] * 1000 == same.times.idle_us
        assert prompt["times"]["retry_ms"] * 1000 == same.times.retry_us
    sql = """
        select count(*), sum(cost_nano_usd), sum(tokens_in), sum(tokens_out)
        from llm_calls where session_id = 's-1' and kind in ('llm', 'auxiliary')
    """
    names = ("calls", "cost_nano_usd", "tokens_in", "tokens_out")
    assert tuple(found["bill"][name] for name in names) == talk.row(sql)
    parts = [found["aside"], *(heading["bill"] for heading in found["headings"])]
    for name in names:
        assert sum(part[name] for part in parts) == found["bill"][name]
    times = found["times"]
    whole = found["ended_us"] - found["started_us"]
    assert sum(times.values()) * 1000 == whole


async def test_a_trace_that_began_in_another_session_is_told_in_both(talk, get):
    """Two programs of one `traceparent`: no call is left out, and the sums stay whole."""
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    for session in ("one", "two"):
        headers = {"x_claude_code_session_id": session, "traceparent": parent}
        talk.call([user(f"Question of {session}.")], says(f"Answer of {session}."), **headers)
    for session in ("one", "two"):
        found = (await get(f"{SESSIONS}/{session}.json")).json()
        assert [len(prompt["turns"]) for prompt in found["prompts"]] == [1]
        assert found["headings"][0]["bill"] == found["bill"]
        assert f"Answer of {session}." in (await get(f"{SESSIONS}/{session}")).text


async def test_the_page_shows_commands_diffs_plans_and_sub_agents(talk, get):
    _task(talk)
    page = (await get(f"{SESSIONS}/s-1")).text
    assert '<span class="at-del">-    <span class="at-kw">return</span> text.split()' in page
    assert '<span class="at-add">+    <span class="at-kw">return</span> text' in page
    assert "pytest -q" in page
    assert "exit 1" in page
    assert "Mend it" in page
    assert "1 call of" in page
    assert page.count("<details") == page.count("</details>")
    assert page.count("<article") == page.count("</article>") == 8
    [error] = re.findall(r'<a href="#(c-[^"]+)">1</a>', page)
    assert f'id="{error}"' in page
    assert page.count("data-error") == 1
    assert page.count("data-prompt") == 2


def many_prompts(talk: Recording, number: int) -> None:
    for n in range(number):
        bash = tool_use(f"b{n}", "Bash", command=f"run {n}")
        asked = [user(f"Prompt number {n}.")]
        talk.call(asked, bash, x_claude_code_session_id="long")
        result = tool_result(f"b{n}", f"Exit code {int(n == 7)}", is_error=n == 7)
        talk.call([*asked, bash, result], says(f"Did {n}."), x_claude_code_session_id="long")


async def test_a_long_session_comes_in_pages(talk, get, monkeypatch):
    """Each call once, in order; one prompt with many calls goes on over several pages."""
    monkeypatch.setattr(replay, "PAGE_CALLS", 4)
    monkeypatch.setattr(replay, "PAGE_PROMPTS", 3)
    many_prompts(talk, 9)
    asked = [user("One more, at length.")]
    for n in range(7):
        use = tool_use(f"x{n}", "Bash", command="again")
        talk.call(asked, use, x_claude_code_session_id="long")
        asked += [use, tool_result(f"x{n}", "ok")]
    seen, first = [], (await get(f"{SESSIONS}/long.json")).json()
    for number in range(1, first["pages"] + 1):
        found = (await get(f"{SESSIONS}/long.json?page={number}")).json()
        told = [turn["call_id"] for prompt in found["prompts"] for turn in prompt["turns"]]
        assert 0 < len(told) <= 4
        seen += told
        page = (await get(f"{SESSIONS}/long?page={number}")).text
        assert all(f'id="c-{id_}"' in page for id_ in told)
    ids = [row[0] for row in talk.db.execute("select id from llm_calls order by started_us")]
    assert seen == ids
    assert found["prompts"][0]["continued"]
    [(wrong, place)] = first["errors"]
    assert f'href="{SESSIONS}/long?page={place}#c-{wrong}"' in (await get(f"{SESSIONS}/long")).text
    assert (await get(f"{SESSIONS}/long.json?page=999")).json()["page"] == first["pages"]
    assert (await get(f"{SESSIONS}/long?page=x")).status_code == 200


def test_diffs_are_the_same_on_any_page(talk, monkeypatch):
    """What was read and changed before the page is known to it, and nothing else is looked at."""
    text = "".join(f"line {n}\n" for n in range(9))
    asked: list = [user("Change both files, again and again.")]
    steps = [tool_use("r", "Read", file_path="a"), tool_use("s", "Read", file_path="b")]
    for n in range(4):
        edit = {"file_path": "ab"[n % 2], "old_string": f"line {n}\n", "new_string": f"{n}\nx\n"}
        steps.append(tool_use(f"e{n}", "Edit", **edit))
    patch = "*** Begin Patch\n*** Update File: a\n@@\n-line 7\n+seven\n*** End Patch"
    steps += [tool_use("p", "apply_patch", input=patch), tool_use("c", "Bash", command="true"),
              tool_use("w", "Write", file_path="b", content="line 1\nnew\n")]  # fmt: skip
    for use in steps:
        talk.call(asked, use, x_claude_code_session_id="s")
        result = tool_result(use["content"][0]["id"], text if use in steps[:2] else "ok")
        asked += [use, result]
    talk.call(asked, says("Done."), x_claude_code_session_id="s")

    def diffs(page: int, **said):
        found = replay.load(talk.db, "s", page, **said)
        shown = [one.step for p in found.prompts for turn in p.turns for one in turn.steps]
        return [diff for step in shown for diff in step.diffs]

    whole = diffs(1, most=1_000)
    assert len(whole) == 6
    assert [(diff.added, diff.removed) for diff in whole] == [(2, 1)] * 4 + [(1, 1), (2, 11)]
    monkeypatch.setattr(replay, "PAGE_CALLS", 1)
    assert [diff for page in range(1, len(steps) + 1) for diff in diffs(page)] == whole
    db = talk.db
    last = db.execute("select call_id from tool_calls where name = 'Write'").fetchone()[0]
    names = {name for (name,) in db.execute(
        "select name from tool_calls where id in (select value from json_each(?))",
        (json.dumps(outcomes._needed(db, "s", {last}, 3)),),
    )}  # fmt: skip
    assert names == {"Read", "Edit", "Write"}


def test_pages_before_the_last_stay_as_they_are():
    """As a session goes on, what somebody has read is where it was."""
    sizes = [3, 200, 1, 1, 500, 2]
    for n in range(1, len(sizes)):
        now, later = replay._pages(sizes[:n]), replay._pages(sizes)
        assert later[: len(now) - 1] == now[:-1]
    assert sum(stop - start for page in later for _, start, stop in page) == sum(sizes)


@pytest.mark.parametrize(
    "tier, kept",
    [(1, set()), (2, {"Mend the parser", "pytest", "text.split", "needs a list"})],
)
async def test_content_shows_by_the_tier_of_each_call(talk, get, tier, kept):
    """Also where another call stored the same words whole; a reply's length alone below 3."""
    _task(talk)
    talk.db.execute("update llm_calls set privacy_tier = ?", (tier,))
    outcomes._known.clear()
    shown = "".join(
        [(await get(f"{SESSIONS}{path}")).text for path in ("", "/s-1", ".json", "/s-1.json")]
    )
    for word in ("Mend the parser", "pytest", "text.split", "needs a list", "I left it"):
        assert (word in shown) == (word in kept), word
    page = (await get(f"{SESSIONS}/s-1")).text
    assert "reply, 27 characters, not kept" in page
    assert ("Bash" in page) == (tier == 1), "a tool's name, where there is no more to tell"
    assert ("not kept, or not counted" in page) == (tier == 1), "unknown is not zero"
    left = (await get(f"{SESSIONS}/s-1.json")).json()["outcome"]
    assert left["lines_added"] == (None if tier == 1 else 1)
    assert "1 call" in page


@pytest.mark.parametrize(
    "session", ["a/b c?d#e", "ä%2F", "<b>'\"&", "..", "x.json", "~2E", "ü" * 300]
)
async def test_any_id_has_its_page(talk, get, session):
    talk.call([user("Hello there.")], says("Hi."), x_claude_code_session_id="plain")
    talk.db.execute("update sessions set session_id = ?", (session,))
    talk.db.execute("update llm_calls set session_id = ?", (session,))
    page = Page((await get(SESSIONS)).text)
    [link] = {a["href"] for tag, a in page.tags if tag == "a" and f"{SESSIONS}/" in a["href"]}
    assert re.fullmatch(r"[\w~+-]+", link.removeprefix(f"{SESSIONS}/")), "no browser changes it"
    found = await get(link)
    assert found.status_code == 200
    assert (await get(f"{link}.json")).json()["session_id"] == session
    if quote(session, safe="") != session:  # percent signs are understood as well
        by_hand = f"{SESSIONS}/{quote(session, safe='')}.json"
        assert (await get(by_hand)).json()["session_id"] == session


async def test_hostile_content_is_inert(talk, get):
    _task(talk)
    talk.db.execute("update llm_calls set agent_id = ?1, error_message = ?1, outcome = 'error',"
                    " error_type = ?1", (BAD,))  # fmt: skip
    talk.db.execute("update sessions set agent_id = ?1, cwd = ?1", (BAD,))
    talk.db.execute("update traces set name = ?1", (BAD,))
    talk.db.execute("update tool_calls set result = ?1", (BAD,))
    talk.db.execute("update tool_calls set arguments = replace(arguments, 'text', ?1)",
                    (BAD.replace('"', "'"),))  # fmt: skip
    talk.db.execute("update tool_calls set name = ?1 where name = 'Read'", (BAD,))
    for path in (SESSIONS, f"{SESSIONS}/s-1"):
        answer = await get(path)
        assert answer.status_code == 200
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        for tag, attributes in Page(answer.text).tags:
            assert tag != "img"
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            if tag == "script":
                assert attributes.get("src", "").startswith("/-/agenttrace/static/")


async def test_a_session_without_changes_shows_none(talk, get):
    talk.call([user("Hello there.")], says("Hi."), x_claude_code_session_id="s")
    page = (await get(f"{SESSIONS}/s")).text
    assert 'dd class="at-sub">no files<' in page
    assert "at-plus" not in page


async def test_megabytes_are_cut(talk, get):
    asked = [user("long story " * 150_000)]
    use = tool_use("w", "Write", file_path="p", content="line\n" * 300_000)
    talk.call(asked, use, x_claude_code_session_id="s-1")
    asked += [use, tool_result("w", "x" * 1_500_000)]
    reply = talk.call(asked, says("told " * 300_000), x_claude_code_session_id="s-1")
    for path in (SESSIONS, f"{SESSIONS}/s-1"):
        answer = await get(path)
        assert answer.status_code == 200
        assert len(answer.text) < 200_000
    assert f'<a href="/-/agenttrace/calls/{reply}">the whole call</a>' in answer.text
    assert "not kept, or not counted" in answer.text


@pytest.mark.parametrize("few", [0, 1_000])
def test_no_page_passes_over_all_calls(talk, monkeypatch, few):
    monkeypatch.setattr("datasette_agenttrace.bills.FEW", few)
    crowd(talk)
    outcomes._known.clear()
    db = talk.db
    session = "s-1"
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    for ask in ({}, {"provider": "provider 1"}, {"model": "m1"}, {"agent": "agent 1"},
                {"before": "5.x"}, {"sort": "dearest"}, {"sort": "dearest", "agent": "agent 1"},
                {"status": "failed"}, {"status": "ok", "before": "5.x"}):  # fmt: skip
        load(db, sessions_asked(ask, TODAY))
    replay.load(db, session)
    db.set_trace_callback(None)
    assert len(seen) > 30
    tables = r"SCAN (c|llm_calls|m|messages|u|call_messages|t|tool_calls|s|sessions|traces|h)\b"
    tables += r"|SCAN rollup_session\b"
    assert any("rollup_session" in one for one in seen)
    for step, statement in plans(db, [one for one in seen if not one.startswith("pragma")]):
        allowed = "limit 1" in statement or "COVERING INDEX" in step
        assert not re.match(tables, step) or allowed, (step, statement)


def test_a_call_is_read_once_for_all_that_is_told_of_its_session(talk):
    """And what belongs to it is looked up by the session, where its rows are side by side."""
    _task(talk)
    outlines._known.clear()
    outcomes._known.clear()
    seen: list[str] = []
    talk.db.set_trace_callback(seen.append)
    replay.load(talk.db, "s-1")
    talk.db.set_trace_callback(None)
    of_all = [one for one in seen if re.search(r"from llm_calls\s+where session_id = 's-1'", one)]
    assert len([one for one in of_all if "exists" not in one]) == 1
    tables = {"t": "traces", "threads": "threads"}
    found = [
        (tables[name], f"idx_{tables[name]}_session_id_started_us (session_id=?)" in step)
        for step, statement in plans(talk.db, [one for one in seen if "t.name" in one or
                                               "from threads" in one])
        if (name := step.split()[1]) in tables and "tool_calls" not in statement
    ]  # fmt: skip
    assert dict(found) == {"traces": True, "threads": True}
    [tools] = [one for one in seen if "with tool" in one and "json_each('{" in one]
    assert "llm_calls" not in tools


def test_a_session_of_very_many_calls_has_whole_sums(talk, monkeypatch):
    """Beyond the calls that are told of, and where all calls fit: they are the same."""
    _task(talk)
    talk.db.execute("update llm_calls set billing = 'subscription' where n_tool_calls is null")
    row = {"session_id": "s-1", "started_us": 0, "ended_us": NOON}
    whole = outlines.outline(talk.db, row, 2)
    [calls] = talk.row("select count(*) from llm_calls where session_id = 's-1'")
    assert whole.bill.calls == calls > 5
    for most in (calls + 1, calls, 3):
        monkeypatch.setattr(outlines, "MOST_CALLS", most)
        monkeypatch.setattr(outlines, "_CALLS", re.sub(r"limit \d+", f"limit {most}",
                                                       outlines._CALLS))  # fmt: skip
        found = outlines.outline(talk.db, row, 2)
        assert (found.bill, found.aside) == (whole.bill, whole.aside)
        if most >= calls:
            assert found == whole
    assert len(found.prompts) == 1
    assert found.outcome == whole.outcome


async def test_nothing_says_what_to_do(database, get):
    assert "agenttrace-mitm demo" in (await get(SESSIONS)).text
    store(database, Record(call=call(1)))
    assert "agenttrace-mitm run -- claude" in (await get(SESSIONS)).text
    db = open_database(database)
    row = StoredSession(session_id="empty", started_us=NOON, ended_us=NOON)
    db.table("sessions").insert(row.__dict__)
    db.close()
    assert "Nothing to replay" in (await get(f"{SESSIONS}/empty")).text


async def test_a_call_without_words_goes_by_its_operation(database, get):
    """An embedding has nothing that somebody asked, though all is kept."""
    trace = StoredTrace(trace_id="t", session_id="s", call_id="call-001", root_span_id="r",
                        started_us=NOON, ended_us=NOON)  # fmt: skip
    placed = Placement(
        session=StoredSession(session_id="s", started_us=NOON, ended_us=NOON), trace=trace
    )
    one = call(1, session_id="s", trace_id="t", operation="embeddings")
    store(database, Record(call=one, placement=placed))
    assert "embeddings, nothing asked in words" in (await get(f"{SESSIONS}/s")).text
    assert "embeddings" in (await get("/-/agenttrace/traces")).text


async def test_what_is_not_there_is_not_found(get):
    assert (await get(f"{SESSIONS}/nowhere")).status_code == 404
    assert (await get(f"{SESSIONS}/nowhere.json")).status_code == 404


async def test_links_lead_somewhere(talk, get):
    _task(talk)
    for path in (SESSIONS, f"{SESSIONS}/s-1"):
        page = Page((await get(path)).text)
        links = {a["href"] for tag, a in page.tags if tag == "a" and a["href"].startswith("/")}
        assert len(links) > 8
        for link in links:
            assert (await get(link)).status_code in (200, 302), link
    [call, trace] = talk.row("select id, trace_id from llm_calls order by started_us limit 1")
    page = (await get(f"/-/agenttrace/calls/{call}")).text
    assert f'href="{SESSIONS}/s-1"' in page
    assert f'href="/-/agenttrace/traces/{trace}"' in page


async def test_everything_wants_the_token(talk, database, serve):
    _task(talk)
    served = serve(database)
    for path in (SESSIONS, f"{SESSIONS}.json", f"{SESSIONS}/s-1", f"{SESSIONS}/s-1.json"):
        assert (await served.client.get(path)).status_code == 401
