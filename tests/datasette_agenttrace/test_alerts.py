"""The Alerts page, its forms, and the checks of the running server."""

import html
import re
import sqlite3
import time
from urllib.parse import urlencode

import httpx
import pytest

from agenttrace_mitm import clock
from agenttrace_mitm.alerts.checking import check
from agenttrace_mitm.alerts.making import made
from agenttrace_mitm.alerts.rule_type import At
from agenttrace_mitm.alerts.rules import RULE_TYPES
from agenttrace_mitm.store import tokens
from agenttrace_mitm.store.alerting import AlertStore
from tests.datasette_agenttrace.scene import HOSTILE, NOON, Page, call, fill
from tests.datasette_agenttrace.test_server import own_server

ALERTS = "/-/agenttrace/alerts"


@pytest.fixture
def store(database):
    opened = AlertStore(database)
    yield opened
    opened.close()


@pytest.fixture
def noon(monkeypatch):
    monkeypatch.setattr(clock, "now_us", lambda: NOON + 1000)


def errors(store, **values):
    given = {"name": "errors", "type": "error_rate", "params": {"min_calls": 1, "per": "agent"}}
    rule = made(NOON - 10**6, **(given | values))
    store.put_rule(rule)
    return rule


async def test_the_page_says_what_fires_and_why(database, store, noon, headers, serve):
    fill(database, call(1, outcome="error", agent_id="bot"))
    errors(store, deliver=("https://example.com/secret",))
    check(store, NOON + 1000, None, "")
    page = (await serve(database).client.get(ALERTS, headers=headers)).text
    for words in ("1 of 1 call failed", "bot", "/calls/call-1", "https://example.com/...", "waits"):
        assert words in page
    assert "secret" not in page
    tags = [tag for tag, _ in Page(page).tags]
    assert tags.count("h1") == tags.count("main") == 1


async def test_a_firing_shows_what_its_calls_cost_and_its_question(
    database, store, noon, headers, serve
):
    """Dearest first, each with its figure; what was asked can be run; how to add a rule is said."""
    prices = (2_000_000_000, 200_000, 3_000_000_000)
    fill(database, *(call(n, cost_nano_usd=price) for n, price in enumerate(prices, 1)))
    store.put_rule(made(NOON - 10**6, name="b", type="budget", params={"limit_usd": 5}))
    check(store, NOON + 1000, None, "")
    client = serve(database).client
    page = (await client.get(ALERTS, headers=headers)).text
    shown = re.findall(r'<a class="at-nowrap" href="[^"]+/calls/(call-\d)">([^<]+)</a>', page)
    assert shown == [("call-3", "$3.00"), ("call-1", "$2.00"), ("call-2", "$0.0002")]
    assert "alerts add daily --type budget" in page
    [asked] = re.findall('href="(/data[?]sql=[^"]+)">run as SQL', page)
    address = html.unescape(asked).replace("?", ".json?", 1) + "&_shape=array"
    rows = (await client.get(address, headers=headers)).json()
    assert [row["spent"] for row in rows] == [sum(prices)]


async def test_what_a_rule_type_asks_can_be_run(database, store, noon, headers, serve):
    """The question of each type, with its parameters, on the page of SQL."""
    fill(database, call(1))
    client = serve(database).client
    for kind in RULE_TYPES:
        question = kind.ask(kind.params.model_validate(kind.example), At(NOON))
        query = urlencode({"sql": question.sql, **question.parameters})
        answer = await client.get(f"/data.json?{query}", headers=headers)
        assert answer.status_code == 200, (kind.name, answer.text)


ADDRESS = "https://hooks.slack.com/services/T0/B0/s3cr3t"


@pytest.mark.parametrize(
    ("where", "answers"),
    [
        ("alert_rules", 200), ("alert_rules.json?_shape=array", 200), ("alert_rules.csv", 200),
        ("alert_rules?deliver__contains=s3c", 200), ("alert_rules.json?_facet=deliver", 200),
        ("alert_deliveries.json", 200), ("alert_deliveries.csv?_size=max", 200),
        (".json?sql=select+deliver+from+alert_rules", 200),
        (".json?sql=select+x.%22DELIVER%22+as+y+from+main.Alert_Rules+as+x", 200),
        (".json?sql=with+a+as+(select+*+from+alert_rules)+select+hex(deliver)+from+a", 200),
        (".json?sql=select+group_concat(target)+from+alert_deliveries", 200),
        (".json?sql=select+value+from+alert_rules,+json_each(deliver)", 200),
        (".json?sql=select+name+from+alert_rules+where+deliver+like+'%25s3c%25'", 200),
        (".json?sql=select+data+from+sqlite_dbpage", 400),
    ],
)  # fmt: skip
async def test_sql_sees_no_addresses_of_webhooks(
    database, store, noon, headers, serve, where, answers
):
    """Whoever may read may ask any SQL, and need not be able to write into somebody's Slack."""
    fill(database, call(1, outcome="error", agent_id="bot"))
    errors(store, deliver=(ADDRESS,))
    check(store, NOON + 1000, None, "")
    reader = {"x-api-key": tokens.create(database, "reader", ["read"])}
    address = f"/data{where}" if where.startswith(".") else f"/data/{where}"
    answer = await serve(database).client.get(address, headers=reader)
    assert answer.status_code in (200, answers)
    for secret in ("s3cr3t", "S3CR3T", ADDRESS.encode().hex(), ADDRESS.encode().hex().upper()):
        assert secret not in answer.text.replace(address, "")
    if "like" in where:
        assert answer.json()["rows"] == [], "nor can it be guessed letter by letter"
    [rule] = store.rules()
    assert rule.deliver == (ADDRESS,), "who sends them knows"
    assert [one.target for one in store.deliveries()] == [ADDRESS]


async def test_the_overview_says_what_fires(database, store, noon, headers, serve):
    fill(database, call(1, outcome="error", agent_id="<b>bot"))
    home = serve(database).client
    assert "Firing now" not in (await home.get("/-/agenttrace", headers=headers)).text
    errors(store)
    check(store, NOON + 1000, None, "")
    page = (await home.get("/-/agenttrace", headers=headers)).text
    [firing] = store.firings(open_only=True)
    for words in ("Firing now", "1 of 1 call failed", "&lt;b&gt;bot", f"alerts#{firing.id}"):
        assert words in page
    store.acknowledge(firing.id, NOON + 2000)
    assert ", acknowledged" in (await home.get("/-/agenttrace", headers=headers)).text
    with sqlite3.connect(database) as db:
        db.execute("drop table alert_firings")  # as in a file to share
    assert (await home.get("/-/agenttrace", headers=headers)).status_code == 200


async def test_the_page_says_that_nobody_checks(database, store, noon, headers, serve, monkeypatch):
    errors(store)
    check(store, NOON + 1000, None, "")
    client = serve(database).client
    assert "not been checked" not in (await client.get(ALERTS, headers=headers)).text
    store.could_not_check("the moon is full")
    monkeypatch.setattr(clock, "now_us", lambda: NOON + 11 * 60 * 10**6)
    page = (await client.get(ALERTS, headers=headers)).text
    assert "Alerts have not been checked since" in page
    assert "the moon is full" in page
    assert "Checked every minute" not in page
    said = (await client.get(f"{ALERTS}.json", headers=headers)).json()
    assert said["unchecked_since_us"] == NOON + 1000
    assert said["rules"][0]["state"] == "unknown"
    check(store, clock.now_us(), None, "")
    assert "not been checked" not in (await client.get(ALERTS, headers=headers)).text


async def test_rules_say_all_that_is_in_force(database, store, noon, headers, serve):
    """What nobody set as well, and with the digits that were given."""
    errors(store, params={"per": "agent"})
    errors(store, name="purse", type="budget", params={"limit_usd": 0.001})
    said = (await serve(database).client.get(f"{ALERTS}.json", headers=headers)).json()["rules"]
    assert {one["settings"] for one in said} == {
        "10% or more, within 15 min, from 10 calls on, for each agent",
        "$0.001 or more a day, a warning at 80%",
    }


async def test_words_from_outside_do_nothing(database, store, noon, headers, serve):
    fill(database, call(1, outcome="error", agent_id=HOSTILE))
    errors(store, name=HOSTILE)
    check(store, NOON + 1000, None, "")
    page = (await serve(database).client.get(ALERTS, headers=headers)).text
    assert "<img" not in page
    assert "alert(&#34;x&#34;)" in page


async def test_nothing_set_up_says_what_to_do(database, headers, serve):
    page = (await serve(database).client.get(ALERTS, headers=headers)).text
    assert "agenttrace-mitm alerts add" in page
    assert (await serve(database).client.get(ALERTS)).status_code == 401


async def test_json_hides_addresses_too(database, store, noon, headers, serve):
    errors(store, deliver=("https://example.com/secret",))
    answer = await serve(database).client.get(f"{ALERTS}.json", headers=headers)
    assert answer.json()["rules"][0]["told"] == ["webhook: https://example.com/..."]
    assert "secret" not in answer.text


async def test_a_rule_is_tried_out(database, store, noon, headers, serve):
    fill(database, call(1, days_ago=3, outcome="error", agent_id="bot"))
    rule = errors(store)
    asked = f"{ALERTS}?rule={rule.id}&days=7"
    page = (await serve(database).client.get(asked, headers=headers)).text
    assert "would have fired, judged every 13 minutes" in page
    assert "2026-11-17" in page
    page = (
        await serve(database).client.get(f"{ALERTS}?rule={rule.id}&days=1", headers=headers)
    ).text
    assert "would not have fired in the last 1 day" in page
    assert store.firings() == []


async def test_forms_acknowledge_silence_and_switch(database, store, noon, headers, serve):
    fill(database, call(1, outcome="error", agent_id="bot"))
    rule = errors(store)
    check(store, NOON + 1000, None, "")
    client = serve(database).client
    page = await client.get(ALERTS, headers=headers)
    token = re.search(r'name="csrftoken" value="([^"]+)"', page.text)[1]

    async def post(what, id_):
        return await client.post(
            f"{ALERTS}/{what}", headers=headers, cookies=page.cookies,
            data={"id": id_, "csrftoken": token},
        )  # fmt: skip

    assert (await post("ack", store.firings()[0].id)).status_code == 303
    assert store.firings()[0].acknowledged_us == NOON + 1000
    await post("silence", rule.id)
    assert store.rules()[0].silenced_until_us == NOON + 1000 + 8 * 3600 * 10**6
    await post("toggle", rule.id)
    assert store.rules()[0].enabled is False
    assert (await post("toggle", "nobody")).status_code == 404
    assert (await client.get(f"{ALERTS}/toggle", headers=headers)).status_code == 404


def test_the_running_server_checks_by_itself(home, monkeypatch):
    """No cron, no command: `start` is enough."""
    from agenttrace_mitm.store import open_database

    path = home / "data.db"
    open_database(path).close()
    now = clock.now_us()
    fill(path, call(1, outcome="error", agent_id="bot").model_copy(update={"started_us": now}))
    store = AlertStore(path)
    errors(store)
    with own_server(home) as (_, said):
        ends = time.monotonic() + 60
        while not store.firings() and time.monotonic() < ends:
            time.sleep(0.2)
        assert store.firings()[0].subject == "bot"
        token = (home / "token").read_text().strip()
        page = httpx.get(f"http://127.0.0.1:{said['port']}{ALERTS}", headers={"x-api-key": token})
        assert "Checked every minute" in page.text
    store.close()
