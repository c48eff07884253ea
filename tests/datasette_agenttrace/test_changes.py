"""What a call asked for that the one before had not: which one that is, and what is shown of it."""

import json
import re

import pytest

from agenttrace_mitm.model import Payload, Record
from datasette_agenttrace.differences import differences
from tests.datasette_agenttrace.listed import CALLS, call, store
from tests.datasette_agenttrace.scene import HOSTILE

pytestmark = pytest.mark.usefixtures("noon")


def asked(*said: str, **settings) -> Payload:
    messages = [{"role": "user", "content": text} for text in said]
    body = json.dumps({"model": "m1", **settings, "messages": messages})
    return Payload(request_headers=[], request_body=body.encode(), response_body=b"{}")


def changed(lines) -> list[str]:
    return [line["text"].strip(" +-") for line in lines if line["mark"] in ("plus", "minus")]


async def test_what_a_call_adds_to_the_one_it_continues(database, get):
    store(
        database,
        Record(call=call(9), payload=asked("one", "two", temperature=0)),
        Record(
            call=call(5, continues_call_id="call-009", n_messages=3),
            payload=asked("one", "two", "line\nby line", temperature=1),
        ),
    )
    found = (await get(f"{CALLS}/call-005/changes.json")).json()
    assert found["before"]["id"] == "call-009"
    said = "\n".join(changed(found["lines"]))
    assert '"temperature": 0,' in said
    assert '"temperature": 1,' in said
    assert 'by line"' in said
    assert '"content": "one"' not in said
    page = (await get(f"{CALLS}/call-005/changes")).text
    assert "since the call that it continues" in page
    assert '<span class="at-line-plus">' in page
    assert f'href="{CALLS}/call-005/changes"' in (await get(f"{CALLS}/call-005")).text


async def test_an_attempt_is_compared_with_the_one_before_it(database, get):
    tried = {"operation_id": "call-009", "continues_call_id": "call-020"}
    store(
        database,
        Record(call=call(20), payload=asked("zero")),
        Record(call=call(9, **tried, outcome="error"), payload=asked("one")),
        Record(call=call(7, **tried, attempt=2), payload=asked("one")),
        Record(call=call(5, **tried, attempt=3), payload=asked("one", retries=3)),
    )
    second = (await get(f"{CALLS}/call-007/changes.json")).json()
    assert (second["before"]["id"], second["lines"]) == ("call-009", [])
    assert "The same, value by value." in (await get(f"{CALLS}/call-007/changes")).text
    third = (await get(f"{CALLS}/call-005/changes.json")).json()
    assert third["before"]["id"] == "call-007"
    assert changed(third["lines"]) == ['"retries": 3,']
    continued = (await get(f"{CALLS}/call-005/changes.json?since=call-020")).json()
    assert continued["before"]["id"] == "call-020"


async def test_the_two_calls_are_told_apart(database, get):
    """Attempts may begin in the same second."""
    tried = {"operation_id": "call-009"}
    store(
        database,
        Record(call=call(9, **tried, outcome="error"), payload=asked("one")),
        Record(call=call(7, **tried, attempt=2, started_us=call(9).started_us + 5)),
        Record(call=call(3), payload=asked("one")),
    )
    page = (await get(f"{CALLS}/call-007/changes")).text
    assert [
        (word, number, id_)
        for word, number, id_ in re.findall(
            r'<th scope="col">(\w+), attempt (\d): <a href="[^"]+/(call-\d+)"', page
        )
    ] == [("Before", "1", "call-009"), ("After", "2", "call-007")]
    other = (await get(f"{CALLS}/call-007/changes?since=+call-003+")).text
    assert ">Before: <a" in other and ">After: <a" in other
    assert "?since=ID" not in page
    for text, chosen in ((page, ""), (other, "call-003")):
        assert f'name="since" value="{chosen}"' in text


async def test_a_call_with_none_before_says_so(database, get):
    store(database, Record(call=call(1), payload=asked("one")))
    alone = (await get(f"{CALLS}/call-001/changes")).text
    assert "Nothing before it" in alone
    assert '<form method="get"' in alone and 'name="since"' in alone
    assert (await get(f"{CALLS}/call-002/changes")).status_code == 404
    assert (await get(f"{CALLS}/call-001/changes?since=call-002")).status_code == 404


@pytest.mark.parametrize("tier", [1, 2])
async def test_requests_that_are_not_kept_are_not_shown(database, get, tier):
    store(
        database,
        Record(call=call(9), payload=asked("a secret word")),
        Record(call=call(5, continues_call_id="call-009", privacy_tier=tier)),
    )
    page = (await get(f"{CALLS}/call-005/changes")).text
    assert "is not kept" in page
    assert "a secret word" not in page


async def test_hostile_requests_are_only_shown(database, get):
    store(
        database,
        Record(call=call(9), payload=asked("one")),
        Record(call=call(5, continues_call_id="call-009"), payload=asked(HOSTILE, "\x00")),
    )
    page = (await get(f"{CALLS}/call-005/changes")).text
    assert HOSTILE not in page
    assert len(re.findall("<script", page)) == len(
        re.findall("<script", (await get(f"{CALLS}/call-009/changes")).text)
    )


def test_only_what_differs_is_compared():
    """A history of any length costs what it is read once; more lines than fit are said to be."""
    history = [f"line {n}" for n in range(200_000)]
    new = [*history[:150_000], "added", *history[150_000:]]
    assert [line.text for line in differences(history, new, 100) if line.mark == "plus"] == [
        "+added"
    ]
    assert differences(history, history, 100) == ()
    many = differences([], history, 100)
    assert len(many) == 101
    assert many[-1].text.endswith("and more")
