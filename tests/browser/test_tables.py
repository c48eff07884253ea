"""Tables in chromium: what stands in them can be read, whole."""

from pathlib import Path

import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.alerts.making import made
from agenttrace_mitm.model import LlmCall, Record
from agenttrace_mitm.store import open_database
from agenttrace_mitm.store.alerting import AlertStore
from agenttrace_mitm.store.rows import write_record
from tests.support import sample_db
from tests.support.web import browser, chromium, signed_in, web
from tests.traces.talks import Recording, says, tool_result, tool_use, user

pytestmark = pytest.mark.skipif(chromium() is None, reason="chromium is not installed")
TALL = """() => [...document.querySelectorAll(".facet-info li")].filter((one) => {
  const range = document.createRange();
  const count = one.lastChild.textContent.trim() ? one.lastChild : one.lastChild.previousSibling;
  range.selectNodeContents(count);
  const tops = [...range.getClientRects()].filter((box) => box.width > 1).map((box) => box.top);
  return new Set(tops).size > 1;
}).length"""
CUT = """(one) => {
  const shown = one.selectedOptions[0].text, probe = document.createElement("span");
  probe.style.font = getComputedStyle(one).font;
  probe.textContent = shown;
  document.body.append(probe);
  const needed = probe.getBoundingClientRect().width;
  probe.remove();
  return needed > one.clientWidth - 16;
}"""


def _filled(home: Path) -> Path:
    """Some calls of a team, and of agents with names of all lengths that failed in the stream."""
    home.mkdir(mode=0o700)
    sample_db.build(home / "data.db", end_us=clock.now_us(), days=3, calls_a_day=40)
    db = open_database(home / "data.db")
    for number in range(1200):
        write_record(db.conn, Record(call=LlmCall(
            id=f"call-{number}", started_us=clock.now_us() - number, kind="auxiliary",
            provider="anthropic", host="h", method="POST", path="/", model="claude-haiku-4-5",
            outcome="error", status_code=200, error_type="invalid_request_error", tokens_in=45_200,
            tokens_out=1_200, cost_nano_usd=41_000_000, latency_ms=13_000.0,
            agent_id="agent-" + "x" * (number % 20 + 6),
        )))  # fmt: skip
    db.conn.commit()
    db.close()
    return home


def test_rules_fit_with_their_buttons(tmp_path: Path) -> None:
    """However much is set: nothing to scroll aside for."""
    now_us, home = clock.now_us(), tmp_path / "home"
    home.mkdir(mode=0o700)
    open_database(home / "data.db").close()
    store = AlertStore(home / "data.db")
    for name, type_, params in (
        ("lat", "latency", {"per": "model"}),
        ("errors-of-support-triage", "error_rate", {"agent": "agent-" + "x" * 80}),
        ("daily", "budget", {"limit_usd": 20}),
    ):
        deliver = ("mailto:somebody-at-home@example.com", "https://example.com/hook")
        store.put_rule(made(now_us, name=name, type=type_, params=params, deliver=deliver))
    store.close()
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        page.goto(f"{server.url}/-/agenttrace/alerts")
        for width, least in ((1440, 200), (1280, 200), (1100, 100), (1024, 100), (1001, 100)):
            page.set_viewport_size({"width": width, "height": 900})
            box = page.locator(".at-scroll").first
            wide = box.evaluate("one => one.scrollWidth - one.clientWidth")
            assert wide <= 0, width
            settings = page.locator("td[data-label=Settings]").first.bounding_box()
            assert settings and settings["width"] > least, width


LINES = """() => [...document.querySelectorAll(".CodeMirror pre")]
  .filter((one) => getComputedStyle(one).borderTopWidth !== "0px").length"""
ALIGNED = """() => [...document.querySelectorAll(".rows-and-columns :is(th, td)")]
  .filter((one) => one.textContent.trim()).slice(0, 15)
  .map((one) => getComputedStyle(one).textAlign)"""


def test_sql_is_no_ledger_and_its_figures_stand_right(tmp_path: Path) -> None:
    """No line of the editor has a box; a column of figures is aligned, its head too."""
    with web(_filled(tmp_path / "home")) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        page.goto(f"{server.url}/-/agenttrace/costs?by=agent")
        page.click("p.at-more a:text-is('agent')")
        page.locator(".CodeMirror-line").nth(5).wait_for()
        assert page.evaluate(LINES) == 0
        # agent_id, then cost_usd, calls, failed, unpriced and tokens
        heads, row = ["left", *["right"] * 7], ["left", *["right"] * 6]  # no tokens from a cache
        assert page.evaluate(ALIGNED) == [*heads, *row]


RIGHT = """() => [...document.querySelectorAll(".rows-and-columns th")]
  .filter((one) => getComputedStyle(one).textAlign === "right")
  .map((one) => one.textContent.trim())"""
ASKEW = """() => {
  const right = (one) => getComputedStyle(one).textAlign === "right";
  const heads = [...document.querySelectorAll(".rows-and-columns th")];
  return [...document.querySelectorAll(".rows-and-columns tbody td")]
    .filter((one) => one.textContent.trim() && right(one) !== right(heads[one.cellIndex]))
    .map((one) => one.className + " " + one.textContent);
}"""


def test_figures_of_tables_stand_right_with_their_heads(tmp_path: Path) -> None:
    """By name or by type, however wide the table is; times and texts stand left."""
    tokens = {"tokens_in", "tokens_out", "cache_read_tokens"}
    of_calls = tokens | {"cost_nano_usd", "cost_usd", "latency_ms"}
    with web(_filled(tmp_path / "home")) as server, browser() as opened:
        page = signed_in(opened, server, False).new_page()
        for path, figures in (
            ("llm_calls", of_calls | {"status_code", "attempt"}),
            ("rollup_day", tokens | {"calls", "failed", "unpriced", "cost_nano_usd"}),
            ("agents", {"calls", "sessions", "failed", "tokens_in", "cost_nano_usd"}),
            ("?sql=select+*+from+llm_calls", of_calls),
        ):
            page.goto(f"{server.url}/data/{path}".replace("/?", "?"))
            right = set(page.evaluate(RIGHT))
            assert figures <= right, path
            assert not right & {"id", "started_us", "last_seen_us", "model", "agent_id"}, path
            assert page.evaluate(ASKEW) == [], path


def test_calls_fit_and_counts_stay_whole(tmp_path: Path) -> None:
    """No scrolling aside for a call, no count in two lines, no cut choice in a narrow window."""
    with web(_filled(tmp_path / "home")) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        for width in (1280, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            for query in ("", "?outcome=failed", "?sort=slowest", "?q=the"):
                page.goto(f"{server.url}/-/agenttrace/calls{query}")
                box = page.locator(".at-scroll")
                wide = box.evaluate("one => one.scrollWidth - one.clientWidth")
                assert wide <= 0, (width, query)
        said = page.locator("td.at-said").first.bounding_box()
        assert said and said["width"] > 250
        for width in (1440, 360):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"{server.url}/data/llm_calls")
            assert page.locator(".facet-info li").count() > 3
            assert page.evaluate(TALL) == 0, width
        assert not page.locator("#sort_by").evaluate(CUT)


BROKEN = """() => [...document.querySelectorAll(".at-tiles dd small")].filter((one) => {
  const range = document.createRange();
  range.selectNode(one.previousSibling);
  const number = [...range.getClientRects()].at(-1);
  return number.bottom <= one.getBoundingClientRect().top;
}).map((one) => one.parentNode.textContent)"""
NAMES = """() => [...document.querySelectorAll(".at-span-name")].map((one) => {
  const [kind, name] = one.children;
  const is_cut = name.scrollWidth > name.clientWidth;
  const is_broken = kind.getBoundingClientRect().bottom <= name.getBoundingClientRect().top;
  return [name.textContent, is_cut || is_broken];
})"""


def test_a_phone_has_room_for_words_and_what_they_belong_to(tmp_path: Path) -> None:
    """A number and its unit on one line, and models of steps four levels down by their names."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    db = open_database(home / "data.db")
    talk = Recording(db.conn, at_us=clock.now_us() - 60_000_000)
    asked = [user("Mend it."), tool_use("toolu_1", "Bash", command="pytest -q")]
    talk.call(asked[:1], asked[1])
    talk.call([*asked, tool_result("toolu_1", "1 failed")], says("It fails." * 600))
    write_record(db.conn, Record(call=LlmCall(
        id="call-1", started_us=clock.now_us(), kind="llm", provider="anthropic", host="h",
        method="POST", path="/", model="m", outcome="ok", tokens_in=8_650, tokens_out=970,
    )))  # fmt: skip
    db.conn.commit()
    [trace] = db.conn.execute("select trace_id from traces").fetchone()
    db.close()
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        page.set_viewport_size({"width": 360, "height": 900})
        for path in ("", "/costs", f"/traces/{trace}"):
            page.goto(f"{server.url}/-/agenttrace{path}")
            assert page.evaluate(BROKEN) == []
        names = page.evaluate(NAMES)
        assert ["claude-sonnet-4-5", False] in names
        assert [name for name, is_cut in names if is_cut] == []
