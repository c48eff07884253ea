"""A small agent that plans a weekend with five providers, standard library only.

Runs as a program of its own (`python agent.py`) under whatever proxy and trust the environment
says, like any agent would.  The keys are made up.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

KEY = "demo-key-that-opens-nothing"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def post(url: str, body: dict[str, Any], agent: str, **headers: str) -> str:
    """Send *body*, answer the response's text.  Raises `HTTPError` on an error status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(  # noqa: S310  (https URLs of our own)
        url,
        json.dumps(body).encode(),
        {"content-type": "application/json", "x-agenttrace-agent": agent, **named},
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        text: str = response.read().decode()
    return text


def events(text: str) -> Iterator[dict[str, Any]]:
    """The JSON payloads of a server-sent event stream."""
    for line in text.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line[6:])


def plan_with_tools() -> None:
    """OpenAI, streamed: a tool call, its result, an answer."""
    url = "https://api.openai.com/v1/chat/completions"
    system = "You plan weekends for people who like to walk."
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": system},
        {"role": "user", "content": "What should I do in Lisbon on Saturday?"},
    ]
    body = {"model": "gpt-5.5", "stream": True, "tools": TOOLS, "messages": messages}
    body["stream_options"] = {"include_usage": True}
    deltas = [
        call
        for event in events(post(url, body, "planner", authorization=f"Bearer {KEY}"))
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls", [])
    ]
    arguments = "".join(delta["function"]["arguments"] for delta in deltas)
    call = {"id": deltas[0]["id"], "type": "function"}
    call["function"] = {"name": "get_weather", "arguments": arguments}
    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    result = json.dumps({"city": "Lisbon", "celsius": 24, "sky": "sunny"})
    messages.append({"role": "tool", "tool_call_id": deltas[0]["id"], "content": result})
    post(url, body, "planner", authorization=f"Bearer {KEY}")


def write_itinerary(question: str) -> None:
    """Anthropic, streamed, with thinking; may be told that the server is overloaded."""
    url = "https://api.anthropic.com/v1/messages"
    system = "You write itineraries. " + "Prefer small places and public transport. " * 40
    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1024,
        "stream": True,
        "system": system,
        "messages": [{"role": "user", "content": question}],
    }
    post(url, body, "writer", x_api_key=KEY, anthropic_version="2023-06-01")


def summarize() -> None:
    """Gemini, streamed."""
    host = "https://generativelanguage.googleapis.com"
    url = f"{host}/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse&key={KEY}"
    text = "Summarize the weekend in one sentence."
    post(url, {"contents": [{"role": "user", "parts": [{"text": text}]}]}, "summarizer")


def write_postcard() -> None:
    """Mistral: refused once for the rate limit, then tried again."""
    url = "https://api.mistral.ai/v1/chat/completions"
    body = {
        "model": "mistral-large-2512",
        "messages": [{"role": "user", "content": "Write a postcard from Lisbon to Ada."}],
    }
    for attempt in range(2):
        try:
            post(
                url,
                body,
                "writer",
                authorization=f"Bearer {KEY}",
                x_stainless_retry_count=str(attempt),
            )
            return
        except urllib.error.HTTPError as error:
            error.read()
            time.sleep(0.2)


def rank_places() -> None:
    """Cohere rerank, and OpenAI embeddings."""
    places = ["Graca viewpoint", "Tile museum", "Sintra", "Belem tower"]
    body = {"model": "rerank-v3.5", "query": "quiet afternoon", "documents": places}
    post("https://api.cohere.com/v2/rerank", body, "researcher", authorization=f"Bearer {KEY}")
    body = {"model": "text-embedding-3-small", "input": places}
    url = "https://api.openai.com/v1/embeddings"
    post(url, body, "researcher", authorization=f"Bearer {KEY}")


def ask_a_retired_model() -> None:
    """OpenAI answers 404."""
    url = "https://api.openai.com/v1/chat/completions"
    body = {"model": "gpt-retired", "messages": [{"role": "user", "content": "Are you there?"}]}
    try:
        post(url, body, "planner", authorization=f"Bearer {KEY}")
    except urllib.error.HTTPError as error:
        error.read()


def main() -> None:
    """Make the calls, one after the other."""
    plan_with_tools()
    rank_places()
    write_itinerary("Two days in Lisbon, please.")
    write_itinerary("The same for next weekend, if you are not overloaded.")
    write_postcard()
    summarize()
    ask_a_retired_model()


if __name__ == "__main__":
    main()
