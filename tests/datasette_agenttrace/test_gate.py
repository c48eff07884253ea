"""Who gets in, who does not, and that nobody notices a gate where there is nothing to guard."""

import sqlite3
import time
from pathlib import Path

import httpx
import pytest
from datasette.app import Datasette

from agenttrace_mitm import access
from agenttrace_mitm.store import open_database
from datasette_agenttrace import site

PATHS = (
    "/", "/-/agenttrace", "/-/agenttrace/costs", "/-/agenttrace/costs.json", "/data", "/data.json",
    "/data/llm_calls", "/data/llm_calls.json", "/data/llm_calls.csv", "/data?sql=select+1",
    "/data/slowest_calls", "/-/settings", "/-/metadata.json", "/-/actor.json", "/-/databases",
    "/-/allow-debug", "/-/plugins.json", "/-/threads", "/-/messages", "/-/auth-token?token=x",
    "/-/static/app.css", "/-/agenttrace/static/agenttrace.css", "/-/agenttrace/static/../gate.py",
    "/favicon.ico", "/nothing", "/no/such/thing.json", "/-/agenttrace/login/", "//", "/%2e%2e/",
    "/-/agenttrace/loginx", "/-/agenttrace//login", "/-/logout", "/-/agenttrace/logout",
)  # fmt: skip


@pytest.fixture
async def datasette(database, token, serve) -> Datasette:
    made = serve(database)
    await made.invoke_startup()
    return made


@pytest.fixture
def stranger(datasette) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=datasette.app())
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8080")


@pytest.fixture
def browser(stranger) -> httpx.AsyncClient:
    stranger.headers["accept"] = "text/html,*/*;q=0.8"
    return stranger


async def log_in(browser: httpx.AsyncClient, token: str, more: str = "") -> httpx.Response:
    code = access.login_code(token, time.time())
    return await browser.get(f"/-/agenttrace/login?code={code}{more}")


@pytest.mark.parametrize("path", PATHS)
async def test_strangers_see_nothing(stranger, path):
    """Core pages, our pages, static files, 404s: all alike to a stranger."""
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
        answer = await stranger.request(method, path)
        assert answer.status_code == (
            303 if (method, path) == ("POST", "/-/agenttrace/logout") else 401
        ), method
        assert "datasette" not in answer.text.lower()


async def test_a_browser_is_told_what_to_run(browser):
    answer = await browser.get("/data/llm_calls?_search=secret")
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert "<code>agenttrace-mitm open</code>" in answer.text
    assert 'lang="en"' in answer.text
    assert "secret" not in answer.text
    assert "script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_program_is_told_in_json(stranger):
    answer = await stranger.get("/data.json")
    assert answer.json()["ok"] is False
    assert "x-api-key" in answer.json()["remedy"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_path_in_the_page_is_inert(browser):
    answer = await browser.get("/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert answer.status_code == 401
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "name, value",
    [("authorization", "Bearer {}"), ("authorization", "bearer  {}"), ("x-api-key", "{}")],
)
async def test_a_token_opens(stranger, token, name, value):
    answer = await stranger.get("/-/actor.json", headers={name: value.format(token)})
    assert answer.json() == {"actor": {"id": "agenttrace"}}
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer "},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic {}"},
        {"authorization": "{}"},
        {"x-api-key": ""},
        {"x-api-key": "é"},
        {"x-api-key": "{}x"},
        {"cookie": "{name}={}"},
        {"cookie": "{name}="},
        {"cookie": "{name}"},
        {"cookie": "agenttrace={value}"},
    ],
)
async def test_anything_else_does_not(stranger, token, headers):
    cookie = {"name": access.cookie_name(token), "value": access.cookie_value(token)}
    sent = {name: value.format(token, **cookie).encode() for name, value in headers.items()}
    assert (await stranger.get("/", headers=sent)).status_code == 401


async def test_two_tokens_in_one_request_are_none(stranger, token):
    sent = [("x-api-key", token), ("x-api-key", "other")]
    assert (await stranger.get("/", headers=sent)).status_code == 401


async def test_the_token_does_not_work_in_the_query(stranger, token):
    assert (await stranger.get(f"/?token={token}")).status_code == 401
    assert (await stranger.get(f"/-/agenttrace/login?token={token}")).status_code == 401


async def test_a_login_link_works_once(browser, token):
    code = access.login_code(token, time.time())
    link = f"/-/agenttrace/login?code={code}"
    assert (await browser.head(link)).status_code == 401, "a preview does not use it up"
    first = await browser.get(link)
    assert first.status_code == 303
    assert first.headers["location"] == "/-/agenttrace"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert token not in cookie
    assert (await browser.get("/data")).status_code == 200

    assert (await browser.get(link)).status_code == 302, "already in: on to the page"
    browser.cookies.clear()
    again = await browser.get(link)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


async def test_the_cookie_survives_a_restart_but_not_a_reset(browser, token, database, serve, home):
    await log_in(browser, token)
    restarted = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=serve(database).app()),
        base_url="http://localhost",
        cookies=dict(browser.cookies),
    )
    assert (await restarted.get("/data")).status_code == 200
    access.reset_token(home / "token")
    assert (await restarted.get("/data")).status_code == 401
    assert (await browser.get("/data")).status_code == 401


async def test_two_instances_on_one_host_leave_each_other_signed_in(
    browser, token, database, serve, tmp_path
):
    """A demo beside the real one: a browser keeps cookies by host, whatever the port."""
    await log_in(browser, token)
    other = tmp_path / "other"
    other.mkdir()
    open_database(other / "data.db").close()
    other_token = access.reset_token(other / "token")
    demo = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=serve(other / "data.db").app()),
        base_url="http://localhost",
        cookies=browser.cookies,
    )
    assert (await demo.get("/data")).status_code == 401, "the one's cookie is not the other's"
    await log_in(demo, other_token)
    both = dict(demo.cookies)
    assert len(both) == 2
    browser.cookies.update(both)
    assert (await browser.get("/data")).status_code == 200
    assert (await demo.get("/data")).status_code == 200
    left = await demo.post("/-/agenttrace/logout")
    assert left.headers["set-cookie"].startswith(access.cookie_name(other_token))


async def test_strange_cookies_of_other_programs_do_not_lock_us_out(browser, token):
    await log_in(browser, token)
    [(name, value)] = browser.cookies.items()
    browser.cookies.clear()
    cookie = f'bad[name]="{{x: 1}}"; other=a=b; {name}={value}; \x7f=1'
    assert (await browser.get("/data", headers={"cookie": cookie})).status_code == 200


@pytest.mark.parametrize(
    "target, goes",
    [
        ("/data/llm_calls", "/data/llm_calls"),
        ("https://evil.example/", None),
        ("//evil.example/", None),
        ("/\\evil.example/", None),
        ("/%09/evil.example/", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
async def test_login_leads_only_to_this_site(browser, token, target, goes):
    answer = await log_in(browser, token, f"&next={target}")
    assert answer.headers["location"] == (goes or "/-/agenttrace")


async def test_the_token_may_be_typed(browser, token):
    wrong = await browser.post("/-/agenttrace/login", data={"token": "wrong", "next": "/data"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    right = await browser.post("/-/agenttrace/login", data={"token": token, "next": "/data"})
    assert right.headers["location"] == "/data"
    assert (await browser.get("/data")).status_code == 200


async def test_sign_out(browser, token):
    await log_in(browser, token)
    await browser.post("/-/agenttrace/logout")
    assert (await browser.get("/data")).status_code == 401


@pytest.mark.parametrize(
    "host, status",
    [
        ("127.0.0.1", 200), ("127.0.0.1:8080", 200), ("localhost:9", 200), ("[::1]:8080", 200),
        ("LOCALHOST", 200), ("evil.example", 421), ("evil.example:8080", 421), ("", 421),
        ("127.0.0.1.evil.example", 421), ("localhost.evil.example", 421), ("192.168.1.9", 421),
        ("[::1].evil.example", 421), ("evil.example@localhost", 421),
    ],
)  # fmt: skip
async def test_hosts(datasette, headers, host, status):
    """A foreign name that was rebound to our address gets nothing, token or not."""
    assert await status_of(datasette, host, headers) == status


async def status_of(datasette, host, headers, server=("127.0.0.1", 8080), path="/") -> int:
    told = []
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "scheme": "http", "server": server,
        "headers": [(b"host", host.encode()), *raw],
    }  # fmt: skip

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        told.append(message)

    await datasette.app()(scope, receive, send)
    return told[0]["status"]


async def test_the_address_of_the_connection_is_a_host(datasette, headers):
    assert await status_of(datasette, "192.168.1.9:80", headers, ("192.168.1.9", 80)) == 200
    assert await status_of(datasette, "192.168.1.9:80", {}, ("192.168.1.9", 80)) == 401


async def test_a_configured_host_is_known(database, headers, token, serve):
    own = serve(database)
    site.announce(own, site.Server(database.parent / "token", frozenset({"box.lan"})))
    assert await status_of(own, "box.lan:8080", headers) == 302
    assert await status_of(own, "box.lan:8080", {}) == 401
    assert await status_of(own, "evil.example", headers) == 421
    plain = serve(database, metadata={"plugins": {"agenttrace": {"allowed_hosts": ["box.lan"]}}})
    assert await status_of(plain, "box.lan", headers) == 200


@pytest.mark.parametrize(
    "sent, refused",
    [
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "strange"}, True),
        ({"origin": "http://localhost:8080"}, False),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "https://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, True),
        ({}, False),
    ],
)
async def test_writes_from_other_sites_are_refused(stranger, headers, sent, refused):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = await stranger.request(method, "/-/messages", headers={**headers, **sent})
        assert (answer.status_code == 403 and "another site" in answer.text) == refused, method


@pytest.mark.parametrize(
    "sent, refused",
    [
        ({"origin": "https://evil.example"}, True),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://localhost:8080"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, True),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
        (
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate",
             "sec-fetch-dest": "document"},
            False,
        ),
        (
            {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate",
             "sec-fetch-dest": "iframe"},
            True,
        ),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, False),
    ],
)  # fmt: skip
async def test_other_sites_read_nothing_even_with_the_token(stranger, headers, sent, refused):
    """A link that is followed is no reading: the other site does not see what it leads to."""
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in ("/data.json", "/-/agenttrace/costs.json", "/api/stats", "/nothing"):
            answer = await stranger.request(method, path, headers={**headers, **sent})
            assert (answer.status_code == 403) == refused, (method, path)
            assert "access-control-allow-origin" not in answer.headers


async def test_other_sites_cannot_embed_pages_on_our_cookie(browser, token):
    await log_in(browser, token)
    for site_ in ("same-site", "cross-site"):
        embedded = {"sec-fetch-site": site_, "sec-fetch-mode": "no-cors"}
        assert (await browser.get("/data?sql=select+1", headers=embedded)).status_code == 403
        link = {"sec-fetch-site": site_, "sec-fetch-mode": "navigate"}
        assert (await browser.get("/data", headers=link)).status_code == 200


async def test_websockets_are_closed(datasette, token):
    told = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        told.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    await datasette.app()(scope, receive, send)
    assert told == [{"type": "websocket.close", "code": 4401}]


async def test_a_bad_token_file_closes_the_gate(stranger, token, home):
    (home / "token").write_text("short")
    for given in ("short", token):
        answer = await stranger.get("/", headers={"x-api-key": given})
        assert answer.status_code == 503
        assert "shorter" in answer.json()["error"]


async def test_a_token_beside_a_database_elsewhere_guards_it(
    tmp_path, home, token, database, serve
):
    there = tmp_path / "elsewhere"
    there.mkdir()
    copy = there / "copy.db"
    copy.write_bytes(database.read_bytes())
    served = serve(copy)
    get = served.client.get
    assert (await get("/", headers={"x-api-key": token})).status_code == 200, "the one at home"
    own = access.read_or_create_token(there / "token")
    assert (await get("/", headers={"x-api-key": token})).status_code == 401
    assert (await get("/", headers={"x-api-key": own})).status_code == 200


async def test_a_missing_token_is_made(database, home, serve):
    served = serve(database)
    assert (await served.client.get("/")).status_code == 401
    made = (home / "token").read_text().strip()
    assert (await served.client.get("/", headers={"x-api-key": made})).status_code == 200


async def test_base_url(database, token, serve):
    served = serve(database, settings={"base_url": "/at/"})
    browser = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=served.app()), base_url="http://localhost"
    )
    assert (await browser.get("/at/data", headers={"accept": "text/html"})).status_code == 401
    code = access.login_code(token, time.time())
    answer = await browser.get(f"/at/-/agenttrace/login?code={code}")
    assert answer.headers["location"] == "/at/-/agenttrace"
    assert (await browser.get("/at/-/agenttrace/costs")).status_code == 200


# ------------------------------------------------------------------ nothing to guard


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("create table llm_calls (id text, note text)")  # a name is not a schema
    connection.execute("insert into llm_calls values ('1', '[1, 2]')")
    connection.commit()
    connection.close()
    return path


async def test_inert_elsewhere(other, home, serve):
    served = serve(other, memory=True)
    for path in ("/", "/other", "/other/llm_calls", "/-/settings", "/nothing"):
        answer = await served.client.get(path, headers={"host": "anything.example"})
        assert answer.status_code == (404 if path == "/nothing" else 200), path
        assert "agenttrace" not in answer.text.lower(), path
        assert "x-frame-options" not in answer.headers
    assert (await served.client.get("/-/agenttrace/costs")).status_code == 404
    assert (await served.client.get("/-/settings.json")).json()["suggest_facets"] is True
    assert list(home.iterdir()) == []


async def test_a_database_that_becomes_ours_is_guarded_at_once(tmp_path, home, database, serve):
    path = tmp_path / "young.db"
    sqlite3.connect(path).execute("vacuum").connection.close()
    served = serve(path)
    assert (await served.client.get("/")).status_code == 200
    path.write_bytes(database.read_bytes())
    assert (await served.client.get("/")).status_code == 401


async def test_one_of_ours_guards_all(other, database, headers, serve):
    served = serve(other, database)
    assert (await served.client.get("/other")).status_code == 401
    assert (await served.client.get("/other", headers=headers)).status_code == 200
