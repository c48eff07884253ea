"""The search: whose words it finds, from where, and how it shows them."""

import sqlite3
from urllib.parse import quote

import pytest

from agenttrace_mitm.model import (
    Record,
)  # fmt: skip
from datasette_agenttrace.asking import DAY_US
from datasette_agenttrace.calls import queries, snippets
from datasette_agenttrace.calls.asked import calls_asked
from datasette_agenttrace.calls.queries import load
from datasette_agenttrace.calls.terms import terms_of
from tests.datasette_agenttrace.listed import CALLS, call, ids, store, words
from tests.datasette_agenttrace.scene import NOON, TODAY

pytestmark = pytest.mark.usefixtures("noon")


@pytest.mark.parametrize(
    "typed, match",
    [
        ("two words", '"two" "words"'), ('"a phrase" x', '"a phrase" "x"'), ("begin*", '"begin"*'),
        ("NEAR(a b)", '"NEAR(a" "b)"'), ('"', ""), ("*", ""), ("a-b OR c", '"a-b" "OR" "c"'),
    ],
)  # fmt: skip
def test_typed_words_are_words(typed, match):
    """Whatever is typed is searched for, and never FTS syntax."""
    assert " ".join(str(term) for term in terms_of(typed)) == match


async def test_search_finds_who_said_it_newest_first(database, get):
    store(
        database,
        Record(call=call(9), messages=(words("user", "the zebra crossed"),)),
        Record(call=call(5), messages=(words("user", "no animals here"),)),
        Record(call=call(1), messages=(words("assistant", "a zebra, twice", 1, "out"),)),
    )
    assert await ids(get, "q=zebra") == ["call-001", "call-009"]
    assert await ids(get, "q=zeb*+crossed") == ["call-009"]
    assert await ids(get, "q=%22crossed+zebra%22") == []
    assert await ids(get, "q=%22") == []
    assert await ids(get, "q=zebra&provider=mistral") == []
    assert await ids(get, "q=zebra%27%29%3B+drop") == []


async def test_a_whole_id_leads_to_its_calls(database, get):
    """Whatever their time and the filters; what is quoted is searched for in messages."""
    old = NOON - 300 * DAY_US
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    store(
        database,
        Record(call=call(9, started_us=old, response_id="resp_0123", trace_id=trace)),
        Record(call=call(8, provider_request_id="req_01ABCdef", client_request_id="mine-0001")),
        Record(call=call(7, operation_id="call-009", attempt=2, trace_id=trace)),
        Record(call=call(6), messages=(words("user", "what is resp_0123 or word-9999?"),)),
    )
    for asked, found in {
        "call-008": [8], "call-009": [7, 9], trace: [7, 9], "resp_0123": [9], "req_01ABCdef": [8],
        "mine-0001": [8], "%22resp_0123%22": [6], "resp_012": [], "word-9999": [6],
        "req_01ABCdef&from=2026-01-01&to=2026-01-02": [], "call-009&provider=mistral": [7, 9],
        "call-009&sort=slowest": [9, 7],
    }.items():  # fmt: skip
        assert await ids(get, f"q={asked}") == [f"call-00{n}" for n in found], asked
    page = (await get(f"{CALLS}?q=resp_0123")).text
    assert "By this id, whatever their time" in page
    assert ">Said last</th>" in page
    assert "By this id" not in (await get(f"{CALLS}?q=word-9999")).text


async def test_by_an_id_no_order_hides_a_call(database, get, monkeypatch):
    """What is not known comes last, on whichever page."""
    monkeypatch.setattr(queries, "PAGE_SIZE", 2)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    failed = {"outcome": "error", "unpriced_reason": "error", "cost_nano_usd": None}
    store(
        database,
        Record(call=call(1, trace_id=trace, **failed, latency_ms=None)),
        Record(call=call(2, trace_id=trace, cost_nano_usd=0, latency_ms=0.0)),
        Record(call=call(3, trace_id=trace, cost_nano_usd=7, operation_id="call-001", attempt=2)),
        Record(call=call(4, trace_id=trace, **failed, latency_ms=None)),
    )
    assert await ids(get, "q=call-001&sort=dearest") == ["call-003", "call-001"]
    assert await ids(get, "q=call-004&sort=slowest") == ["call-004"]
    for sort in ("dearest", "slowest"):
        seen, place = [], ""
        for _ in range(2):
            address = f"{CALLS}.json?q={trace}&sort={sort}&before={place}"
            page = (await get(address)).json()
            seen += [one["id"] for one in page["calls"]]
            place = page["older"] or ""
        assert seen == ["call-003", "call-002", "call-004", "call-001"], sort


async def test_a_session_by_its_id(database, get, monkeypatch):
    """One that is called by a word is found where no message says it."""
    old = NOON - 300 * DAY_US
    store(
        database,
        Record(call=call(1, session_id="run-2026-11", started_us=old, provider="mistral")),
        Record(call=call(2, session_id="run-2026-11")),
        Record(call=call(3, session_id="nightly build")),
        Record(call=call(4, session_id="zebra")),
        Record(call=call(5), messages=(words("user", "the zebra crossed"),)),
    )
    for asked, found in {
        "run-2026-11": [2, 1], "run-2026-11&provider=openai&range=today": [2, 1],
        "nightly+build": [3], "%22nightly+build%22": [], "nightly": [], "zebra": [5],
    }.items():  # fmt: skip
        assert await ids(get, f"q={asked}") == [f"call-00{n}" for n in found], asked
    assert "By this id, whatever their time" in (await get(f"{CALLS}?q=nightly+build")).text
    assert "They are many" not in (await get(f"{CALLS}?q=run-2026-11")).text
    monkeypatch.setattr(queries, "MOST", 2)
    assert "They are many: only the newest" in (await get(f"{CALLS}?q=run-2026-11")).text


async def test_a_long_trace_by_its_id_goes_on_over_pages(database, get, monkeypatch):
    monkeypatch.setattr(queries, "PAGE_SIZE", 2)
    store(database, *(Record(call=call(n, trace_id="0123456789abcdef")) for n in range(5)))
    seen, place = [], ""
    for _ in range(3):
        page = (await get(f"{CALLS}.json?q=0123456789abcdef&before={place}")).json()
        seen += [one["id"] for one in page["calls"]]
        place = page["older"] or ""
    assert seen == [f"call-{n:03d}" for n in range(5)]


async def test_a_search_in_vain_says_where_it_looked(database, get):
    store(database, Record(call=call(1, outcome="error", error_type="not_found_error")))
    page = (await get(f"{CALLS}?q=not_found_error&agent=a")).text
    assert "looks in messages, not in errors" in page
    assert 'href="?range=30d&amp;agent=a&amp;outcome=failed"' in page
    assert 'href="?agent=a&amp;q=not_found_error&amp;range=90d"' in page
    assert "looks in messages" not in (await get(f"{CALLS}?agent=a")).text


def test_a_common_word_is_searched_back_from_where_the_page_is(database, monkeypatch):
    """With more matches than are looked at, the newest come first, and pages go on to the rest."""
    monkeypatch.setattr(queries, "MOST_MATCHES", 40)
    monkeypatch.setattr(queries, "PAGE_SIZE", 10)
    days = 30
    store(
        database,
        *(
            Record(call=call(n, started_us=NOON - (days - n // 5) * DAY_US // 2 + n),
                   messages=(words("user", f"common {n}"),))
            for n in range(150)
        ),
    )  # fmt: skip
    db = sqlite3.connect(database)
    seen, before = [], ""
    while True:
        page = load(db, calls_asked({"q": "common", "before": before}, TODAY))
        seen += [found.id for found in page.calls]
        assert not page.searched_all
        if not page.older:
            break
        before = page.older
    assert seen == [f"call-{n:03d}" for n in range(149, -1, -1)][: len(seen)]
    assert len(seen) > 100


def marked(one) -> list[str]:
    return [one["said"][start:end] for start, end in one["marks"]]


LONG_ABOUT = "nothing of the kind " * 500


@pytest.mark.parametrize(
    "q, text, said",
    [
        ("zebra", LONG_ABOUT + "the Zebra crossed " + LONG_ABOUT, ["Zebra"]),
        ("zeb*", LONG_ABOUT + "two zebras", ["zebras"]),
        ('"zebra crossing"', "zebra and crossing; " * 90 + "zebra crossing", ["zebra crossing"]),
        ("resume", "son résumé", ["résumé"]),
        ("cat", "concatenate " * 9 + "a cat.", ["cat"]),
        ("one two", "two " + LONG_ABOUT + " one", ["two"]),
        ("a-b", "so\n\n  a-b it is", ["a-b"]), ("<b>", "<i>is <b>bold</b>", ["b", "b"]),
    ],
)  # fmt: skip
async def test_a_search_shows_where_it_matches(database, get, q, text, said):
    """In the message that matched, which is not the last one, however long it is."""
    later = words("user", "and then something else", 1)
    store(database, Record(call=call(1), messages=(words("user", text), later)))
    address = f"?q={quote(q)}"
    (one,) = (await get(f"{CALLS}.json{address}")).json()["calls"]
    assert marked(one) == said
    assert len(one["said"]) < 200
    assert one["marks"][0][0] < 25
    page = (await get(CALLS + address)).text
    assert f"<mark>{said[0]}</mark>" in page
    assert "something else" not in page


async def test_a_search_shows_no_words_that_a_call_does_not_keep(database, get):
    """The reply matches too, of a call that may show what the user said alone; another may."""
    said = (words("user", "a zebra, said the user"), words("assistant", "zebra it is", 1, "out"))
    store(
        database,
        Record(call=call(5), messages=said),
        Record(call=call(1, privacy_tier=2), messages=said),
    )
    strict, free = (await get(f"{CALLS}.json?q=zebra")).json()["calls"]
    assert (strict["said_by"], strict["said"]) == ("user", "a zebra, said the user")
    assert (free["said_by"], free["said"]) == ("assistant", "zebra it is")


async def test_a_search_is_not_held_up_by_what_is_long(database, get, monkeypatch):
    """A message of ten megabytes, or more than a page may open, is named and not opened."""
    store(
        database,
        Record(call=call(1), messages=(words("user", "zebra " * 1_700_000),)),
        Record(call=call(2), messages=(words("user", "a zebra " * 60_000),)),
        Record(call=call(3), messages=(words("user", "one zebra"),)),
    )
    page = (await get(f"{CALLS}?q=zebra")).text
    assert page.count("user, in a long message") == 1
    assert "one <mark>zebra</mark>" in page
    monkeypatch.setattr(snippets, "MOST", 100)
    page = (await get(f"{CALLS}?q=zebra")).text
    assert page.count("user, in a long message") == 2
    assert "one <mark>zebra</mark>" in page


def test_marks_of_others_are_none(database):
    """Characters that mark matches are taken out of texts, and do not end one."""
    store(database, Record(call=call(1), messages=(words("user", "\x02a\x03 zebra\x03 \x02 b"),)))
    db = sqlite3.connect(database)
    (found,) = snippets.snippets(db, [1], terms_of("zebra")).values()
    assert found == ("a zebra b", ((2, 7),))
