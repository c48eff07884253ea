"""No page reads all calls: the plan of every statement that it runs says so."""

import re
import sqlite3

import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.store import open_database
from benchmarks import bulk
from benchmarks.history import History
from benchmarks.pages import FILTERS, ONE
from datasette_agenttrace import limits, sums
from datasette_agenttrace.canned import CANNED_QUERIES
from datasette_agenttrace.pages import PAGES
from tests.datasette_agenttrace.scene import NOON
from tests.support import sample_db

QUERIES = (
    "", "?range=today", "?range=90d", "?provider=openai", "?model=gpt-5.1", "?agent=claude-code",
    "?provider=openai&model=gpt-5.1&agent=claude-code", "?outcome=failed", "?session=s", "?q=cache",
)  # fmt: skip
# Indexes of a part of the calls, or read from their end and no further than a limit.
PARTIAL = (
    "llm_calls_running",
    "llm_calls_failed",
    "llm_calls_unpriced",
    "llm_calls_retried",
    "llm_calls_refused",
    "llm_calls_cut",
)
NEWEST = re.compile(r"from llm_calls\s+order by started_us desc\s+limit \d+", re.IGNORECASE)
AFTER = re.compile(r"\bllm_calls\s+(?:as\s+)?([a-z_]\w*)", re.IGNORECASE)


def full_scan(db: sqlite3.Connection, statement: str) -> str | None:
    """The step of *statement* that passes over all calls, if there is one."""
    names = {"llm_calls", *AFTER.findall(statement)}
    for *_, step in db.execute("explain query plan " + statement):
        words = step.split()
        if words[0] != "SCAN" or words[1] not in names:
            continue
        few = any(index in step for index in PARTIAL)
        ends = NEWEST.search(statement) and step.endswith("INDEX idx_llm_calls_started_us")
        some = statement.strip() == "select 1 from llm_calls limit 1"
        if not few and not ends and not some:
            return step
    return None


@pytest.fixture
def seen(monkeypatch):
    """Statements that Datasette's connections ran."""
    found: list[str] = []
    prepare = limits.prepare

    def traced(connection):
        prepare(connection)
        connection.set_trace_callback(found.append)

    monkeypatch.setattr(limits, "prepare", traced)
    monkeypatch.setattr(clock, "now_us", lambda: NOON)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("exact_calls", [10_000, -1])
async def test_no_page_scans_all_calls(
    database, headers, serve, seen, monkeypatch, page, exact_calls
):
    monkeypatch.setattr(sums, "EXACT_CALLS", exact_calls)
    sample_db.build(database, end_us=NOON, days=3, calls_a_day=20)
    served = serve(database)
    addresses = [page.path + query for query in QUERIES]
    addresses += [page.path + more for more in MORE.get(page.name, ())]
    for address in addresses:
        answer = await served.client.get(address, headers=headers)
        assert answer.status_code == 200, address
    db = sqlite3.connect(database)
    of_calls = [one for one in seen if "llm_calls" in one and "sqlite_master" not in one]
    assert len(of_calls) >= (0 if page.name == "alerts" else len(QUERIES))
    for statement in of_calls:
        if statement.lstrip().lower().startswith(("select", "with")):
            assert full_scan(db, statement) is None, statement


MORE = {
    "calls": (
        "?sort=slowest",
        "?sort=dearest&provider=openai&model=gpt-5.1&agent=claude-code",
        "?sort=slowest&outcome=failed",
        "?sort=dearest&session=s",
        "?outcome=tool_failed&tool=Bash",
        "?q=cache&agent=claude-code&sort=slowest",
        "?q=session-0001&sort=dearest",
        "?prompt=p",
        "?prompt=p&model=gpt-5.1&provider=openai",
        "?prompt=p&sort=dearest",
        "?error=e&status=429&agent=claude-code",
    ),
    "sessions": ("?sort=dearest", "?sort=dearest&agent=claude-code&status=failed", "?status=ok"),
    "costs": (
        *(f"?by={by}" for by in ("provider", "agent", "project", "session", "prompt")),
        "/savings",
        "/savings?agent=claude-code",
        "/caches",
        "/caches?agent=claude-code&provider=anthropic&model=claude-sonnet-4-5",
        "/savings?range=90d&instead=openai/gpt-5-mini",
    ),
}


@pytest.mark.parametrize("query", CANNED_QUERIES, ids=lambda query: query.name)
def test_no_canned_query_scans_all_calls(database, query):
    db = open_database(database)
    statement = query.sql.replace(":call_id", "'call'")
    assert full_scan(db.conn, statement) is None
    db.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_no_page_of_one_thing_scans_all_calls(database, headers, serve, seen, page):
    """A call, a trace, a session, an agent; with spans and tools around them."""
    bulk.load(database, History(300, 3, NOON).records())
    db = sqlite3.connect(database)
    agent = db.execute(FILTERS["agent"]).fetchone()[0]
    addresses = [f"{page.path}?{filters}agent={agent}" for filters in ("", "range=today&")]
    if page.name in ONE:
        addresses.append(f"{page.path}/{db.execute(ONE[page.name]).fetchone()[0]}")
    served = serve(database)
    for address in addresses:
        assert (await served.client.get(address, headers=headers)).status_code == 200, address
    of_calls = [one for one in seen if "llm_calls" in one and "sqlite_master" not in one]
    assert page.name == "alerts" or len(of_calls) >= len(addresses)
    for statement in of_calls:
        if statement.lstrip().lower().startswith(("select", "with")):
            assert full_scan(db, statement) is None, statement


def test_a_full_scan_is_noticed(database):
    db = open_database(database)
    for statement in (
        "select count(*) from llm_calls",
        "select 1 from llm_calls c where c.latency_ms > 5 limit 3",
        "select agent_id from llm_calls as x order by latency_ms limit 5",
        "select id from llm_calls where outcome = 'error' order by started_us desc limit 9",
    ):
        assert full_scan(db.conn, statement), statement
    db.close()
