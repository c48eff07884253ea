"""The Overview, and the stream that keeps pages up to date."""

import asyncio
import sqlite3
import time

import pytest

from agenttrace_mitm import health
from agenttrace_mitm.store import tokens
from datasette_agenttrace import figures, live, sums
from datasette_agenttrace.asking import DAY_US, asked_of
from datasette_agenttrace.overview.queries import spent
from tests.datasette_agenttrace.scene import CALLS, NOON, TODAY, Page, call, fill
from tests.support import sample_db

pytestmark = pytest.mark.usefixtures("noon")

HOME = "/-/agenttrace"
NEVER_S = 20  # only a broken stream takes this long


async def test_figures_agree_with_plain_sql(database, headers, serve):
    """Spend of each window and the time before, calls and agents."""
    sample_db.build(database, end_us=NOON, days=60, calls_a_day=30)
    said = (await serve(database).client.get(f"{HOME}/overview.json", headers=headers)).json()
    db = sqlite3.connect(database)
    sql = "select coalesce(sum(cost_nano_usd), 0) from llm_calls where started_us between ? and ?"
    for window, days in zip(said["windows"], (1, 7, 30), strict=True):
        since, back = (TODAY - days + 1) * DAY_US, days * DAY_US
        now, before = (
            db.execute(sql, (since - moved, NOON - moved - 1)).fetchone()[0] for moved in (0, back)
        )
        assert (window["cost_nano_usd"], window["before_nano_usd"]) == (now, before)
        assert now > 0
    totals = said["costs"]["totals"]
    assert sum(agent["calls"] for agent in said["agents"]) == totals["calls"]
    assert sum(agent["cost_nano_usd"] for agent in said["agents"]) == totals["cost_nano_usd"]


@pytest.mark.parametrize(
    "filters", ["agent=a", "model=m2", "provider=mistral", "agent=a&model=m2", "agent=nobody"]
)
async def test_spend_windows_know_the_filters(database, headers, serve, filters):
    """Each says what Costs says of the same days and calls."""
    agents, models, providers = ("a", "b", None), ("m1", "m2"), ("openai", "mistral")
    fill(
        database,
        *(
            call(
                n, agent_id=agents[n % 3], model=models[n % 2], provider=providers[n // 7 % 2],
                started_us=NOON - n * 7 * DAY_US // 48 - 1, cost_nano_usd=1 << n % 30,
            )
            for n in range(150)
        ),
    )  # fmt: skip
    client = serve(database).client
    said = (await client.get(f"{HOME}/overview.json?{filters}", headers=headers)).json()
    for window, range_ in zip(said["windows"], ("today", "7d", "30d"), strict=True):
        address = f"/-/agenttrace/costs.json?range={range_}&{filters}"
        costs = (await client.get(address, headers=headers)).json()
        assert window["cost_nano_usd"] == costs["totals"]["cost_nano_usd"], range_
    assert (said["windows"][2]["cost_nano_usd"] > 0) is (filters != "agent=nobody")


@pytest.mark.parametrize(
    "time, said",
    [
        ("from=2026-11-17&to=2026-11-17", "Spend, 2026-11-17</dt><dd>$0.0040</dd>"),
        ("from=2026-11-13&to=2026-11-17", "Spend, 5 days</dt><dd>$0.0690</dd>"),
        ("range=90d", "Spend, 90 days</dt><dd>$0.0732</dd>"),
    ],
)
async def test_spend_of_a_time_without_a_window_of_its_own_is_said(ask, time, said):
    page = (await ask(f"{HOME}?{time}")).text
    totals = page[page.index('id="live-totals"') :]
    assert said in totals, totals[:400]
    for range_, window in (("today", "today"), ("7d", "7 days"), ("30d", "30 days")):
        assert (await ask(f"{HOME}?range={range_}")).text.count(f"Spend, {window}<") == 1


def test_spend_knows_the_last_minutes(database):
    """Whole days and hours are read from rollups, the rest from calls; nothing twice."""
    fill(
        database,
        *(call(n, started_us=NOON - n * DAY_US // 96, cost_nano_usd=1) for n in range(200)),
    )
    db, everybody = sqlite3.connect(database), asked_of({}, TODAY)
    for until in (NOON, NOON - 1, NOON + 17 * 60_000_000, NOON - 3 * DAY_US // 97):
        since = (TODAY - 1) * DAY_US
        expected = db.execute(
            "select count(*) from llm_calls where started_us >= ? and started_us < ?",
            (since, until),
        ).fetchone()[0]
        assert spent(db, everybody, since, until) == expected


async def test_spend_that_nobody_knows_is_not_nothing(database, headers, serve):
    before = {"cost_nano_usd": None, "started_us": NOON - 60_000_000}
    fill(database, call(1, **before), call(2, outcome="error", **before))
    client = serve(database).client
    page = (await client.get("/-/agenttrace", headers=headers)).text
    for name in ("today", "7 days", "30 days"):
        assert f"<dt>Spend, {name}</dt><dd>unpriced</dd>" in page
    fill(database, call(3, cost_nano_usd=None, outcome="error", started_us=NOON - 40 * DAY_US))
    said = (await client.get("/-/agenttrace/overview.json", headers=headers)).json()["windows"]
    assert {one["cost_nano_usd"] for one in said} == {None}
    assert {one["before_nano_usd"] for one in said} == {0}


async def test_the_home_page_says_what_runs_and_what_is_blind(database, headers, serve):
    fill(database, *CALLS)
    with sqlite3.connect(database) as db:
        db.execute(
            "insert into blind_spots values (1, ?, 'api.openai.com', 'pinned', 'stubborn.py')",
            (NOON,),
        )
        db.execute("insert into recorder_events values (1, ?, 'spool_replayed', '<b>')", (NOON,))
    served = serve(database)
    page = (await served.client.get(HOME, headers=headers)).text
    for words in (
        "Running now",
        "/calls/call-7",
        "pinned",
        "stubborn.py",
        "spool replayed",
        "&lt;b&gt;",
    ):
        assert words in page
    tags = [tag for tag, _ in Page(page).tags]
    assert tags.count("h1") == tags.count("main") == 1
    assert (await served.client.get(HOME)).status_code == 401


async def test_nothing_recorded_says_what_to_do(database, headers, serve):
    page = (await serve(database).client.get(HOME, headers=headers)).text
    assert "agenttrace-mitm demo" in page


async def test_a_time_without_calls_is_said_to_have_none(database, headers, serve):
    """No tables of headings alone; spend until now is of another time, and stays."""
    fill(database, *CALLS)
    served = serve(database)
    page = (await served.client.get(f"{HOME}?from=2020-01-01&to=2020-01-02", headers=headers)).text
    assert "No calls in this time" in page
    assert 'href="?range=90d"' in page
    assert "Spend, 7 days" in page
    assert "<thead" not in page
    nobody = (await served.client.get(f"{HOME}?agent=nobody", headers=headers)).text
    assert "No calls in this time for this filter" in nobody
    assert "<thead" in (await served.client.get(HOME, headers=headers)).text


@pytest.mark.parametrize("path", ["", "/costs", "/agents", "/agents?agent=a", "/latency"])
async def test_percentiles_say_of_which_calls_they_are_and_how_right(
    database, headers, serve, monkeypatch, path
):
    """Failed calls took time too; of many calls, figures are those of histograms."""
    fill(database, call(1, agent_id="a"), call(2, agent_id="a", outcome="error"))
    client = serve(database).client
    words = "Medians and percentiles are of whole calls that ended, failed ones too"
    page = (await client.get(f"{HOME}{path}", headers=headers)).text
    assert f"{words}." in page
    assert ">about</small>" not in page
    monkeypatch.setattr(sums, "EXACT_CALLS", 1)
    page = (await client.get(f"{HOME}{path}", headers=headers)).text
    assert f"{words}; of more than 1,000 calls, as here, they are right to 2.5 %" in page
    tiles = page.count(">about</small>")
    assert tiles == (0 if path == "/agents" else 2), "the list of agents has no tiles"


async def test_the_header_takes_time_and_filters_along(database, headers, serve):
    """Not to the page itself, which its link shows whole, nor an agent to the list of agents."""
    fill(database, *CALLS)
    client = serve(database).client
    page = (await client.get(f"{HOME}?range=today&agent=a&outcome=ok", headers=headers)).text
    nav = page[page.index("at-nav") : page.index("</nav>")]
    taken = "range=today&amp;agent=a"
    for name in ("costs", "sessions", "traces", "calls", "latency"):
        assert f'href="{HOME}/{name}?{taken}"' in nav, name
    assert f'href="{HOME}"' in nav
    assert f'href="{HOME}/agents?range=today"' in nav
    assert f'href="{HOME}/alerts"' in nav
    for path in ("/calls/call-1?range=today", "/alerts?range=today"):
        page = (await client.get(f"{HOME}{path}", headers=headers)).text
        assert "range=today" not in page[page.index("at-nav") : page.index("</nav>")]
    hostile = (await client.get(f"{HOME}?model=%22%3E%3Cb%3E", headers=headers)).text
    assert '"><b>' not in hostile


@pytest.mark.parametrize(
    "path, taken",
    [
        ("", "range=7d"), ("/calls", "range=30d"), ("?range=bar&model=m1", "range=7d&model=m1"),
        ("/costs/savings?range=90d&agent=a&instead=openai/gpt-5-mini", "range=90d&agent=a"),
        ("/costs/caches?from=2026-11-02&to=2026-11-03", "from=2026-11-02&to=2026-11-03"),
        ("/costs/caches?from=2026-11-10&to=2031-02-01", "from=2026-11-10&to=2026-11-20"),
        ("/calls?from=bar&outcome=failed", "range=30d"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("noon")
async def test_the_header_takes_along_the_time_that_is_shown(ask, path, taken):
    """Named in the address or not, from pages below one of its links too."""
    page = (await ask(HOME + path)).text
    nav = page[page.index("at-nav") : page.index("</nav>")]
    linked = taken.replace("&", "&amp;")
    here = path.partition("?")[0]
    for name in ("/latency", *({"", "/costs", "/calls"} - {here})):
        assert f'href="{HOME}{name}?{linked}"' in nav, name
    if here in ("", "/calls"):
        assert f'href="{HOME}{here}"' in nav


async def test_unpriced_agents_and_models_are_not_free(database, headers, serve):
    fill(database, call(1, agent_id="a"), call(2, agent_id="b", outcome="error", model="m2"))
    page = (await serve(database).client.get(HOME, headers=headers)).text
    unknown = figures.UNKNOWN
    for name, said in (("m1", "unpriced"), ("a", "unpriced"), ("m2", unknown), ("b", unknown)):
        row = page[page.index(f">{name}</a></th>") :].partition("</tr>")[0]
        assert f">{said}</span></td>" in row, name


class Open:
    """An open page's end of the stream."""

    def __init__(self, served, since_us=None) -> None:
        self.said: asyncio.Queue = asyncio.Queue()
        self.closed = asyncio.Event()
        stream = live.stream(served, self.said.put, self._receive, since_us)
        self.task = asyncio.create_task(stream)

    async def _receive(self):
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(NEVER_S):
            while words not in (await self.said.get()).get("body", b""):
                pass


async def test_open_pages_hear_of_new_calls_and_leave_nothing_behind(database, serve):
    """One poller for all of them, and none when the last has gone."""
    served = serve(database)
    pages = [Open(served) for _ in range(3)]
    for page in pages:
        await page.until(b"retry")
    watch = live.poller(served).task
    fill(database, call(1))
    for page in pages:
        await page.until(b"event: recorded")
    assert live.poller(served).task is watch
    for page in pages:
        page.closed.set()
    async with asyncio.timeout(NEVER_S):
        await asyncio.gather(*(page.task for page in pages))
    assert live.poller(served).task is None
    assert not live.poller(served).listeners


async def test_what_was_recorded_before_the_stream_opened_is_told(database, serve):
    """A page is asked for, a call is recorded, and only then does the page listen."""
    asked_us = time.time_ns() // 1000
    fill(database, call(1))
    served = serve(database)
    page, later = Open(served, asked_us), Open(served, asked_us + 3_600_000_000)
    await page.until(b"event: recorded")
    await later.until(b"retry")
    assert later.said.empty()
    for one in (page, later):
        one.closed.set()
    await asyncio.gather(page.task, later.task)


async def test_streams_end_when_the_server_is_told_to_stop(database, serve, monkeypatch):
    """uvicorn waits for open answers; these must not keep it."""
    page = Open(serve(database))
    await page.until(b"retry")
    monkeypatch.setattr(live, "stopping", lambda: True)
    async with asyncio.timeout(NEVER_S):
        await page.task


async def test_another_file_under_the_name_is_shown(database, headers, serve):
    """Moved away while pages are open: they are told, and show what is recorded then."""
    fill(database, *(call(n) for n in range(3)))
    served = serve(database)
    calls = "/data.json?sql=select+count(*)+from+llm_calls&_shape=arrayfirst"
    asked = [served.client.get(calls, headers=headers) for _ in range(8)]  # by several threads
    assert [answer.json() for answer in await asyncio.gather(*asked)] == [[3]] * 8
    page = Open(served)
    await page.until(b"retry")
    moved = database.with_name("moved.db")
    for end in ("", "-wal", "-shm"):
        if (part := database.with_name(database.name + end)).exists():
            part.rename(moved.with_name(moved.name + end))
    places = (calls, "/data", "/-/agenttrace", "/api/health", "/api/events/export?format=csv")
    for place in places:
        answer = await served.client.get(place, headers=headers)
        assert answer.status_code == 503, place
        assert "moved or deleted" in answer.text
        assert (await served.client.get(place)).status_code == 401
    named = {"x-api-key": f"{tokens.PREFIX}somebody"}  # who that is would be in the file
    assert (await served.client.get("/api/health", headers=named)).status_code == 503
    assert not database.exists(), "nobody but the recorder begins a new one"

    database.touch()  # so it begins, before it has tables
    assert (await served.client.get(calls, headers=headers)).json() == [3]
    fill(database, call(1))
    await page.until(b"event: recorded")
    asked = [served.client.get(calls, headers=headers) for _ in range(8)]
    assert [answer.json() for answer in await asyncio.gather(*asked)] == [[1]] * 8
    said = (await served.client.get("/-/agenttrace/overview.json", headers=headers)).json()
    assert said["costs"]["totals"]["calls"] == 1
    assert (await served.client.get("/data/llm_calls", headers=headers)).status_code == 200
    fill(database, call(2))
    await page.until(b"event: recorded")
    assert (await served.client.get(calls, headers=headers)).json() == [2]
    page.closed.set()
    await page.task


async def test_open_pages_hear_of_trouble(database, home, serve, monkeypatch):
    """Nobody can write then, which is how they hear of everything else."""
    monkeypatch.setattr(live, "TROUBLES_TICKS", 1)
    page = Open(serve(database))
    await page.until(b"retry")
    for trouble in ("the disk is full", ""):
        health.say(home / "run", "recorder", {}, trouble=trouble)
        await page.until(b"event: recorded")
    page.closed.set()
    await page.task
