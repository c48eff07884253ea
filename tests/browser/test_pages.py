"""Every page in chromium, with the demo's calls and with hostile ones: nothing is wrong with any.

AGENTTRACE_BROWSER=full scripts/test tests/browser     every size in every colour scheme
"""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.store import open_database
from benchmarks import bulk
from datasette_agenttrace.asking import DAY_US
from tests.browser.visiting import EVERY, SHORT, Visit
from tests.support import hostile_content, sample_db
from tests.support.pages import addresses, core_addresses
from tests.support.web import FULL, browser, chromium, demo, signed_in, web
from tests.traces.talks import Recording, says, tool_result, tool_use, user

# The system's browser, which .ci/run installs: a package of tests must not download one.
pytestmark = pytest.mark.skipif(chromium() is None, reason="chromium is not installed")
LOOKS = EVERY if FULL else SHORT


def hostile(home: Path) -> Path:
    home.mkdir(mode=0o700)
    hostile_content.build(home / "data.db")
    return home


@pytest.mark.parametrize("made", [demo, hostile])
def test_nothing_is_wrong_with_any_page(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    home = made(tmp_path / "home")
    database = home / "data.db"
    found: dict[str, list[str]] = {}
    with web(home) as server, browser() as opened:
        context = signed_in(opened, server)
        visit = Visit(context)
        pages, files = told_apart(server.url, server.token, addresses(database), found)
        # Datasette's own pages have nothing of the demo that they have not of the hostile calls.
        core = core_addresses(database) if FULL or made is hostile else []
        for number, address in enumerate([*pages, *core]):
            status = 404 if address.endswith("nothing-here") else 200
            # Pages of the demo are those of the hostile calls: in short, one look at each.
            looks = LOOKS if FULL or made is hostile else SHORT[number % 2 :][:1]
            if wrong := visit.faults(server.url + address, looks, status):
                found[address] = wrong
        for address, content in files.items():
            file = tmp_path / "shared.html"
            file.write_bytes(content)
            if wrong := visit.faults(file.as_uri(), LOOKS):
                found[address] = wrong
    print(
        f"{made.__name__}: {len(pages) + len(core)} pages, {len(files)} files, {len(LOOKS)} looks"
    )
    assert len(pages) > 20
    assert files
    assert found == {}


def told_apart(
    url: str, token: str, asked: list[str], found: dict[str, list[str]]
) -> tuple[list[str], dict[str, bytes]]:
    """Pages to visit, and files to open, by address; what does not answer goes into *found*."""
    pages: list[str] = []
    files: dict[str, bytes] = {}
    with httpx.Client(base_url=url, headers={"x-api-key": token}, timeout=30) as client:
        for address in asked:
            answer = client.get(address)
            kind = answer.headers.get("content-type", "")
            if answer.status_code not in (200, 302, 303):
                found[address] = [f"answers {answer.status_code} {answer.text[:200]}"]
            elif kind == "application/vnd.sqlite3":
                assert answer.content.startswith(b"SQLite format 3\0")
            elif "/media/" in address:
                assert "sandbox" in answer.headers["content-security-policy"]
                assert kind in ("image/png", "application/pdf"), kind
            elif "attachment" in answer.headers.get("content-disposition", ""):
                files[address] = answer.content
            elif kind.startswith("text/html") or kind == "":
                pages.append(address)
            elif kind.startswith("text/plain"):
                assert answer.headers.get("x-content-type-options") == "nosniff"
    return pages, files


# What an author's words are kept as: said by people and tools from tier 2 on, by models at tier 3.
HEARD = ("heard-in-a-prompt", "heard-in-an-argument", "heard-in-a-result", "heard-in-a-folder")
SAID = ("said-in-a-reply", "said-in-reasoning")


def _talked(database: Path, tier: Any) -> None:
    """A question, a tool and an answer, stored under *tier*."""
    db = open_database(database)
    talk = Recording(db.conn, tier, at_us=clock.now_us() - 60_000_000)
    use = tool_use("toolu_1", "Bash", command=HEARD[1])
    use["content"][:0] = [
        {"type": "thinking", "thinking": SAID[1], "signature": "x"},
        {"type": "text", "text": SAID[0]},
    ]
    asked = [user(HEARD[0])]
    talk.call(asked, use, cwd=f"/tmp/{HEARD[3]}")
    talk.call([*asked, use, tool_result("toolu_1", HEARD[2])], says(SAID[0]))
    db.conn.commit()
    db.close()


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_pages_show_what_the_tier_keeps(tmp_path: Path, tier: int) -> None:
    """At tier 2 a reply is its length; at tier 1 nothing that anybody said is anywhere."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    _talked(home / "data.db", tier)
    found: dict[str, list[str]] = {}
    shown = ""
    with web(home) as server, browser() as opened:
        visit = Visit(signed_in(opened, server))
        pages, files = told_apart(server.url, server.token, addresses(home / "data.db"), found)
        for address in found.copy():  # what is not kept has no address, as its call's page says
            body = tier < 3 and address.endswith(("/request", "/response"))
            if body or (tier == 1 and "/messages/" in address):
                assert "answers 404" in found.pop(address)[0]
        for address in pages:
            if FULL or (tier < 3 and re.search("/(calls|sessions|traces|agents)", address)):
                if wrong := visit.faults(server.url + address, LOOKS if FULL else SHORT[:1]):
                    found[address] = wrong
                shown += visit.page.content()
            elif "/sessions/" in address:
                visit.page.goto(server.url + address)
                shown += visit.page.content()
    assert found == {}
    shown += b"".join(files.values()).decode()
    for words in HEARD:
        assert (words in shown) == (tier >= 2), words
    for words in SAID:
        assert (words in shown) == (tier == 3), words
    if tier < 3:
        assert f"{len(SAID[0])} characters" in shown


def test_the_tab_notices(tmp_path: Path) -> None:
    """A page with one fault of each kind: a check that cannot fail is none."""
    page = tmp_path / "page.html"
    page.write_text(
        "<!DOCTYPE html><html lang=en><title>Bad</title><main><h1>Bad</h1>"
        "<script>window.pwned = 1; console.error('said')</script><img alt='' src='gone.png'>"
        "<img alt='' src='http://198.51.100.7/x.png'><a href='javascript:alert(1)'>x</a>"
        "<p style='color: #aaa; background: #bbb; width: 2000px'>Hardly to be read</p></main>"
    )
    with browser() as opened:
        visit = Visit(opened.new_context())
        told = "\n".join(visit.faults(page.as_uri(), SHORT))
    for fault in ("console: said", "gone.png", "asked http://198.51.100.7", "script of the data",
                  "link javascript", "color-contrast", "narrow dark: wider"):  # fmt: skip
        assert fault in told


def test_a_narrow_window_begins_with_figures(tmp_path: Path) -> None:
    """The header is two lines with this page's link in sight; filters unfold, and say what is set.

    A wide window has them open, without a line for it.
    """
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    sample_db.build(home / "data.db", end_us=clock.now_us(), days=7, calls_a_day=20)
    with web(home) as server, browser() as opened:
        for scripts in (True, False):
            context = signed_in(opened, server, scripts)
            page = context.new_page()
            page.set_viewport_size({"width": 360, "height": 780})
            for path in ("", "/costs", "/calls", "/agents?agent=claude-code", "/latency"):
                page.goto(f"{server.url}/-/agenttrace{path}")
                first = page.locator(".at-tiles dd, .at-list td, .at-plot").first.bounding_box()
                assert first and first["y"] < 480, path
                here = page.locator(".at-nav [aria-current]").bounding_box()
                assert here and here["x"] >= 0 and here["x"] + here["width"] <= 360, path
                assert here["y"] < 90
            page.goto(f"{server.url}/-/agenttrace/costs?agent=claude-code")
            provider = page.locator("select[name=provider]")
            assert not provider.is_visible()
            page.click("summary:has-text('Filters: claude-code')")
            assert provider.is_visible()
            page.set_viewport_size({"width": 1440, "height": 900})
            page.reload()
            assert provider.is_visible()
            assert not page.locator(".at-fold > summary").is_visible()


OVER = """() => [...document.querySelectorAll(".at-scroll")]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.scrollWidth)"""
CUT_OFF = """() => [...document.querySelectorAll(".at-scroll:has(.at-cards)")]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.getAttribute("aria-label")
    ?? one.getAttribute("aria-labelledby"))"""
BROKEN = """() => [...document.querySelectorAll(".at-span > summary > .at-num")]
  .filter((one) => one.getBoundingClientRect().height > 30 || one.scrollWidth > one.clientWidth)
  .map((one) => one.textContent)"""


def test_lists_fit_their_windows(tmp_path: Path) -> None:
    """No column of Traces and Sessions is cut off, and no duration of a trace is broken in two."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    bulk.build(home / "data.db", 1_500, days=20, end_us=clock.now_us())
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server, False).new_page()
        for width in (1024, 1280, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            for path in ("traces", "sessions"):
                page.goto(f"{server.url}/-/agenttrace/{path}")
                assert page.locator("tbody tr").count() > 20
                assert page.evaluate(OVER) == [], (path, width)
                asked = page.locator("td.at-asked").first.bounding_box()
                assert asked and asked["width"] >= 140, (path, width)
        longest = "select trace_id from traces order by ended_us - started_us desc limit 1"
        [trace] = sqlite3.connect(home / "data.db").execute(longest).fetchone()
        for width in (360, 1024, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"{server.url}/-/agenttrace/traces/{trace}")
            assert page.locator(".at-span").count() > 20
            assert page.evaluate(BROKEN) == [], width


def test_every_list_fits_every_window(tmp_path: Path) -> None:
    """From a phone on, figures are whole: where a table has no room, its rows are cards."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    bulk.build(home / "data.db", 1_500, days=20, end_us=clock.now_us())
    lists = (
        "", "calls", "costs", "costs?by=session", "costs/savings?instead=gpt-5-mini",
        "costs/caches", "agents", "agents?agent=eval-search", "latency", "traces", "sessions",
    )  # fmt: skip
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server, False).new_page()
        for path in lists:
            page.goto(f"{server.url}/-/agenttrace/{path}")
            for width in (360, 577, 768, 1000, 1001, 1024, 1100, 1280, 1440):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate(CUT_OFF) == [], (path, width)


def test_names_of_any_length_cut_no_figure_off(tmp_path: Path) -> None:
    """Long names give way, on both sides of where tables become cards and in wide windows."""
    home = hostile(tmp_path / "home")
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server, False).new_page()
        for path in ("", "alerts", "calls", "costs", "agents", "latency", "traces", "sessions"):
            page.goto(f"{server.url}/-/agenttrace/{path}")
            for width in (1000, 1001, 1024, 1100, 1280, 1400, 1401, 1440, 1920):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate(CUT_OFF) == [], (path, width)


def test_a_card_says_what_its_figures_are(tmp_path: Path) -> None:
    """Two dates in a row are told apart, and so are percentiles."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    bulk.build(home / "data.db", 300, days=3, end_us=clock.now_us())
    named = "(one) => getComputedStyle(one, '::before').content"
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server, False).new_page()
        page.set_viewport_size({"width": 360, "height": 900})
        page.goto(f"{server.url}/-/agenttrace/agents?agent=eval-search")
        assert page.locator("td[data-label='First seen']").first.evaluate(named) == '"First seen "'
        page.goto(f"{server.url}/-/agenttrace/latency")
        cells = page.locator("#models ~ .at-scroll tbody tr").first.locator("td")
        labels = [cells.nth(n).evaluate(named) for n in range(cells.count())]
        assert '"First content, 95th pct. "' in labels
        assert len(set(labels)) == len(labels) == 9
        page.set_viewport_size({"width": 1440, "height": 900})
        heads = page.locator("#models ~ .at-scroll th[scope=col]").all_inner_texts()
        assert heads[3:8] == [
            "90th pct.", "95th pct.", "99th pct.", "First content", "First content, 95th pct.",
        ]  # fmt: skip


def test_what_goes_on_aside_shows_it(tmp_path: Path) -> None:
    """A drawing wider than its box has a shadow there, and none once one is at its end."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    bulk.build(home / "data.db", 300, days=3, end_us=clock.now_us())
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server, False).new_page()
        page.set_viewport_size({"width": 360, "height": 900})
        page.goto(f"{server.url}/-/agenttrace/agents")
        drawing = page.locator(".at-scroll:has(.at-network)")
        assert drawing.evaluate("one => one.scrollWidth > one.clientWidth")
        drawing.evaluate("one => { one.firstElementChild.style.visibility = 'hidden' }")
        ahead = drawing.screenshot()
        drawing.evaluate("one => { one.scrollLeft = one.scrollWidth }")
        assert drawing.screenshot() != ahead


def test_what_failed_is_open_where_a_link_leads(tmp_path: Path) -> None:
    """From an agent's tools to the step and from there to its words, without JavaScript."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    db = open_database(home / "data.db")
    talk = Recording(db.conn, at_us=clock.now_us() - 60_000_000)
    use, asked = tool_use("toolu_1", "Bash", command="pytest -q"), [user("Mend it.")]
    session = {"x_claude_code_session_id": "s", "agent": "coder"}
    talk.call(asked, use, **session)
    result = tool_result("toolu_1", "what went wrong", is_error=True)
    talk.call([*asked, use, result], says("Mended."), **session)
    db.conn.commit()
    db.close()
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server, False).new_page()
        page.goto(f"{server.url}/-/agenttrace/agents?agent=coder")
        page.click("td[data-label=Failed] a")
        assert "/traces/" in page.url
        assert page.locator("text=what went wrong").is_visible()
        page.click(".at-jumps a")
        assert page.locator(".at-span:target >> text=what went wrong").is_visible()


def test_the_charts_of_costs_have_one_time(tmp_path: Path) -> None:
    """All that was asked for, whatever was called when; and a 0 is not 0k."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    db = open_database(home / "data.db")
    now_us = clock.now_us()
    talk = Recording(db.conn, at_us=max(now_us - 60_000_000, now_us // DAY_US * DAY_US))  # today
    for number in range(3):
        talk.call([user(f"Hello {number}")], says("Hi"))
    db.conn.commit()
    db.close()
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        page.set_viewport_size({"width": 1440, "height": 900})
        for range_, first in (("30d", None), ("today", "00:00")):
            page.goto(f"{server.url}/-/agenttrace/costs?range={range_}")
            page.locator("#plot-errors .at-vega svg").wait_for()
            axes = {
                chart: [
                    page.locator(f"#plot-{chart} .role-axis-label text").nth(n).text_content()
                    for n in range(page.locator(f"#plot-{chart} .role-axis-label text").count())
                ]
                for chart in ("cost", "tokens", "calls", "latency", "errors")
            }
            times = {
                chart: [one for one in labels if re.fullmatch(r"\w{3} \d+|\d\d:\d\d", one or "")]
                for chart, labels in axes.items()
            }
            assert len(times["cost"]) > 3
            assert all(shown == times["cost"] for shown in times.values()), times
            assert first in (None, times["cost"][0])
            for chart in ("tokens", "calls"):
                assert "0" in axes[chart]
                assert not {"0k", "0M"} & set(axes[chart])
                assert not [one for one in axes[chart] if one and one.startswith("0.")]


@pytest.mark.parametrize(
    "path", ["/costs?range=7d&by=agent", "/costs/savings?range=7d&instead=gpt-5-mini"]
)
def test_a_narrow_window_shows_spend_without_scrolling_sideways(tmp_path: Path, path: str) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    sample_db.build(home / "data.db", end_us=clock.now_us(), days=7, calls_a_day=20)
    with web(home) as server, browser() as opened:
        page = signed_in(opened, server).new_page()
        page.set_viewport_size({"width": 360, "height": 780})
        page.goto(f"{server.url}/-/agenttrace{path}")
        for folded in page.locator("details.at-card").all():
            folded.locator("summary").click()
        spent = page.locator("td[data-label=Spend]").all()
        assert len(spent) > 5
        for cell in spent:
            box = cell.bounding_box()
            assert box
            assert box["x"] + box["width"] <= 360
        for region in page.locator(".at-scroll").all():
            assert region.evaluate("one => one.scrollWidth <= one.clientWidth")


def test_who_is_not_signed_in_sees_a_page_that_is_well_made(tmp_path: Path) -> None:
    """The way in, a used link, an address that is not served."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with web(home) as server, browser() as opened:
        visit = Visit(opened.new_context())
        for address in ("/", "/-/agenttrace/calls", "/-/agenttrace/login?code=used"):
            assert visit.faults(server.url + address, EVERY, 401) == []
        context = signed_in(opened, server)
        empty = Visit(context)
        for address in addresses(home / "data.db"):
            if not address.endswith((".json", "/metrics")):
                assert empty.faults(server.url + address) == [], address


def test_what_another_site_may_do_to_who_is_signed_in(tmp_path: Path) -> None:
    """Lead here, one click short of a page, and nothing else; a login link works once."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with web(home) as server, browser() as opened:
        context = opened.new_context()
        page = context.new_page()
        link = server.login("/-/agenttrace/calls")
        assert page.goto(link).status == 200
        there = f"{server.url}/-/agenttrace/costs?range=7d&nolive"
        elsewhere = tmp_path / "elsewhere.html"
        elsewhere.write_text(f"<a href='{there}'>x</a><iframe src='{there}'></iframe>")
        page.goto(elsewhere.as_uri())
        asked = "([url, mode]) => fetch(url, {mode, credentials: 'include'}).then(() => 1, () => 0)"
        for mode in ("cors", "no-cors"):
            assert page.evaluate(asked, [there, mode]) == 0, mode
        assert "Costs" not in (page.frames[1].content())

        with page.expect_navigation():
            page.click("a")  # strict cookies stay behind
        assert page.title().startswith("This is private")
        with page.expect_navigation():
            page.click("text=Try again")
        assert page.title().startswith("Costs")
        assert urlsplit(page.url).query == "range=7d&nolive"

        other = opened.new_context().new_page()
        assert other.goto(link).status == 401
