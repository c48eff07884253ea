"""Traces, sessions and calls as files: whole in themselves, inert, never more than is stored."""

import base64
import re
import sqlite3
from hashlib import sha256

import pytest

from agenttrace_mitm.store import open_database
from datasette_agenttrace import share
from tests.datasette_agenttrace.scene import Page
from tests.datasette_agenttrace.test_traces import BAD
from tests.store.test_sessions import _task
from tests.traces.talks import Recording, says, tool_use, user

pytestmark = pytest.mark.usefixtures("noon")

PLACES = ("traces", "sessions", "calls")
SAID = ("Mend the parser", "pytest", "text.split", "I left it")


@pytest.fixture
def talk(database):
    db = open_database(database)
    recording = Recording(db.conn)
    _task(recording)
    yield recording
    db.close()


@pytest.fixture
def get(talk, database, headers, serve):
    served = serve(database)
    first = talk.row("select trace_id from llm_calls order by started_us limit 1")[0]
    ids = {"traces": first, "sessions": "s-1", "calls": _last_of(talk, first)}

    async def got(place, query):
        path = f"/-/agenttrace/{place}/{ids[place]}/share{query}"
        return await served.client.get(path, headers=headers)

    return got


def _last_of(talk: Recording, trace: str) -> str:
    sql = "select id from llm_calls where trace_id = ? order by started_us desc limit 1"
    return talk.row(sql, trace)[0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "query, kept",
    [("", 0), ("?tier=1", 0), ("?tier=2", 3), ("?tier=3", 4), ("?tier=9", 0), ("?tier=x", 0)],
)
async def test_a_file_holds_what_its_tier_allows(get, place, query, kept):
    text = (await get(place, query)).text
    for word in SAID[kept:]:
        assert word not in text, word
    for word in SAID[:kept]:
        assert word in text.replace("&#39;", "'"), word


@pytest.mark.parametrize("place", PLACES)
async def test_the_name_of_a_file_says_how_much_it_holds(get, place):
    """Also where an id is long; nobody hands on everything for figures."""
    asked = {"": "figures", "?tier=1": "figures", "?tier=2": "no-replies", "?tier=3": "everything"}
    for query, said in asked.items():
        assert f'-{said}.html"' in (await get(place, query)).headers["content-disposition"]
        assert f'-{said}.db"' in (await get(place, f".db{query}")).headers["content-disposition"]
    assert '-figures.db"' in share._to_keep("x" * 200, 1, "db")["content-disposition"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tier", [1, 2])
async def test_a_file_does_not_say_that_what_it_lacks_is_not_kept(get, place, tier):
    text = (await get(place, f"?tier={tier}")).text
    assert "not kept" not in text
    assert "not in this file" in text or "Shared without content" in text


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tier, kept", [(1, 0), (2, 3)])
async def test_a_file_holds_no_more_than_is_stored(talk, get, place, tier, kept):
    talk.db.execute("update llm_calls set privacy_tier = ?", (tier,))
    text = (await get(place, "?tier=3")).text
    for word in SAID[kept:]:
        assert word not in text, word
    for word in SAID[:kept]:
        assert word in text, word


@pytest.mark.parametrize("place", PLACES)
async def test_a_file_is_whole_in_itself_and_inert(talk, get, place):
    """Hostile names included: no script, nothing to load, no link out; a policy says so."""
    talk.db.execute(
        "update llm_calls set agent_id = ?1, error_message = ?1, error_type = ?1", (BAD,)
    )
    talk.db.execute("update spans set name = ?1, agent_id = ?1", (BAD,))
    talk.db.execute("update tool_calls set result = ?1", (BAD,))
    answer = await get(place, "?tier=3")
    assert answer.status_code == 200
    assert re.fullmatch(
        r'attachment; filename="[A-Za-z0-9_.-]+\.html"', answer.headers["content-disposition"]
    )
    style = re.search("<style>(.*?)</style>", answer.text, re.DOTALL)[1]
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    page = Page(answer.text)
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv")]
    assert len(policies) == 1
    for policy in (*policies, answer.headers["content-security-policy"]):
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "url(" not in style
    assert "@import" not in style
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "img", "iframe", "form", "object")
        assert not {"src", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith("#")
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize("place", PLACES)
async def test_a_database_holds_what_its_tier_allows(get, place, tmp_path):
    """It is one, and the words of a lower tier are not in its bytes."""
    for tier, kept in ((1, 0), (2, 3), (3, 4)):
        answer = await get(place, f".db?tier={tier}")
        assert answer.headers["content-type"] == "application/vnd.sqlite3"
        assert f"{place[:-1]}-" in answer.headers["content-disposition"]
        for word in SAID[kept:]:
            assert word.encode() not in answer.content, word
        (tmp_path / "s.db").write_bytes(answer.content)
        db = sqlite3.connect(tmp_path / "s.db")
        assert db.execute("select count(*) > 0, max(privacy_tier) from llm_calls").fetchone() == (
            1, tier,
        )  # fmt: skip
        db.close()


@pytest.mark.parametrize("place", PLACES)
async def test_a_database_that_was_shared_shows_itself(get, headers, serve, place, tmp_path):
    """It is small enough for a mail, and has pages and tables like the one it came from."""
    answer = await get(place, ".db?tier=3")
    assert len(answer.content) < 250_000
    (tmp_path / "s.db").write_bytes(answer.content)
    client = serve(tmp_path / "s.db").client
    for path in ("/-/agenttrace/calls", "/-/agenttrace/traces", "/s/llm_calls", "/s/messages"):
        assert (await client.get(path, headers=headers)).status_code == 200, path


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_not_there_is_not_found(database, headers, serve, place):
    path = f"/-/agenttrace/{place}/nowhere/share?tier=3"
    served = serve(database)
    assert (await served.client.get(path, headers=headers)).status_code == 404
    assert (await served.client.get(path)).status_code == 401


async def test_pages_offer_what_is_stored(talk, database, headers, serve):
    served = serve(database)
    path = "/-/agenttrace/sessions/s-1"
    for tier in (3, 2, 1):
        talk.db.execute("update llm_calls set privacy_tier = ?", (tier,))
        page = (await served.client.get(path, headers=headers)).text
        assert [f"/share?tier={n}" in page for n in (1, 2, 3)] == [n <= tier for n in (1, 2, 3)]


async def test_a_reply_is_as_long_at_every_tier(database, headers, serve):
    """As `reply_chars` says: the arguments of its tool calls are no words of it."""
    db = open_database(database)
    recording = Recording(db.conn)
    spoken = says("Let me see first.")
    spoken["content"] += tool_use("toolu_1", "Bash", command="pytest -q --maxfail=1")["content"]
    recording.call([user("Mend it.")], spoken, x_claude_code_session_id="s-2")
    db.conn.commit()
    chars = recording.row("select reply_chars from llm_calls")[0]
    assert chars == len("Let me see first.")
    client = serve(database).client
    for tier in (1, 2):
        address = f"/-/agenttrace/sessions/s-2/share?tier={tier}"
        page = (await client.get(address, headers=headers)).text
        assert re.findall(r"reply, (\d+) characters", page) == [str(chars)]
    db.close()


async def test_whoever_shares_is_told_to_read_it_first(talk, database, headers, serve):
    page = (await serve(database).client.get("/-/agenttrace/sessions/s-1", headers=headers)).text
    assert "read it before you send it" in page
    talk.db.execute("update llm_calls set privacy_tier = 1")
    talk.db.commit()
    page = (await serve(database).client.get("/-/agenttrace/sessions/s-1", headers=headers)).text
    assert "Share it as one HTML file" in page
    assert "read it before" not in page
