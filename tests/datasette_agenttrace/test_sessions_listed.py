"""The list of sessions: its orders, pages, filters, and its SQL."""

import html
import re
from urllib.parse import urlencode

import pytest

from agenttrace_mitm.model import Record, StoredSession
from agenttrace_mitm.store import open_database
from datasette_agenttrace.asking import DAY_US
from datasette_agenttrace.sessions import queries
from tests.datasette_agenttrace.listed import call, store
from tests.datasette_agenttrace.scene import NOON

pytestmark = pytest.mark.usefixtures("noon")

SESSIONS = "/-/agenttrace/sessions"


async def test_pages_show_every_session_once_newest_first(database, get, monkeypatch):
    monkeypatch.setattr(queries, "PAGE_SIZE", 3)
    db = open_database(database)
    store(database, *(Record(call=call(n, session_id=f"s.{n:02d}/é")) for n in range(11)))
    for n in range(11):
        row = StoredSession(session_id=f"s.{n:02d}/é", started_us=NOON - n // 4, ended_us=NOON)
        db.table("sessions").insert(row.__dict__)
    db.close()
    seen, query = [], ""
    for _ in range(6):
        page = (await get(f"{SESSIONS}.json?{query}")).json()
        seen += [(found["started_us"], found["session_id"]) for found in page["sessions"]]
        if not page["older"]:
            break
        older = urlencode({"before": page["older"]})
        assert older in (await get(f"{SESSIONS}?{query}")).text
        query = older
    assert len(seen) == len(set(seen)) == 11
    assert seen == sorted(seen, reverse=True)


def some_sessions(database, *told) -> None:
    """Sessions of a call each: what it cost, and what else it was; a minute apart, newest last."""
    db = open_database(database)
    for n, (session, cost, said) in enumerate(told):
        at = {"started_us": NOON - (len(told) - n) * 60_000_000, "cost_nano_usd": cost}
        store(database, Record(call=call(n, session_id=session, **at | said)))
        row = StoredSession(
            session_id=session, started_us=NOON - (len(told) - n) * 60_000_000, ended_us=NOON
        )
        db.table("sessions").insert(row.__dict__)
    db.close()


async def listed(get, query: str) -> list[str]:
    answer = await get(f"{SESSIONS}.json?{query}")
    assert answer.status_code == 200, answer.text
    assert (await get(f"{SESSIONS}?{query}")).status_code == 200
    return [one["session_id"] for one in answer.json()["sessions"]]


async def test_the_dearest_sessions_come_first_a_page_at_a_time(database, get, monkeypatch):
    """By what they cost within the time, of the calls that the filters are about.

    Then by the worth of what was not metered, then those without a price.
    """
    monkeypatch.setattr(queries, "PAGE_SIZE", 2)
    some_sessions(
        database, ("a", 5, {}), ("b", 9, {}), ("c", None, {}), ("d", 5, {}),
        ("e", 7, {"billing": "subscription"}), ("f", 8, {"billing": "free"}),
    )  # fmt: skip
    store(
        database,
        Record(call=call(11, session_id="a", cost_nano_usd=2, provider="mistral")),
        Record(call=call(12, session_id="d", cost_nano_usd=1, provider="mistral")),
        Record(call=call(13, session_id="d", cost_nano_usd=99, started_us=NOON - 9 * DAY_US)),
    )
    assert await listed(get, "range=today") == ["f", "e"]
    for query, wanted in (
        ("sort=dearest&range=today", ["b", "a", "d", "f", "e", "c"]),
        ("sort=dearest&range=30d", ["d", "b", "a", "f", "e", "c"]),
        ("sort=dearest&range=today&provider=openai", ["b", "d", "a", "f", "e", "c"]),
        ("sort=dearest&range=today&provider=mistral", ["a", "d"]),
    ):
        seen, before = [], ""
        while True:
            address = f"{query}&{urlencode({'before': before})}"
            seen += await listed(get, address)
            before = (await get(f"{SESSIONS}.json?{address}")).json()["older"]
            if not before:
                break
            older = urlencode({"before": before})
            assert f"sort=dearest&amp;{older}" in (await get(f"{SESSIONS}?{address}")).text
        assert seen == wanted, query
    page = (await get(f"{SESSIONS}?sort=dearest&range=today")).text
    assert "Sessions, dearest first" in page and "then what has no price" in page
    assert 'href="?range=today&amp;sort=dearest" aria-current="true">Dearest' in page


async def test_who_pays_by_subscription_has_dearest_sessions(database, get):
    some_sessions(
        database, ("a", 5, {"billing": "subscription"}), ("b", 9, {"billing": "subscription"})
    )
    assert await listed(get, "sort=dearest") == ["b", "a"]
    assert await listed(get, "sort=dearest&provider=openai") == ["b", "a"]


async def test_the_order_can_be_changed_where_nothing_is_listed(database, get):
    some_sessions(database, ("a", 5, {}))
    time = "from=2026-11-01&to=2026-11-02"
    page = (await get(f"{SESSIONS}?sort=dearest&{time}")).text
    assert f'<a href="?{time.replace("&", "&amp;")}">Newest</a>' in page
    assert "No sessions in this time" in page  # an order is no filter
    assert "Nothing fits" in (await get(f"{SESSIONS}?sort=dearest&provider=x&{time}")).text


async def test_dear_sessions_are_looked_for_until_a_page_of_them_fits(database, get, monkeypatch):
    monkeypatch.setattr(queries, "PAGE_SIZE", 2)
    some_sessions(
        database, *((f"s{n:02}", 90 - n, {}) for n in range(40)), ("z", 1, {"outcome": "error"})
    )
    assert await listed(get, "sort=dearest&status=failed") == ["z"]


async def test_sessions_in_which_a_call_failed(database, get):
    some_sessions(
        database, ("a", 1, {}), ("b", 3, {"outcome": "error"}),
        ("c", 2, {"outcome": "interrupted", "provider": "mistral"}),
        ("d", 4, {"outcome": "cancelled"}),
    )  # fmt: skip
    assert await listed(get, "status=failed") == ["c", "b"]
    assert await listed(get, "status=ok") == ["d", "a"]
    assert await listed(get, "status=failed&sort=dearest") == ["b", "c"]
    assert await listed(get, "status=failed&provider=mistral") == ["c"]
    assert await listed(get, "status=failed&from=2026-11-01&to=2026-11-02") == []
    assert len(await listed(get, "status=nonsense")) == 4
    page = (await get(f"{SESSIONS}?status=failed")).text
    assert '<option value="failed" selected>a call failed</option>' in page


@pytest.mark.parametrize(
    "query", ["", "sort=dearest", "sort=dearest&provider=openai&status=ok",
              "sort=dearest&before=s2.c", "sort=dearest&before=w9.f"],
)  # fmt: skip
async def test_the_list_as_sql_is_the_list(database, get, query):
    some_sessions(
        database, ("a", 1, {}), ("b", 3, {"outcome": "error"}), ("c", 2, {}), ("d", None, {}),
        ("e", 7, {"billing": "subscription"}), ("f", 8, {"billing": "subscription"}),
    )  # fmt: skip
    page = (await get(f"{SESSIONS}?{query}")).text
    link = html.unescape(re.search(r'<a href="([^"]+)">as SQL</a>', page)[1])
    answer = await get(link.replace("/data?", "/data.json?_shape=array&"))
    assert [row["session_id"] for row in answer.json()] == await listed(get, query)
