"""Every address of the pages, found in the plugin's own registry and filled in from a database.

    for address in addresses(database): ...

A new page is visited by that it is registered.  One whose address names a thing needs a line in
`THINGS`, and its absence is an error that says so.
"""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from datasette_agenttrace.canned import CANNED_QUERIES
from datasette_agenttrace.page import in_path
from datasette_agenttrace.pages import PAGES

# What stands for the groups of an address: the newest few things, and one of each odd kind.
CALLS = """
    select id from (select id, row_number() over (partition by outcome, n_tool_calls > 0,
        privacy_tier, attempt > 1 order by request_bytes desc) as place from llm_calls)
    where place = 1
    union select first_call_id from (select first_call_id from media order by first_seen_us limit 1)
"""
MEDIA = """
    select distinct d.sha256 from call_messages u join messages m on m.id = u.message_id
    join json_each(m.content) p join media d on d.sha256 = p.value ->> 'sha256'
    where u.call_id = :id and d.data is not null
"""
SESSIONS = """
    select session_id from (select session_id from commits group by 1 limit 2)
    union select session_id from (select * from sessions order by started_us desc limit 2)
    union select session_id from (select * from sessions order by length(session_id) desc limit 1)
"""
THINGS = {
    ("calls", "id"): CALLS,
    ("calls", "side"): "values ('request'), ('response')",
    ("calls", "number"): "select message_id from call_messages where call_id = :id limit 1",
    ("calls", "sha256"): MEDIA,
    ("sessions", "id"): SESSIONS,
    ("traces", "id"): "select trace_id from traces order by ended_us - started_us desc limit 3",
    ("agents", "id"): "select prompt_id from prompts order by first_seen_us desc limit 2",
    ("alerts", "what"): "values ('ack'), ('silence'), ('toggle')",
}
# What pages are asked besides their plain address.
ASKED = {
    "overview": ("?range=today",),
    "costs": ("?by=agent&range=today", "?by=session"),
    "calls": ("?outcome=failed", "?q=%3Cscript%3E&range=30d", "?provider=nobody"),
    "traces": ("?q=%3Cimg+src%3Dx%3E",),
    "latency": ("?range=today",),
    "alerts": ("?rule=cost-per-hour&days=7",),
}
FORMS = ("/-/agenttrace/alerts/ack", "/-/agenttrace/alerts/silence", "/-/agenttrace/alerts/toggle")
ELSEWHERE = ("/api", "/-/agenttrace/metrics", "/api/openapi.json")
TABLES = ("llm_calls", "messages", "tool_calls", "spans", "sessions", "commits")
_GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()\[\]]|\[[^\]]*\])*\)")


def addresses(database: Path) -> list[str]:
    """Every page that is ours, of everything in *database* that has one, with what they are asked.

    Their `.json`, files to share and plain texts too; `FORMS`, which only take what a page sends,
    are left out.
    """
    db = sqlite3.connect(database)
    try:
        found = [*_registered(db), *_agents(db), *ELSEWHERE]
    finally:
        db.close()
    return [one for one in dict.fromkeys(found) if one not in FORMS]


def core_addresses(database: Path) -> list[str]:
    """Datasette's own pages of *database*: index, tables, a row of each, canned and typed SQL."""
    name = database.stem
    found = [
        "/-/databases",
        f"/{name}",
        f"/{name}?{urlencode({'sql': 'select id, model from llm_calls'})}",
    ]
    found += [f"/{name}/{table}?_size=2" for table in TABLES]
    found += [f"/{name}/llm_calls?_facet=model&_facet=outcome&_size=2"]
    db = sqlite3.connect(database)
    try:
        [call] = db.execute("select id from llm_calls order by request_bytes desc").fetchone()
    finally:
        db.close()
    found += [f"/{name}/llm_calls/{call}", "/-/settings", "/-/plugins", "/-/nothing-here"]
    for query in CANNED_QUERIES:
        asked = f"?call_id={call}" if ":call_id" in query.sql else ""
        found.append(f"/{name}/{query.name}{asked}")
    return found


def _registered(db: sqlite3.Connection) -> Iterator[str]:
    for page in PAGES:
        for pattern, _ in page.routes:
            yield from _filled(db, page.name, pattern.strip("^$").replace(r"\.", "."))
        yield from (page.path + asked for asked in ASKED.get(page.name, ()))


def _filled(db: sqlite3.Connection, page: str, pattern: str, **before: str) -> Iterator[str]:
    """The addresses that *pattern* stands for; *before* is what its first groups became."""
    group = _GROUP.search(pattern)
    if group is None:
        yield pattern
        return
    sql = THINGS.get((page, group[1]))
    assert sql, f"tests/support/pages.py does not say what <{group[1]}> of {page} may be"
    for (value,) in db.execute(sql, before if ":" in sql else {}).fetchall():
        filled = pattern[: group.start()] + in_path(str(value)) + pattern[group.end() :]
        yield from _filled(db, page, filled, **before, **{group[1]: str(value)})


def _agents(db: sqlite3.Connection) -> Iterator[str]:
    busiest = "select agent_id from llm_calls group by 1 order by count(*) desc limit 3"
    for (agent,) in db.execute(busiest):
        if agent:
            yield f"/-/agenttrace/agents?{urlencode({'agent': agent})}"
