"""Numbers of pages agree with plain SQL over `llm_calls`: for the demo's calls, and for the corpus.

Pages count model calls and side calls; their spend is what was metered or of unknown billing.
"""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from agenttrace_mitm import access, clock
from agenttrace_mitm.store import open_database
from tests import corpus_cases as corpus
from tests.support.web import demo
from tests.traces.talks import Recording, says, user

EVERY = 11  # of the corpus' records: some hundreds
NO_MODEL, NOBODY = "(no model)", "(unknown)"  # as pages say it
OF_CALLS = """
    select count(*) as calls, coalesce(sum(outcome in ('error', 'interrupted')), 0) as failed,
        sum(case when coalesce(billing, '') in ('metered', '') then cost_nano_usd end)
            as cost_nano_usd,
        sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
        sum(cache_read_tokens) as cache_read_tokens
    from llm_calls where kind in ('llm', 'auxiliary') and {where}
"""


def of_demo(folder: Path) -> Path:
    return demo(folder / "home") / "data.db"


def of_corpus(folder: Path) -> Path:
    """Recorded exchanges of every provider, over the two days before now."""
    if corpus.corpus_folder() is None:
        pytest.skip("the recorded corpus is not on this machine")  # nor part of the repository
    path = folder / "data.db"
    db = open_database(path)
    talk, now_us = Recording(db.conn), clock.now_us()
    chosen = list(corpus.records(kinds=corpus.MODEL_KINDS))[::EVERY]
    for number, record in enumerate(chosen):
        at_us = now_us - (number + 1) * 172_800_000_000 // len(chosen)
        talk.add(corpus.exchange(record, at_us=at_us))
    db.conn.commit()
    db.close()
    return path


@pytest.mark.parametrize("made", [of_demo, of_corpus])
async def test_pages_add_up_to_plain_sql(tmp_path: Path, serve: Any, made: Any) -> None:
    path = made(tmp_path)
    headers = {"x-api-key": access.read_or_create_token(path.parent / "token")}
    client = serve(path).client
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row

    async def shown(address: str) -> Any:
        answer = await client.get(f"/-/agenttrace/{address}", headers=headers)
        assert answer.status_code == 200, address
        return answer.json()

    def agrees(page: dict[str, Any], where: str = "true", *values: Any) -> None:
        row = dict(db.execute(OF_CALLS.format(where=where), values).fetchone())
        found = {name: page[name] for name in row if name in page}
        # What no call says is unknown here and there, or nothing on a page of a time.
        assert {k: v or 0 for k, v in found.items()} == {k: row[k] or 0 for k in found}, values
        assert {"calls", "failed", "cost_nano_usd", "tokens_in", "tokens_out"} <= set(found)

    overview = await shown("overview.json?range=90d")
    assert overview["costs"]["totals"]["calls"] >= 20
    for page in (overview["costs"], await shown("costs.json?range=90d")):
        agrees(page["totals"])
        for part in page["models"]:
            agrees(
                part,
                f"provider = ? and coalesce(response_model, model, {NO_MODEL!r}) = ?",
                part["provider"],
                part["model"],
            )
        for name in ("calls", "cost_nano_usd", "tokens_in", "tokens_out"):
            assert sum(step[name] or 0 for step in page["steps"]) == (page["totals"][name] or 0)
    agents = await shown("agents.json?range=90d")
    agrees(agents["totals"])
    for agent in agents["agents"]:
        agrees(agent, f"coalesce(nullif(agent_id, ''), {NOBODY!r}) = ?", agent["agent"])
        if agent["agent"] == NOBODY:
            continue
        one = await shown(f"agents.json?{urlencode({'range': '90d', 'agent': agent['agent']})}")
        if "costs" in one:
            agrees(one["costs"]["totals"], "agent_id = ?", agent["agent"])
    for kind, column in (("traces", "trace_id"), ("sessions", "session_id")):
        busiest = f"select {column} from llm_calls group by 1 order by count(*) desc limit 8"
        for (key,) in db.execute(busiest).fetchall():
            if key is not None:
                one = await shown(f"{kind}/{quote(key, safe='')}.json")
                bill = one["bill"]
                if "aside" in one:  # side calls are told apart there
                    bill = {k: (bill[k] or 0) + (one["aside"][k] or 0) for k in bill}
                agrees(bill, f"{column} = ?", key)
    db.close()


async def test_a_wrong_number_is_noticed(tmp_path: Path, serve: Any, monkeypatch: Any) -> None:
    """A token that a call has and no rollup: the comparison can fail."""
    path = tmp_path / "data.db"
    db = open_database(path)
    talk = Recording(db.conn, at_us=clock.now_us() - 60_000_000)
    for number in range(20):
        talk.call([user(f"Hello {number}")], says("Hi"))
    db.conn.execute(
        "update llm_calls set tokens_in = tokens_in + 1"
        " where id = (select id from llm_calls limit 1)"
    )
    db.conn.commit()
    db.close()
    with pytest.raises(AssertionError):
        await test_pages_add_up_to_plain_sql(tmp_path, serve, lambda _: path)
