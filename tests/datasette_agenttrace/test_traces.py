"""The Traces page and the page of one trace: figures, steps, words by tier, and plans."""

import json
import re
import sqlite3

import pytest

from agenttrace_mitm.model import Record, StoredTrace
from agenttrace_mitm.store import open_database
from datasette_agenttrace.asking import DAY_US
from datasette_agenttrace.traces import one, queries
from datasette_agenttrace.traces.queries import load, traces_asked
from datasette_agenttrace.traces.waterfall import critical, ordered
from tests.datasette_agenttrace.listed import call, store
from tests.datasette_agenttrace.scene import HOSTILE, NOON, TODAY, Page
from tests.traces.talks import Recording, says, tool_result, tool_use, user

pytestmark = pytest.mark.usefixtures("noon")

TRACES = "/-/agenttrace/traces"
BAD = HOSTILE + "\u202e\x00\x07 </pre></details>"


def work(talk: Recording, said: str = "Mend the parser.", **session: str) -> str:
    """A prompt with a tool that fails, a sub-agent, and an answer; the trace's id."""
    session = {"x_claude_code_session_id": "s-1"} | session
    asked = [user(said)]
    bash = tool_use("b", "Bash", command="pytest -q")
    first = talk.call(asked, bash, **session)
    asked += [bash, tool_result("b", "Exit code 1\nsecret-result", is_error=True)]
    task = tool_use("a", "Agent", description="look", prompt="Find out why the test fails.")
    talk.call(asked, task, **session)
    below = session | {"x_claude_code_agent_id": "looker"}
    talk.call([user("Find out why the test fails.")], says("It needs a list."), **below)
    asked += [task, tool_result("a", "It needs a list.")]
    talk.call(asked, says("Mended, secret-reply."), **session)
    return talk.of(first, "trace_id")


async def test_the_list_says_what_a_trace_took(talk, get):
    trace_id = work(talk)
    [line] = (await get(f"{TRACES}.json")).json()["traces"]
    assert (line["trace_id"], line["asked_for"]) == (trace_id, "Mend the parser.")
    assert line["status"] == "ok"
    assert {tool["name"]: tool["failed"] for tool in line["tools"]} == {"Bash": 1, "Agent": 0}
    assert "looker" in line["agents"]
    assert line["duration_ms"] == 7_000
    page = (await get(TRACES)).text
    assert f'href="{TRACES}/{trace_id}"' in page
    assert "Mend the parser." in page
    assert '<small class="at-warn">1 failed</small>' in page


async def test_figures_agree_with_plain_sql(talk, get):
    for n in range(3):
        work(talk, f"Mend parser {n}.")
    sql = """
        select count(*), sum(tokens_in), sum(tokens_out), sum(cost_nano_usd), sum(n_tool_calls)
        from llm_calls where trace_id = ?
    """
    lines = (await get(f"{TRACES}.json")).json()["traces"]
    assert len(lines) == 3
    for line in lines:
        found = (await get(f"{TRACES}/{line['trace_id']}.json")).json()
        names = ("calls", "tokens_in", "tokens_out", "cost_nano_usd", "tool_calls")
        expected = list(talk.row(sql, line["trace_id"]))
        assert expected[3] > 0
        assert [found["bill"][name] for name in names] == expected
        assert [line["bill"][name] for name in names] == expected
        rows = [step["span"]["cost_nano_usd"] or 0 for step in found["steps"]
                if step["span"]["kind"] == "llm"]  # fmt: skip
        assert sum(rows) == expected[3]
        times = found["times"]
        whole = (found["ended_us"] - found["started_us"]) / 1000
        assert sum(times.values()) == whole
        assert (times["model_ms"], times["tool_ms"]) == (4_000, 3_000)


async def test_a_trace_tells_its_steps_in_order(talk, get):
    trace_id = work(talk)
    found = (await get(f"{TRACES}/{trace_id}.json")).json()
    told = [(s["row"]["depth"], s["span"]["kind"], s["span"]["name"]) for s in found["steps"]]
    model = "chat claude-sonnet-4-5"
    assert told == [
        (0, "agent", told[0][2]), (1, "llm", model), (2, "tool", "Bash"), (1, "llm", model),
        (2, "tool", "Agent"), (3, "agent", "looker"), (4, "llm", model), (1, "llm", model),
    ]  # fmt: skip
    failed = [s["span"]["span_id"] for s in found["steps"] if s["span"]["name"] == "Bash"]
    assert found["failed"] == failed
    page = (await get(f"{TRACES}/{trace_id}")).text
    assert f'href="#s-{failed[0]}"' in page
    assert f'id="s-{failed[0]}" open>' in page, "what failed is open, for who jumps to it"
    assert found["tool_failures"] == 1
    assert '<span class="at-warn">1 failed</span>, 8 steps' in page
    last = found["steps"][-1]["span"]["span_id"]
    assert f'id="s-{last}">' in page
    for said in ("pytest -q", "secret-result", "It needs a list.", "Mended, secret-reply."):
        assert said in page
    assert page.count("<details") == page.count("</details>")
    [arrow] = found["graph"]["arrows"]
    assert (arrow["callee"], arrow["times"]) == ("looker", 1)
    assert found["graph"]["box_width"] == 168


async def test_who_called_whom_has_room_for_names_and_times(talk, get):
    trace_id = work(talk)
    [below] = talk.row("select span_id from spans where kind = 'agent' and agent_id = 'looker'")
    names = [row[1] for row in talk.db.execute("pragma table_info(spans)")]
    for n, name in enumerate(("reviewer-of-the-data-lake-team", "looker", "y" * 90, "y" * 90)):
        told = {"span_id": f"'s-{n}'", "agent_id": f"'{name}'"}
        talk.db.execute(
            f"insert into spans ({', '.join(names)}) select"
            f" {', '.join(told.get(one, one) for one in names)} from spans where span_id = ?",
            (below,),
        )
    drawn = (await get(f"{TRACES}/{trace_id}.json")).json()["graph"]
    labels = [node["label"] for node in drawn["nodes"]]
    assert {"reviewer-of-the-data-lake-team", "looker", "…" + "y" * 39} < set(labels)
    assert drawn["box_width"] > 40 * 8
    right = max(node["x"] for node in drawn["nodes"]) + drawn["box_width"]
    assert right <= drawn["width"]
    page = (await get(f"{TRACES}/{trace_id}")).text
    assert f'width="{drawn["box_width"]}" height="44"' in page
    assert page.count(">2 times</text>") == 2
    assert page.rindex('class="at-arrow"') < page.index(">2 times</text>"), "no arrow lies over it"


async def test_attempts_stand_below_their_operation(talk, get):
    asked = [user("Is the server there?")]
    talk.call(asked, {}, status=529)
    second = talk.call(asked, says("Yes."), x_stainless_retry_count="1")
    trace_id = talk.of(second, "trace_id")
    found = (await get(f"{TRACES}/{trace_id}.json")).json()
    kinds = [(s["row"]["depth"], s["span"]["kind"], s["span"]["outcome"]) for s in found["steps"]]
    assert kinds == [
        (0, "agent", "ok"), (1, "llm", "ok"), (2, "attempt", "error"), (2, "attempt", "ok"),
    ]  # fmt: skip
    assert found["steps"][1]["span"]["call_id"] == second
    assert found["bill"]["failed"] == 1
    assert "2 tries" in (await get(f"{TRACES}/{trace_id}")).text


@pytest.mark.parametrize("ends_well", [True, False])
async def test_each_try_that_failed_is_open_and_led_to(talk, get, ends_well):
    """As many as the cards of both pages count; the operation is not one more of them."""
    session, asked = {"x_claude_code_session_id": "s-1"}, [user("Is the server there?")]
    talk.call(asked, {}, status=429, **session)
    last = talk.call(
        asked, says("Yes.") if ends_well else {}, status=200 if ends_well else 529,
        x_stainless_retry_count="1", **session,
    )  # fmt: skip
    address = f"{TRACES}/{talk.of(last, 'trace_id')}"
    found = (await get(f"{address}.json")).json()
    failed = [s["span"] for s in found["steps"] if s["span"]["span_id"] in found["failed"]]
    assert [span["kind"] for span in failed] == ["attempt"] * (1 if ends_well else 2)
    assert len(failed) == found["bill"]["failed"]
    told = (await get("/-/agenttrace/sessions/s-1.json")).json()
    assert len(told["errors"]) == len(failed)
    page = (await get(address)).text
    assert f"{len(failed)} failed:" in page
    for number, span in enumerate(failed, 1):
        assert f'<a href="#s-{span["span_id"]}">{number}</a>' in page
        assert f'id="s-{span["span_id"]}" open>' in page


async def test_pauses_between_tries_are_told_from_idle_on_both_pages(talk, get):
    """A try of a second, a pause of a second, a try of a second."""
    session, asked = {"x_claude_code_session_id": "s-1"}, [user("Is the server there?")]
    talk.call(asked, {}, status=529, **session)
    call_id = talk.call(asked, says("Yes."), x_stainless_retry_count="1", **session)
    found = (await get(f"{TRACES}/{talk.of(call_id, 'trace_id')}.json")).json()
    assert found["times"] == {"model_ms": 2_000, "tool_ms": 0, "retry_ms": 1_000, "idle_ms": 0}
    assert found["critical_ms"] == 2_000
    told = (await get("/-/agenttrace/sessions/s-1.json")).json()
    assert told["prompts"][0]["times"] == told["times"] == found["times"]
    third = pytest.approx(1000 / 3, abs=0.01)
    first, second = found["steps"][1]["row"]["bars"]
    assert (first, second) == ([0, third], [pytest.approx(2000 / 3, abs=0.01), third])
    assert [len(step["row"]["bars"]) for step in found["steps"]] == [1, 2, 1, 1]
    page = (await get(f"{TRACES}/{talk.of(call_id, 'trace_id')}")).text
    assert "2 tries, 1.0\N{NO-BREAK SPACE}s between them" in page
    told = (await get("/-/agenttrace/sessions/s-1")).text
    assert "before retries 1.0\N{NO-BREAK SPACE}s</li>" in page
    assert told.count("before retries 1.0\N{NO-BREAK SPACE}s") == 3


async def test_work_without_tries_takes_the_same_on_both_pages(talk, get):
    trace_id = work(talk)
    found = (await get(f"{TRACES}/{trace_id}.json")).json()
    told = (await get("/-/agenttrace/sessions/s-1.json")).json()
    assert told["prompts"][0]["times"] == found["times"]


class Bar:
    """A span as far as the waterfall looks."""

    def __init__(self, span_id, parent_span_id, kind, started_us, end_us):
        self.span_id, self.parent_span_id, self.kind = span_id, parent_span_id, kind
        self.started_us, self.end_us = started_us * 10_000, end_us * 10_000
        self.busy = ((self.started_us, self.end_us),)


def test_the_critical_path_leaves_out_what_was_waited_for_anyway():
    """Of two tools side by side only the longer one; of a sub-agent's time its own calls."""
    spans = [
        Bar("root", None, "agent", 0, 100), Bar("ask", "root", "llm", 0, 10),
        Bar("short", "ask", "tool", 10, 20), Bar("task", "ask", "tool", 10, 90),
        Bar("sub", "task", "agent", 15, 85), Bar("think", "sub", "llm", 15, 85),
        Bar("answer", "root", "llm", 90, 100),
    ]  # fmt: skip
    path, taken = critical(spans)
    assert path == {"root", "ask", "task", "sub", "think", "answer"}
    assert taken == (10 + 70 + 10) * 10_000


def test_parents_that_are_missing_or_go_in_a_circle_lose_nothing():
    spans = [
        Bar("a", "b", "llm", 0, 1), Bar("b", "a", "llm", 0, 1), Bar("c", "c", "llm", 1, 2),
        Bar("d", "gone", "tool", 1, 2),
    ]  # fmt: skip
    assert {row.span_id for row in ordered(spans, (0, 20_000))} == set("abcd")
    assert critical(spans)[1] > 0


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("kind", ["llm", "agent", "tool"])
def test_the_critical_path_ends_above_a_circle(size, kind):
    """Programs name any parent: what is critical may stand below a circle, or on it."""
    circle = [Bar(f"c{n}", f"c{(n + 1) % size}", kind, 0, 10) for n in range(size)]
    kids = [Bar("kid", "c0", "llm", 20, 35), Bar("its", "kid", "llm", 40, 50)]
    path, taken = critical([*circle, *kids])
    assert {"kid", "its"} <= path
    assert taken >= 25 * 10_000
    assert len(ordered([*circle, *kids], (0, 500_000))) == size + 2


async def test_a_failed_step_of_another_page_is_led_to(talk, get, monkeypatch):
    monkeypatch.setattr(one, "PAGE_SPANS", 2)
    trace_id = work(talk)
    [failed] = (await get(f"{TRACES}/{trace_id}.json")).json()["failed"]
    page = (await get(f"{TRACES}/{trace_id}")).text
    assert f'id="s-{failed}"' not in page
    assert f'href="{TRACES}/{trace_id}?step={failed}#s-{failed}"' in page
    assert f'id="s-{failed}" open>' in (await get(f"{TRACES}/{trace_id}?step={failed}")).text
    assert (await get(f"{TRACES}/{trace_id}.json?step=nowhere")).json()["first"] == 0


async def test_a_long_trace_comes_in_pages(talk, get, monkeypatch):
    monkeypatch.setattr(one, "PAGE_SPANS", 3)
    trace_id = work(talk)
    seen = []
    for first in (0, 3, 6):
        found = (await get(f"{TRACES}/{trace_id}.json?from={first}")).json()
        seen += [step["span"]["span_id"] for step in found["steps"]]
        page = (await get(f"{TRACES}/{trace_id}?from={first}")).text
        assert page.count("<details") == page.count("</details>")
    assert len(seen) == len(set(seen)) == found["n_spans"] == 8
    assert (await get(f"{TRACES}/{trace_id}?from=99999999999999")).status_code == 200


@pytest.mark.parametrize(
    "tier, words_kept",
    [(1, set()), (2, {"parser", "pytest", "secret-result"})],
)
async def test_content_shows_by_the_tier_of_each_call(talk, get, tier, words_kept):
    """Also where another call stored the same words whole."""
    trace_id = work(talk)
    talk.db.execute("update llm_calls set privacy_tier = ?", (tier,))
    shown = [(await get(f"{TRACES}{path}")).text for path in ("", f"/{trace_id}",
             ".json", f"/{trace_id}.json")]  # fmt: skip
    for word in ("parser", "pytest", "secret-result", "secret-reply"):
        assert (word in "".join(shown)) == (word in words_kept), word
    assert "reply, 21 characters, not kept" in shown[1]
    assert "Bash" in shown[1]


async def test_hostile_content_is_inert(talk, get):
    trace_id = work(talk, BAD)
    talk.db.execute("update llm_calls set agent_id = ?1, error_message = ?1, model = ?1,"
                    " response_model = null, error_type = ?1", (BAD,))  # fmt: skip
    talk.db.execute("update spans set name = ?1, agent_id = ?1 || span_id, outcome = 'error'",
                    (BAD,))  # fmt: skip
    talk.db.execute("update tool_calls set name = ?1, arguments = ?1, result = ?1", (BAD,))
    for path in (TRACES, f"{TRACES}/{trace_id}"):
        answer = await get(path)
        assert answer.status_code == 200
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        for tag, attributes in Page(answer.text).tags:
            assert tag != "img"
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            if tag == "script":
                assert attributes.get("src", "").startswith("/-/agenttrace/static/")


async def test_ten_megabytes_are_cut(talk, get):
    trace_id = work(talk, "long story " * 150_000)
    talk.db.execute("update tool_calls set result = ?, arguments = ?", ("x" * 10**7, "y" * 10**7))
    for path in (TRACES, f"{TRACES}/{trace_id}"):
        answer = await get(path)
        assert answer.status_code == 200
        assert len(answer.text) < 200_000


async def test_pages_show_every_trace_once_newest_first(database, get, monkeypatch):
    """Also where many began in the same microsecond."""
    monkeypatch.setattr(queries, "PAGE_SIZE", 3)
    db = open_database(database)
    store(database, *(Record(call=call(n)) for n in range(11)))
    for n in range(11):
        db.table("traces").insert(
            StoredTrace(trace_id=f"{n:032x}", call_id=f"call-{n:03d}", root_span_id="r",
                        started_us=NOON - n // 4, ended_us=NOON).__dict__
        )  # fmt: skip
    db.close()
    seen, query = [], ""
    for _ in range(6):
        page = (await get(f"{TRACES}.json?{query}")).json()
        seen += [(found["started_us"], found["trace_id"]) for found in page["traces"]]
        if not page["older"]:
            break
        assert f"before={page['older']}" in (await get(f"{TRACES}?{query}")).text
        query = f"before={page['older']}"
    assert len(seen) == len(set(seen)) == 11
    assert seen == sorted(seen, reverse=True)


def crowd(talk: Recording) -> None:
    """Traces of several agents, providers and models; some fail."""
    for n in range(9):
        trace_id = work(talk, f"Piece of work {n}.", x_claude_code_session_id=f"s-{n // 2}")
        talk.db.execute(
            "update llm_calls set agent_id = ?, provider = ?, model = ?, response_model = ?"
            " where trace_id = ?",
            (f"agent {n % 2}", f"provider {n % 3}", f"m{n % 4}", f"m{n % 4}" if n % 2 else None,
             trace_id),
        )  # fmt: skip
        talk.call([user(f"Nobody is there to hear {n}.")], {}, status=529)


@pytest.mark.parametrize("few", [0, 1_000])
async def test_filters_find_the_same_however_they_look(talk, get, monkeypatch, few):
    monkeypatch.setattr("datasette_agenttrace.bills.FEW", few)
    crowd(talk)
    for column, name in (("provider", "provider"), ("agent_id", "agent"),
                         ("coalesce(response_model, model)", "model")):  # fmt: skip
        sql = f"select {column}, json_group_array(distinct trace_id) from llm_calls group by 1"
        values = [(value, set(json.loads(ids))) for value, ids in talk.db.execute(sql) if value]
        assert len(values) > 1
        for value, expected in values:
            page = await get(f"{TRACES}.json?{name}={value}")
            assert {trace["trace_id"] for trace in page.json()["traces"]} == expected
    both = (await get(f"{TRACES}.json?agent=agent+1&provider=provider+2")).json()["traces"]
    assert [trace["asked_for"] for trace in both] == ["Piece of work 5."]
    assert not (await get(f"{TRACES}.json?agent=agent+1&model=m2")).json()["traces"]
    failed = (await get(f"{TRACES}.json?status=failed")).json()["traces"]
    assert [trace["status"] for trace in failed] == ["error"] * 9
    ok = (await get(f"{TRACES}.json?status=ok")).json()["traces"]
    assert [trace["status"] for trace in ok] == ["ok"] * 9
    found = (await get(f"{TRACES}.json?session=s-1")).json()["traces"]
    assert [trace["asked_for"] for trace in found] == ["Piece of work 3.", "Piece of work 2."]


def plans(db: sqlite3.Connection, seen: list[str]) -> list[tuple[str, str]]:
    """Each step of the plans of the statements *seen*."""
    return [
        (step, statement)
        for statement in seen
        for *_, step in db.execute("explain query plan " + statement)
    ]


@pytest.mark.parametrize("few", [0, 1_000])
def test_no_page_passes_over_all_calls(talk, monkeypatch, few):
    monkeypatch.setattr("datasette_agenttrace.bills.FEW", few)
    crowd(talk)
    db = talk.db
    [trace_id] = talk.row("select trace_id from traces order by started_us limit 1")
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    for ask in ({}, {"provider": "provider 1"}, {"model": "m1"}, {"agent": "agent 1"},
                {"status": "failed"}, {"session": "s"}, {"before": "5.x"}):  # fmt: skip
        load(db, traces_asked(ask, TODAY))
    one.load(db, trace_id)
    db.set_trace_callback(None)
    assert len(seen) > 30
    for step, statement in plans(db, seen):
        scans = re.match(
            r"SCAN (c|llm_calls|m|messages|u|call_messages|t|traces|s|spans|r)\b", step
        )
        allowed = "limit 1)" in statement or "limit 1" in statement or "COVERING INDEX" in step
        assert not scans or allowed, (step, statement)


@pytest.mark.parametrize(
    ("place", "table", "days"), [("traces", "traces", 1), ("sessions", "sessions", 7)]
)
async def test_what_went_on_into_a_time_is_in_it(talk, database, get, place, table, days):
    """Work that began before midnight is today's too, as far back as the index may be walked."""
    work(talk)
    midnight = TODAY * DAY_US
    listed = {}
    for before in (1, days * DAY_US, days * DAY_US + 1):
        with sqlite3.connect(database) as db:
            db.execute(f"update {table} set started_us = ?", (midnight - before,))
        found = (await get(f"/-/agenttrace/{place}.json?range=today")).json()
        listed[before] = len(found[place])
    assert list(listed.values()) == [1, 1, 0]
    with sqlite3.connect(database) as db:
        db.execute(f"update {table} set started_us = ended_us - 1, ended_us = ?", (midnight - 1,))
    assert (await get(f"/-/agenttrace/{place}.json?range=today")).json()[place] == []


@pytest.mark.parametrize("few", [0, 1_000])
@pytest.mark.parametrize("place", ["traces", "sessions"])
@pytest.mark.parametrize("name", ["provider", "model", "agent"])
async def test_one_call_fits_the_time_and_the_filters(talk, get, monkeypatch, few, place, name):
    """Not one call the time and another the filters: of work on two days, the model of each."""
    monkeypatch.setattr("datasette_agenttrace.bills.FEW", few)
    work(talk)
    midnight = TODAY * DAY_US
    for day, said in (("<", "yesterday's"), (">=", "today's")):
        talk.db.execute(
            "update llm_calls set agent_id = :said, provider = :said, response_model = :said,"
            f" started_us = :midnight + iif('{day}' = '<', -9, 9)"
            f" where (select count(*) from llm_calls o where o.id < llm_calls.id) {day} 2",
            {"said": said, "midnight": midnight},
        )
    talk.db.execute(f"update {place} set started_us = ?", (midnight - 9,))
    for days, said, found in (
        ("range=today", "today's", 1), ("range=today", "yesterday's", 0),
        ("from=2026-11-19&to=2026-11-19", "yesterday's", 1),
        ("from=2026-11-19&to=2026-11-19", "today's", 0), ("range=7d", "yesterday's", 1),
    ):  # fmt: skip
        listed = (await get(f"/-/agenttrace/{place}.json?{days}&{name}={said}")).json()[place]
        assert len(listed) == found, (days, said)


@pytest.mark.parametrize("path", ["", "?from=2020-01-01&to=2020-01-02"])
async def test_nothing_says_what_to_do(database, get, path):
    page = (await get(TRACES + path)).text
    assert "agenttrace-mitm demo" in page
    store(database, Record(call=call(1)))
    assert "traces rebuild" in (await get(TRACES + path)).text


@pytest.mark.parametrize("name", ["traces", "sessions", "agents"])
async def test_filters_that_nothing_fits_can_be_cleared(talk, get, name):
    """How to record is told where nothing is recorded."""
    work(talk)
    page = (await get(f"/-/agenttrace/{name}?range=7d&provider=nobody&model=none")).text
    assert "Nothing fits these filters" in page
    assert '<a href="?range=7d">Clear the filters</a>' in page
    assert '<a href="?provider=nobody&amp;model=none&amp;range=90d">look through' in page
    earlier = (await get(f"/-/agenttrace/{name}?from=2020-01-01&to=2020-01-02")).text
    assert f"No {name} in this time" in earlier
    assert '<a href="?range=90d">Show the last 90 days</a>' in earlier
    for hint in ("traces rebuild", "agenttrace-mitm run", "Clear the filters"):
        assert hint not in earlier
    assert "traces rebuild" not in page and "agenttrace-mitm run" not in page


async def test_what_is_not_there_is_not_found(get):
    assert (await get(f"{TRACES}/nowhere")).status_code == 404
    assert (await get(f"{TRACES}/nowhere.json")).status_code == 404


async def test_links_lead_somewhere(talk, get):
    trace_id = work(talk)
    for path in (TRACES, f"{TRACES}/{trace_id}"):
        page = Page((await get(path)).text)
        links = {a["href"] for tag, a in page.tags if tag == "a" and a["href"].startswith("/")}
        below = f"{TRACES}/{trace_id}" if path == TRACES else "/-/agenttrace/calls/"
        assert any(link.startswith(below) for link in links), "of what the page is about"
        for link in links:
            answer = await get(link)
            assert answer.status_code in (200, 302), link


async def test_everything_wants_the_token(talk, database, serve):
    trace_id = work(talk)
    served = serve(database)
    for path in (TRACES, f"{TRACES}.json", f"{TRACES}/{trace_id}", f"{TRACES}/{trace_id}.json"):
        assert (await served.client.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("took_us", "marks"), [(1_000, ["0", "", "1 ms"]), (4_000, ["0", "2 ms", "4 ms"])]
)
async def test_a_ruler_says_no_time_twice(talk, get, took_us, marks):
    """Half of a millisecond is not another one."""
    talk.call([user("Quick.")], says("Yes."))
    trace_id = talk.row("select trace_id from traces")[0]
    talk.db.execute("update traces set ended_us = started_us + ?", (took_us,))
    talk.db.execute("update spans set ended_us = started_us + ?", (took_us,))
    talk.db.execute("update llm_calls set ended_us = started_us + ?", (took_us,))
    talk.db.commit()
    page = (await get(f"{TRACES}/{trace_id}")).text
    head = page[page.index("at-span-head") :]
    found = re.findall(r"<span>([^<]*)</span>", head[head.index("at-ends") :])[:3]
    assert [one.replace("\N{NO-BREAK SPACE}", " ") for one in found] == marks
