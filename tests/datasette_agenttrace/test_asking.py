"""Times, counts and names: as they are asked for and as they are written."""

import datetime
import html
import re
from urllib.parse import urljoin

import pytest

from datasette_agenttrace import figures
from datasette_agenttrace.asking import asked_of
from datasette_agenttrace.calls.asked import OWN, calls_asked
from datasette_agenttrace.costs.queries import costs_asked
from datasette_agenttrace.costs.savings import savings_asked
from datasette_agenttrace.pages import PAGES
from datasette_agenttrace.sessions.queries import sessions_asked
from datasette_agenttrace.traces.queries import traces_asked
from tests.datasette_agenttrace.scene import TODAY

pytestmark = pytest.mark.usefixtures("noon")


def test_dates_are_days_of_utc():
    epoch = datetime.date(1970, 1, 1)
    asked = asked_of({"from": "2026-11-20"}, TODAY)
    assert asked.first_day == (datetime.date(2026, 11, 20) - epoch).days == TODAY
    assert (asked.first_date, asked.last_date) == ("2026-11-20", "2026-11-20")


def test_a_time_that_is_left_open_ends_where_it_is_said_to():
    asked = asked_of({"from": "", "to": "2026-11-10"}, TODAY)
    assert (asked.first_date, asked.last_date, asked.days) == ("2026-10-12", "2026-11-10", 30)
    asked = asked_of({"from": "2026-11-10"}, TODAY)
    assert (asked.first_date, asked.last_date) == ("2026-11-10", "2026-11-20")


def test_a_time_that_is_yet_to_come_stays_what_it_is():
    """Today's calls are none of it."""
    asked = asked_of({"from": "2030-01-01", "to": "2030-02-01"}, TODAY)
    assert (asked.first_date, asked.last_date) == ("2030-01-01", "2030-02-01")
    assert "yet to come" in asked.note
    asked = asked_of({"from": "2026-11-10", "to": "2030-02-01"}, TODAY)
    assert (asked.first_date, asked.last_date, asked.note) == ("2026-11-10", "2026-11-20", "")
    asked = asked_of({"from": "2030-01-01", "to": "9999-12-31"}, TODAY)
    assert "Only the last 732 days" in asked.note
    asked = asked_of({"from": "2030-01-01"}, TODAY)
    assert (asked.first_date, asked.last_date) == ("2030-01-01", "2030-01-01")
    assert "yet to come" in asked.note


def test_the_first_and_the_last_dates_are_dates():
    """Addresses lead back to them."""
    for said, first, last in (
        ({"to": "0001-01-01"}, "0001-01-01", "0001-01-01"),
        ({"to": "0001-01-09"}, "0001-01-01", "0001-01-09"),
        ({"to": "0900-03-01"}, "0900-01-31", "0900-03-01"),
        ({"from": "9999-12-31"}, "9999-12-31", "9999-12-31"),
        ({"to": "9999-12-31"}, "9999-12-02", "9999-12-31"),
        ({"from": "0001-01-01", "to": "9999-12-31"}, "2024-11-19", "2026-11-20"),
    ):
        asked = asked_of(said, TODAY)
        assert (asked.first_date, asked.last_date) == (first, last), said
        assert asked.address() == f"?from={first}&to={last}"


@pytest.mark.parametrize(
    "ask, name, said",
    [
        (asked_of, "range", "fortnight"), (calls_asked, "outcome", "bad"),
        (calls_asked, "sort", "cheapest"), (calls_asked, "kind", "llm"),
        (traces_asked, "status", "bad"), (sessions_asked, "sort", "slowest"),
        (sessions_asked, "status", "bad"), (costs_asked, "by", "colour"),
    ],
)  # fmt: skip
def test_what_an_address_says_in_vain_is_noted(ask, name, said):
    """And what makes no sense beside it."""
    assert f"“{name}={said}” is left out: there are " in ask({name: said}, TODAY).note
    noted = ask({name: said, "from": "abc"}, TODAY).note
    assert "Dates are written like" in noted and said in noted
    assert ask({name: ""}, TODAY).note == ask({}, TODAY).note == ""


@pytest.mark.parametrize(
    "ask, own",
    [
        (asked_of, []), (costs_asked, ["by"]), (savings_asked, ["instead"]),
        (sessions_asked, ["status", "sort", "before"]),
        (traces_asked, ["status", "session", "before"]), (calls_asked, [*OWN, "before"]),
    ],
)  # fmt: skip
def test_names_that_a_page_does_not_know_are_noted(ask, own):
    """A misspelt filter would show all calls as if they were those that it wants."""
    noted = "“prompt_id=x” is left out: this page has no “prompt_id”."
    assert ask({"prompt_id": "x"}, TODAY).note == noted
    assert "cheapest" in ask({"range": "cheapest", "prompt_id": "x"}, TODAY).note
    known = ["range", "from", "to", "provider", "model", "agent", "nolive", "_nocount", *own]
    assert ask(dict.fromkeys(known, ""), TODAY).note == ""
    assert ask({str(n) * 99: "v" * 99 for n in range(9)}, TODAY).note.count("is left out") == 3


@pytest.mark.parametrize("path", [*(page.path for page in PAGES if page.filtered)])
async def test_pages_note_what_they_do_not_know_and_lead_to_nothing_else(ask, path):
    """And none of their links says what the other page does not know."""
    page = (await ask(f"{path}?colour=%3Cred%3E")).text
    assert "“colour=&lt;red&gt;” is left out" in page
    page = (await ask(f"{path}?range=90d&agent=a")).text
    links = {html.unescape(link) for link in re.findall(r'href="([^"#]*)', page)}
    here = {urljoin(path, link) for link in links}
    ours = {link for link in here if link.startswith("/-/agenttrace") and "?" in link}
    assert len(ours) > 5
    for link in ours:
        answer = await ask(link)
        assert answer.status_code == 200, link
        assert "is left out" not in answer.text, link


def test_names_are_taken_as_they_are():
    assert asked_of({"agent": " lead", "model": " "}, TODAY).filters == {
        "agent": " lead",
        "model": " ",
    }


@pytest.mark.parametrize(
    "number, said", [(0, "0"), (2.5, "2.5"), (7.0, "7"), (12.4, "12"), (None, figures.UNKNOWN)]
)
def test_counts_below_ten_keep_a_half(number, said):
    assert figures.compact(number) == said


@pytest.mark.parametrize(
    "ms, said",
    [(99_900, "99.9 s"), (99_960, "1 m 40 s"), (3_599_400, "59 m 59 s"), (3_599_600, "1 h 0 m"),
     (91 * 60_000, "1 h 31 m"), (7_500_000, "2 h 5 m"), (47 * 3_600_000, "47 h 0 m"),
     (172_770_000, "2 d 0 h"), (310 * 3_600_000, "12 d 22 h")],
)  # fmt: skip
def test_long_spans_are_hours_and_days(ms, said):
    """And no line ends inside one."""
    assert figures.duration(ms) == said.replace(" ", "\N{NO-BREAK SPACE}")
