"""The API: what it answers, to whom, and that its description is true."""

import json
import sqlite3

import pytest

from agenttrace_mitm import health
from agenttrace_mitm.errors import StoreError
from agenttrace_mitm.model import Record
from agenttrace_mitm.settings import Settings
from agenttrace_mitm.store import (
    tokens,
)
from agenttrace_mitm.store.rows import write_record
from datasette_agenttrace import site
from datasette_agenttrace.api import ENDPOINTS
from datasette_agenttrace.api.openapi import described
from tests.datasette_agenttrace.asked import Api
from tests.datasette_agenttrace.scene import CALLS, NOON, call, fill
from tests.ingest.test_events import CALL
from tests.support import records
from tests.support.records import message

pytestmark = pytest.mark.usefixtures("noon")

SCOPED = [
    ("read", "GET", "/api/events", 200), ("read", "POST", "/api/alerts", 403),
    ("read", "POST", "/api/events", 403), ("read", "GET", "/-/agenttrace/costs", 200),
    ("ingest", "GET", "/api/events", 403), ("ingest", "GET", "/data.json", 403),
    ("ingest", "GET", "/api/stream", 403), ("ingest", "GET", "/api/openapi.json", 403),
    ("ingest", "GET", "/api", 403), ("read", "GET", "/api", 200),
    ("ingest", "POST", "/api/events", 503), ("admin", "GET", "/api/events", 200),
    ("read", "DELETE", "/api/traces/x", 403), ("admin", "DELETE", "/api/traces/x", 404),
    ("admin", "DELETE", "/api/alerts/x", 404), ("read", "DELETE", "/api/alerts/x", 403),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "method", "path", "status"), SCOPED)
async def test_a_token_is_good_for_its_scope(database, token, serve, scope, method, path, status):
    named = tokens.create(database, "bot", [scope])
    client = serve(database).client
    for headers in ({"authorization": f"Bearer {named}"}, {"x-api-key": named}):
        body = {"json": CALL} if method == "POST" else {}
        answer = await client.request(method, path, headers=headers, **body)
        assert answer.status_code == status


def test_no_token_is_called_what_the_audit_calls_the_access_token(database):
    with pytest.raises(StoreError, match="'owner' is what the audit calls the access token"):
        tokens.create(database, "owner", ["read"])
    assert tokens.all_tokens(database) == []


async def test_a_revoked_token_is_good_for_nothing(database, token, serve):
    named = tokens.create(database, "bot", ["read"])
    client = serve(database).client
    headers = {"x-api-key": named}
    assert (await client.get("/api/health", headers=headers)).status_code == 200
    assert tokens.all_tokens(database)[0].used_us
    tokens.revoke(database, "bot")
    assert (await client.get("/api/health", headers=headers)).status_code == 401
    assert named.encode() not in database.read_bytes()
    assert (await client.get("/api/health")).status_code == 401
    assert (await client.get("/api/health", headers={"x-api-key": "at_x"})).status_code == 401


async def test_writes_are_remembered_with_a_name(database, api):
    rule = {"name": "r", "type": "loop"}
    await api("/alerts", 201, "POST", json=rule)
    await api("/alerts", 409, "POST", json=rule)
    rows = sqlite3.connect(database).execute("select who, method, path, status_code from audit")
    assert rows.fetchall() == [
        ("owner", "POST", "/api/alerts", 201), ("owner", "POST", "/api/alerts", 409),
    ]  # fmt: skip


async def test_a_deleted_trace_is_gone_and_others_keep_their_words(database, api):
    db = sqlite3.connect(database)
    shared = message("shared words", 0)
    for number, trace in enumerate("aab"):
        said = (shared, message(f"only of {trace}", 1))
        one = records.call(id=f"c{number}", trace_id=trace, cost_nano_usd=5, started_us=NOON)
        write_record(db, Record(call=one, messages=said))
    db.execute("insert into traces (trace_id, started_us) values ('a', 1), ('b', 1)")
    db.execute("insert into feedback values ('f', 'a', 1, 'good', null, 'owner', 1)")
    db.execute("update llm_calls set outcome = 'in_flight' where id = 'c2'")
    db.commit()
    gone = await api("/traces/a", method="DELETE")
    assert gone["deleted"]["llm_calls"] == 2
    assert gone["deleted"]["messages"] == gone["deleted"]["feedback"] == 1
    texts = [row[0] for row in db.execute("select text from messages order by id")]
    assert texts == ["shared words", "only of b"]
    await api("/traces/a", 404)
    event = (
        "insert into events (id, at_us, type, trace_id, message) values (?, 1, 'error', 'a', 'x')"
    )
    db.execute(event, ("late",))
    db.commit()
    assert (await api("/traces/a", method="DELETE"))["deleted"] == {"events": 1}
    await api("/traces/a", 404, "DELETE")
    await api("/traces/b", 409, "DELETE")
    assert (await api("/stats/summary"))["calls"] == db.execute(
        "select count(*) from llm_calls where outcome <> 'in_flight'"
    ).fetchone()[0]
    rows = db.execute("select method, path, status_code from audit").fetchall()
    assert rows[0] == ("DELETE", "/api/traces/a", 200)


async def test_rules_through_the_api(api, database):
    rule = {"name": "daily", "type": "budget", "params": {"limit_usd": 5},
            "deliver": ["https://example.com/secret"]}  # fmt: skip
    made = await api("/alerts", 201, "POST", json=rule)
    assert made["deliver"] == ["webhook: https://example.com/..."]
    id_ = made["id"]
    changed = await api(f"/alerts/{id_}", method="PUT", json=rule | {"params": {"limit_usd": 9}})
    assert changed["params"] == {"limit_usd": 9.0}
    assert (await api(f"/alerts/{id_}/toggle", method="PATCH"))["enabled"] is False
    assert [one["name"] for one in (await api("/alerts"))["alerts"]] == ["daily"]
    assert (await api("/alert-history"))["history"] == []
    await api("/alerts", 400, "POST", json=rule | {"name": "x", "params": {}})
    await api("/alerts", 400, "POST", json=rule | {"name": "x", "deliver": ["command:rm -rf /"]})
    await api("/alerts", 400, "POST", json=rule | {"name": "x", "deliver": ["nowhere"]})
    await api(f"/alerts/{id_}", method="DELETE")
    await api(f"/alerts/{id_}", 404)


@pytest.mark.parametrize(
    ("path", "status", "method"),
    [
        ("/events?limit=0", 400, "GET"), ("/events?limit=x", 400, "GET"),
        ("/events?colour=red", 400, "GET"), ("/events?cursor=x", 400, "GET"),
        ("/calls?cursor=W10=", 400, "GET"), ("/events?from=soon", 400, "GET"),
        ("/health?x=1", 400, "GET"), ("/health", 405, "POST"), ("/alerts/x", 405, "POST"),
        ("/stats/timeseries?range=90d&bucket=minute", 400, "GET"),
        ("/stats/nobody", 404, "GET"), ("/stats/overview", 404, "GET"),
        ("/stats/summary?agent_id=a&agent_id=b", 400, "GET"),
        ("/events?limit=1&limit=2", 400, "GET"),
        ("/health?x=1&x=2", 400, "GET"),
    ],
)  # fmt: skip
async def test_mistakes_are_told(api, path, status, method):
    assert (await api(path, status, method))["error"]


async def test_names_that_are_not_known_are_told_with_what_lacks(api):
    body = {"agent_id": "a", "rule_type": "budget", "config": {}, "webhook_url": "x"}
    said = (await api("/alerts", 400, "POST", json=body))["error"]
    assert said == (
        "name: Field required; agent_id, rule_type, config, webhook_url: not known here"
    )
    many = {f"x{n}": 1 for n in range(12)} | {"score": 1}
    said = (await api("/traces/t/feedback", 400, "POST", json=many))["error"]
    assert said.startswith("x0, x1,")
    assert said.endswith(" and 2 more: not known here")


async def test_sums_of_an_agent(database, api):
    """Also of one that is called as another address is, or whose calls are gone."""
    fill(database, call(1, agent_id="summary"), call(2, agent_id="b"), call(3, agent_id="gone"))
    db = sqlite3.connect(database)
    db.execute(
        "insert into events (id, at_us, agent_id, type) values ('h', 1, 'beats', 'heartbeat')"
    )
    db.execute("delete from llm_calls where agent_id = 'gone'")
    db.commit()
    day = "from=2026-11-20&to=2026-11-20"
    assert (await api(f"/stats/summary?{day}"))["calls"] > 1
    assert (await api(f"/stats/summary?{day}&agent_id=summary"))["calls"] == 1
    assert (await api(f"/stats/b?{day}&agent_id=b"))["calls"] == 1
    assert (await api("/stats/beats"))["calls"] == 0
    await api("/stats/gone")
    await api("/stats/b?agent_id=summary", 400)


async def test_the_description_is_served_and_readable(api, database, headers, serve):
    said = await api("/openapi.json")
    assert said == json.loads(json.dumps(described(ENDPOINTS)))
    assert said["openapi"] == "3.1.0"
    assert {(e.method.lower(), e.path) for e in ENDPOINTS} == {
        (method, path) for path, methods in said["paths"].items() for method in methods
    }
    page = await serve(database).client.get("/api", headers=headers)
    assert "POST /api/events" in page.text


def test_every_reference_leads_somewhere():
    said = described(ENDPOINTS)
    text = json.dumps(said)
    import re

    names = set(re.findall(r"#/components/schemas/([^\"]+)", text))
    assert {"Calls", "Problem", "Series"} <= names
    for name in names:
        assert name in said["components"]["schemas"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_every_endpoint_is_in_the_docs(endpoint):
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    assert f"| `{endpoint.method} {endpoint.path}` |" in page


async def test_health(database, api):
    fill(database, *CALLS)
    said = await api("/health")
    assert (said["status"], said["calls"]) == ("ok", len(CALLS))
    assert (said["recorder"], said["waiting_calls"]) == (None, None), "a plain Datasette"


async def test_health_says_why_it_is_degraded(database, headers, serve):
    """The recorder's own word, its silence, and that there is none."""
    home = database.parent
    served = serve(database)
    site.announce(served, site.Server(home / "token", settings=Settings(home=home)))
    api = Api(served.client, headers)
    said = await api("/health")
    assert (said["status"], said["recorder"]) == ("degraded", False)
    assert said["reasons"] == ["nothing records: no recorder runs"]
    run = home / "run"
    health.say(run, "recorder", {"spooled_calls": 0, "lag_seconds": 0.5})
    said = await api("/health")
    assert (said["status"], said["recorder"], said["reasons"]) == ("ok", True, [])
    figures = {"spooled_calls": 93, "lag_seconds": 40}
    health.say(run, "recorder", figures, trouble="the disk is full")
    said = await api("/health")
    assert said["status"] == "degraded"
    assert said["reasons"] == ["the disk is full: 93 calls wait in the spool"]
    assert (said["waiting_calls"], said["lag_seconds"]) == (93, 40)
