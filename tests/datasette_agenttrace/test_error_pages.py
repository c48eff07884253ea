"""What is not there, or went wrong, is said inside the product: its header, its look, ways on."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.datasette_agenttrace.test_links import Links

PLACES = ("/-/agenttrace/calls", "/-/agenttrace/traces", "/-/agenttrace/sessions")


@pytest.fixture(autouse=True)
def _without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where rich is installed Datasette fails at a page that is not there; our server leaves it out.
    monkeypatch.setattr("datasette.handle_exception.rich", None)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/-/agenttrace/calls/nobody", "There is no call with this id"),
        ("/-/agenttrace/sessions/nobody", "There is no session with this id"),
        ("/data/nothing", "Table not found"),
        ("/data/llm_calls/nobody", "Record not found"),
        ("/a/b/c/d/e", "Nothing is at this address."),
    ],
)
async def test_what_is_not_there_is_said_in_our_frame(get: Any, address: str, said: str) -> None:
    answer = await get(address)
    assert answer.status_code == 404
    assert said in answer.text
    assert "/-/agenttrace/static/agenttrace.css" in answer.text
    assert set(PLACES) <= set(Links(answer.text).to)


async def test_a_fault_is_said_in_our_frame(
    database: Path, headers: Any, serve: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(database) as db:
        db.execute("drop table rollup_spend")
    db.close()
    address = "/-/agenttrace/costs?by=session"
    answer = await serve(database).client.get(address, headers=headers)
    assert answer.status_code == 500
    assert "This went wrong" in answer.text
    assert set(PLACES) <= set(Links(answer.text).to)
    assert "Traceback" in capsys.readouterr().err


async def test_programs_get_json_as_before(get: Any) -> None:
    answer = await get("/-/agenttrace/calls/nobody.json")
    assert answer.status_code == 404
    assert answer.json()["error"] == "There is no call with this id"


async def test_a_users_own_page_for_errors_stays(
    database: Path, headers: Any, serve: Any, tmp_path: Path
) -> None:
    (tmp_path / "error.html").write_text("<p>ours: {{ error }}</p>")
    client = serve(database, template_dir=str(tmp_path)).client
    answer = await client.get("/-/agenttrace/calls/nobody", headers=headers)
    assert answer.text == "<p>ours: There is no call with this id</p>"


async def test_other_databases_keep_datasettes_own(tmp_path: Path, serve: Any) -> None:
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("create table t (a)")
    answer = await serve(other).client.get("/other/nothing")
    assert answer.status_code == 404
    assert "agenttrace" not in answer.text
