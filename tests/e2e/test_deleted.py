"""A trace is deleted through the API while AgentTrace records."""

import ssl
from pathlib import Path
from typing import Any

import httpx

from agenttrace_mitm.demo.server import Answer, Request
from agenttrace_mitm.store.revise import problems
from tests.support.instance import Instance
from tests.support.providers import played

from . import wire

SYSTEM = {"role": "system", "content": "The one and only system prompt."}
FIRST = [SYSTEM, {"role": "user", "content": "The one and only question?"}]


def _answer(request: Request) -> Answer:
    return Answer(200, (("content-type", "application/json"),), tuple(wire.openai_chat()), 0.0)


async def test_prompts_are_stored_again_and_conversations_begin_anew(tmp_path: Path) -> None:
    async with (
        played(tmp_path, _answer) as providers,
        Instance(providers.settings(), "recorder", "capture", "web") as instance,
    ):
        trust = ssl.create_default_context(cafile=str(instance.root_certificate))
        proxy = f"http://127.0.0.1:{instance.proxy_port}"
        token = instance.settings.token_file.read_text().strip()
        pages = httpx.AsyncClient(
            base_url=instance.web_url, headers={"authorization": f"Bearer {token}"}, trust_env=False
        )
        async with httpx.AsyncClient(verify=trust, proxy=proxy, timeout=30) as client, pages:
            calls = 0

            async def call(session: str, messages: list[dict[str, str]]) -> dict[str, Any]:
                nonlocal calls
                answer = await client.post(
                    "https://api.openai.com/v1/chat/completions",
                    headers={"x-agenttrace-session": session},
                    json={"model": "gpt-5.5", "messages": messages},
                )
                calls += 1
                found = await instance.rows(
                    "select trace_id from llm_calls where outcome <> 'in_flight' order by id desc",
                    lambda rows: len(rows) == calls,
                )
                reply: dict[str, str] = answer.json()["choices"][0]["message"]
                return {"trace": found[0]["trace_id"], "said": [*messages, reply]}

            one = await call("one", FIRST)
            gone = await pages.request("DELETE", f"/api/traces/{one['trace']}")
            assert gone.status_code == 200, gone.text
            assert gone.json()["deleted"]["llm_calls"] == 1
            calls = 0
            await call("one", [*one["said"], {"role": "user", "content": "Go on."}])
            await call("two", FIRST)
        texts = await instance.rows("select text from messages order by id")
        calls_there = await instance.rows(
            "select n_messages, continues_call_id, (select count(*) from call_messages m"
            " where m.call_id = c.id and m.direction = 'in') as own from llm_calls c order by id"
        )
    said = [row["text"] for row in texts]
    assert said.count(SYSTEM["content"]) == 1
    assert FIRST[1]["content"] in said
    assert [(row["n_messages"], row["own"]) for row in calls_there] == [(4, 4), (2, 2)]
    assert {row["continues_call_id"] for row in calls_there} == {None}
    assert problems(instance.settings.database) == []
