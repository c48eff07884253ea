"""The SQL that pages lead to says what they say: of the same time, provider, model and agent."""

import html
import re
import shutil
import sqlite3
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from agenttrace_mitm import clock
from benchmarks import bulk
from tests.datasette_agenttrace.scene import CALLS, COSTS, NOON, call, fill
from tests.datasette_agenttrace.test_plans import full_scan
from tests.support import hostile_content
from tests.support.pages import addresses
from tests.traces.talks import says, user

HOME = "/-/agenttrace"
QUERIES = (
    "range=90d", "range=today", "range=today&agent=coder-search", "range=7d&agent=coder-search",
    "range=7d&provider=openai", "range=30d&provider=anthropic&model=claude-haiku-4-5",
    "range=30d&model=claude-haiku-4-5&agent=reviewer-search", "from=2026-11-12&to=2026-11-13",
)  # fmt: skip
SUMS = ("cost_usd", "calls", "failed", "unpriced", "tokens_in", "cache_read_tokens", "tokens_out")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Calls of twenty days: some failed, some unpriced, two of them running."""
    file = tmp_path_factory.mktemp("history") / "data.db"
    bulk.build(file, 2_500, days=20, end_us=NOON)
    here = {"provider": "openai", "model": "gpt-5.1", "agent_id": "coder-search"}
    fill(
        file,
        call(1, outcome="in_flight", latency_ms=None, **here),
        call(2, outcome="in_flight", latency_ms=None),
        call(3, tokens_in=4, unpriced_reason="no_usage", **here),
        call(4, outcome="cancelled", cost_nano_usd=8, **here),
    )
    return file


@pytest.fixture
def ask(history, database, headers, serve, monkeypatch):
    """Asks a server on a copy of that history."""
    monkeypatch.setattr(clock, "now_us", lambda: NOON)
    shutil.copy(history, database)
    client = serve(database).client

    async def asked(path: str) -> Any:
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        return answer

    return asked


async def rows_at(ask: Any, page: str, words: str, database: str = "") -> list[dict[str, Any]]:
    """What the SQL gives to which *words* lead on *page*; nothing is left out."""
    address = html.unescape(re.search(f'href="([^"]+sql=[^"]+)">{words}</a>', page)[1])
    await ask(address)
    said = (await ask(address.replace("?", ".json?", 1) + "&_shape=objects")).json()
    assert said["truncated"] is False
    if database:
        given = {name: repr(value) for name, value in said["query"]["params"].items()}
        statement = re.sub(r":(\w+)", lambda found: given[found[1]], said["query"]["sql"])
        assert full_scan(sqlite3.connect(database), statement) is None
    return said["rows"]


def agree(rows: list[dict[str, Any]], totals: dict[str, Any]) -> None:
    for name in SUMS:
        assert sum(row[name] or 0 for row in rows) == pytest.approx(totals[name] or 0), name


@pytest.mark.parametrize("query", QUERIES)
async def test_costs_and_overview(database, ask, query):
    costs = (await ask(f"{COSTS}.json?{query}")).json()
    assert costs["totals"]["calls"] > 2
    page = (await ask(f"{COSTS}?{query}")).text
    home = (await ask(f"{HOME}?{query}")).text
    for shown in (page, home):
        rows = await rows_at(ask, shown, "model", database)
        assert [(row["provider"], row["model"], row["calls"]) for row in rows] == [
            (one["provider"], one["model"], one["calls"]) for one in costs["models"]
        ]
        agree(rows, costs["totals"])
        steps = await rows_at(ask, shown, costs["step"], database)
        agree(steps, costs["totals"])
        assert len(steps) == len([one for one in costs["steps"] if one["calls"]])


@pytest.mark.parametrize("by", ["provider", "agent", "project", "session", "prompt"])
@pytest.mark.parametrize("query", ["range=today", "range=7d&model=gpt-5-mini"])
async def test_costs_by_whatever_it_is_stacked_by(database, ask, by, query):
    groups = (await ask(f"{COSTS}.json?by={by}&{query}")).json()["stack"]["groups"]
    page = (await ask(f"{COSTS}?by={by}&{query}")).text
    rows = await rows_at(ask, page, by, database)
    shown = [(one["name"], one["calls"], one["tokens_in"]) for one in groups]
    assert shown
    found = [(next(iter(row.values())) or "(none)", row["calls"], row["tokens_in"]) for row in rows]
    assert sorted(found[: len(shown)]) == sorted(shown)


@pytest.mark.parametrize("query", QUERIES)
async def test_unpriced_and_slowest(database, ask, query):
    totals = (await ask(f"{COSTS}.json?{query}")).json()["totals"]
    page = (await ask(f"{COSTS}?{query}")).text
    if totals["unpriced"]:
        rows = await rows_at(ask, page, "which, and why", database)
        assert sum(row["calls"] for row in rows) == totals["unpriced"]
    else:
        assert "every billed call has a price" in page
    words = "95th percentile (?:<small[^<]+</small> )?[^<]+"  # "about" where it is approximate
    slowest = await rows_at(ask, page, words, database)
    times = [row["latency_ms"] for row in slowest]
    assert len(times) == min(totals["calls"] - totals["running"], 100)
    assert times == sorted(times, reverse=True)
    assert times[0] >= totals["p95_ms"]


@pytest.mark.parametrize("query", QUERIES)
async def test_savings(database, ask, query):
    found = (await ask(f"{COSTS}/savings.json?{query}")).json()
    page = (await ask(f"{COSTS}/savings?{query}")).text
    rows = await rows_at(ask, page, "SQL", database)
    assert [(row["model"], row["calls"]) for row in rows] == [
        (one["model"], one["calls"]) for one in found["models"]
    ]
    cost = sum(one["cost_nano_usd"] or 0 for one in found["models"]) / 1e9
    assert sum(row["cost_usd"] or 0 for row in rows) == pytest.approx(cost)
    for part, tile in (("retried", "Retried attempts"), ("cancelled", "Cancelled or")):
        said = found[part]
        words = f"{said['calls']:,} call{'' if said['calls'] == 1 else 's'}"
        if said["calls"]:
            calls = await rows_at(ask, page[page.index(tile) :], words, database)
            assert len(calls) == said["calls"]
            cost = sum(row["cost_usd"] or 0 for row in calls)
            assert cost * 1e9 == pytest.approx(said["cost_nano_usd"])


@pytest.mark.parametrize("query", QUERIES)
async def test_broken_caches(ask, query):
    broken = (await ask(f"{COSTS}/caches.json?{query}")).json()["broken"]
    page = (await ask(f"{COSTS}/caches?{query}")).text
    rows = await rows_at(ask, page, "SQL")
    assert [(row["call_id"], row["tokens_lost"]) for row in rows] == [
        (one["call_id"], one["tokens_lost"]) for one in broken
    ]


PAGES = (
    "", "/costs?by=agent", "/costs?by=session", "/costs/savings", "/costs/caches", "/calls",
    "/traces", "/sessions", "/agents", "/latency",
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
async def test_the_time_is_said_in_dates(ask, page):
    """Whoever reads an address can change it: no page leads to SQL with a number for a moment."""
    time = "from=2026-11-12&to=2026-11-13"
    shown = (await ask(f"{HOME}{page}{'&' if '?' in page else '?'}{time}")).text
    links = [urlsplit(html.unescape(one)) for one in re.findall('href="([^"]+sql=[^"]+)"', shown)]
    assert links
    for link in links:
        given = {name: said for name, [said] in parse_qs(link.query).items()}
        assert given["until"] == "2026-11-14"
        assert given.get("since", "2026-11-12") == "2026-11-12"
        later = {"since": "2026-11-13 00:00", "until": "2026-11-13T12:30:00.5Z"}
        moved = urlencode(given | {name: said for name, said in later.items() if name in given})
        rows = (await ask(f"{link.path}.json?{moved}&_shape=array")).json()
        told = [row["started_at"][:16] for row in rows if "started_at" in row]
        assert all("2026-11-13T00:00" <= one < "2026-11-13T12:31" for one in told)


async def test_dates_changed_by_hand_are_the_other_page(ask):
    """Days and hours count where they begin in the time, as calls do."""
    for page, words in (("costs", "agent"), ("agents", "SQL"), ("latency", "SQL")):
        wide, narrow = [
            html.unescape(
                re.search(
                    f'href="([^"]+sql=[^"]+)">{words}</a>',
                    (await ask(f"{HOME}/{page}?by=agent&from=2026-11-{day}&to=2026-11-13")).text,
                )[1]
            )
            for day in ("08", "12")
        ]
        assert wide.replace("since=2026-11-08", "since=2026-11-12") == narrow
        assert wide != narrow
    day, hour = [
        html.unescape(
            re.search(
                f'href="([^"]+sql=[^"]+)">{step}</a>',
                (await ask(f"{COSTS}?from=2026-11-{first}&to=2026-11-13")).text,
            )[1]
        ).replace("?", ".json?", 1)
        + "&_shape=array"
        for step, first in (("day", "12"), ("hour", "13"))
    ]
    half = day.replace("since=2026-11-12", "since=2026-11-12T08:00")
    assert [row["day_utc"] for row in (await ask(half)).json()] == ["2026-11-13"]
    hours = (await ask(hour.replace("since=2026-11-13", "since=2026-11-13+21:30"))).json()
    assert {row["hour_utc"][11:13] for row in hours} == {"22", "23"}


async def test_the_table_says_the_time_in_dates(ask):
    page = (await ask(f"{HOME}/calls?from=2026-11-12&to=2026-11-13")).text
    address = html.unescape(re.search('href="(/data/llm_calls[?][^"]+)"', page)[1])
    assert not re.search(r"\d{12}", address)
    rows = (await ask(address.replace("?", ".json?", 1) + "&_shape=array&_size=max")).json()
    assert {row["started_at"][:10] for row in rows} == {"2026-11-12", "2026-11-13"}


@pytest.mark.parametrize("holds", ["nothing", "hostile content", "calls of the scene"])
async def test_every_page_leads_to_sql(database, headers, serve, holds):
    """Also with nothing in it, and those of one thing; what it leads to answers."""
    if holds == "hostile content":
        database.unlink()
        hostile_content.build(database, 3, megabytes=0)
    elif holds != "nothing":
        fill(database, *CALLS)
    client = serve(database).client
    seen = set()
    for address in addresses(database):
        page = await client.get(address, headers=headers)
        ours = address.startswith(HOME) and "/share" not in address  # a file leads nowhere
        if not ours or "text/html" not in page.headers["content-type"] or page.status_code != 200:
            continue
        foot = "".join(re.findall('<p class="at-more">.*?</p>', page.text))
        links = re.findall(r'href="(/data\?sql=[^"]+)"', foot)
        assert links, address
        kind = re.search('<body class="([^"]+)', page.text)[1]
        if kind not in seen:
            for link in links:
                answer = await client.get(html.unescape(link), headers=headers)
                assert answer.status_code == 200, (address, answer.text)
        seen.add(kind)
    assert len(seen) >= {"nothing": 10, "hostile content": 16}.get(holds, 12)


async def test_the_sql_of_a_call_says_what_it_cost(database, headers, serve):
    fill(database, call(1, cost_nano_usd=7_000_000, tokens_in=12, tokens_out=5))
    client = serve(database).client

    async def asked(path):
        return await client.get(path, headers=headers)

    page = (await asked(f"{HOME}/calls/call-1")).text
    [row] = await rows_at(asked, page, "view its figures as SQL", database)
    told = [row[name] for name in ("call_id", "cost_usd", "tokens_in", "tokens_out")]
    assert told == ["call-1", 0.007, 12, 5]


async def test_the_sql_of_what_changed_says_which_call_had_a_message(
    talk, database, headers, serve
):
    """What an earlier call had brought is told of both; a call that has none before it, alone."""
    turns = [user("1"), says("2"), user("3"), says("4"), user("5"), says("6")]
    first, before, after = [
        talk.call(turns[: n - 1], turns[n - 1], system="Rule 0") for n in (2, 4, 6)
    ]
    talk.db.commit()
    client = serve(database).client

    async def asked(path):
        return await client.get(path, headers=headers)

    async def told(path):
        page = (await asked(f"{HOME}/calls/{path}")).text
        rows = await rows_at(asked, page, "view the messages as SQL", database)
        return [(re.search(r"\d", row["content"])[0], row["in_call"]) for row in rows]

    history = [("0", "both"), ("1", "both"), ("2", "both"), ("3", "both")]
    alone = [(number, "after") for number, _ in history]
    # A reply is told twice: the one said it, the other brings it.
    said = [("4", "before"), ("4", "after"), ("5", "after"), ("6", "after")]
    assert await told(f"{after}/changes") == history + said
    assert await told(f"{first}/changes") == alone[:3]
    assert await told(f"{before}/changes?since={before}") == [*history, ("4", "both")]
