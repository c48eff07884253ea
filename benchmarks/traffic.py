"""Calls as agents make them: requests, answers and streams in the shape of OpenAI's chat API."""

import json
import random
from typing import Any

HOST = "api.openai.com"
PATH = "/v1/chat/completions"
MODEL = "gpt-4o-mini"
ANSWER = "x-bench-answer"
"""Request header that tells the upstream how to answer: `whole`, or `stream CHUNKS DELAY_MS`."""

_KEY = "sk-bench-" + "0123456789abcdef" * 9
"""As long as providers' keys are: the recorder looks for short ones in more places."""

type Messages = list[dict[str, Any]]

_WORDS = (  # noqa: SIM905 - thirty words in a list would be thirty lines
    "the file path returns value index error token stream parse request branch commit test module "
    "queue writer handler socket packet buffer offset length header schema column table cursor "
    "thread worker signal process memory cache latency budget retry policy record ledger margin"
).split()


def text(size: int, chance: random.Random) -> str:
    """About *size* characters that compress like code and prose do, not like one word repeated."""
    words: list[str] = []
    length = 0
    while length < size:
        word = chance.choice(_WORDS)
        if chance.random() < 0.3:
            word = f"{word}_{chance.getrandbits(24):x}"
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]


def request(messages: Messages, *, streamed: bool = False, tools: Any = None) -> bytes:
    """The body of a chat request."""
    body: dict[str, Any] = {"model": MODEL, "messages": messages}
    if tools:
        body["tools"] = tools
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()


def small(number: int) -> bytes:
    """A short question, different from all others."""
    return request(
        [{"role": "user", "content": f"Question {number}: {text(300, _chance(number))}"}]
    )


def head(size: int, answer: str = "whole", extra: str = "") -> bytes:
    """The head of a request with a body of *size*."""
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"User-Agent: OpenAI/Python 1.99.0\r\nAuthorization: Bearer {_KEY}\r\n"
        f"{ANSWER}: {answer}\r\n{extra}Content-Length: {size}\r\n\r\n"
    ).encode()


def answer(number: int, content: str | None = None) -> bytes:
    """The body of a whole answer, about 2 KB."""
    content = content or f"{number}. {text(1500, _chance(number))}"
    usage = {"prompt_tokens": 90, "completion_tokens": 300, "total_tokens": 390}
    body = {
        "id": f"chatcmpl-{number:012d}",
        "object": "chat.completion",
        "created": 1700000000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
    }
    return json.dumps(body).encode()


def events(number: int, chunks: int) -> list[bytes]:
    """The events of a streamed answer: *chunks* of them, and the end."""
    pieces = [_event(number, {"content": f"word{index} "}) for index in range(chunks - 2)]
    usage = {"prompt_tokens": 90, "completion_tokens": chunks, "total_tokens": 90 + chunks}
    last = _event(number, {}, finish_reason="stop", usage=usage)
    return [
        _event(number, {"role": "assistant", "content": ""}),
        *pieces,
        last,
        b"data: [DONE]\n\n",
    ]


def conversation(turns: int, seed: int) -> "list[tuple[bytes, bytes]]":
    """Requests and answers of an agent: instructions, tools, and a tool call each turn."""
    chance = random.Random(seed)
    tools = [_tool(number, chance) for number in range(12)]
    messages: Messages = [
        {"role": "system", "content": text(6000, chance)},
        {"role": "user", "content": text(400, chance)},
    ]
    calls = []
    for turn in range(turns):
        said = text(300, chance)
        calls.append((request(messages, tools=tools), answer(seed * 1000 + turn, said)))
        messages = [
            *messages,
            {"role": "assistant", "content": said},
            {"role": "user", "content": text(chance.randint(500, 4000), chance)},
        ]
    return calls


def long_history(calls: int, size: int, seed: int = 0) -> list[bytes]:
    """Requests that each send *size* bytes of history again and add a message."""
    chance = random.Random(seed)
    messages: Messages = [
        {"role": ("user", "assistant")[number % 2], "content": text(2000, chance)}
        for number in range(size // 2050)
    ]
    requests = []
    for _ in range(calls):
        messages.append({"role": "user", "content": text(200, chance)})
        requests.append(request(messages))
    return requests


def _event(number: int, delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    body = {
        "id": f"chatcmpl-{number:012d}",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": MODEL,
        "choices": [choice],
        **more,
    }
    return f"data: {json.dumps(body)}\n\n".encode()


def _tool(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": f"tool_{number}",
            "description": text(600, chance),
            "parameters": {
                "type": "object",
                "properties": {
                    f"argument_{n}": {"type": "string", "description": text(60, chance)}
                    for n in range(4)
                },
            },
        },
    }


def _chance(number: int) -> random.Random:
    return random.Random(number)
