"""A program as users write them: calls a provider with its official SDK and prints what it got.

    python sdk_calls.py PROVIDER plain|streamed

Knows nothing of AgentTrace.  Prints JSON: model, tokens, finish reason, text and tool calls as the
SDK's objects say them, and the SHA-256 of the bytes that the SDK's HTTP client received.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

KEY = "sk-e2e-0123456789abcdefghijklmnop"
QUESTION = "What is the weather in Lisbon?"

received = hashlib.sha256()


def watch(module: Any) -> None:
    """Hash the body bytes that clients of *module* (httpx, httpx2) receive, still encoded."""
    plain = module.Response.iter_raw

    def iter_raw(self: Any, chunk_size: int | None = None) -> Iterator[bytes]:
        for chunk in plain(self, chunk_size):
            received.update(chunk)
            yield chunk

    module.Response.iter_raw = iter_raw


def _said(
    model: str, read: int, written: int, finish: str, text: str, tools: list[tuple[str, Any]]
) -> dict[str, Any]:
    calls = [{"name": name, "arguments": arguments} for name, arguments in tools]
    return {
        "model": model,
        "tokens_in": read,
        "tokens_out": written,
        "finish": finish,
        "text": text,
        "tool_calls": calls,
    }


def openai_chat(streamed: bool) -> dict[str, Any]:
    """Chat completions."""
    from openai import OpenAI

    client = OpenAI(api_key=KEY, max_retries=0)
    messages: Any = [{"role": "user", "content": QUESTION}]
    if streamed:
        with client.chat.completions.stream(
            model="gpt-5.5", messages=messages, stream_options={"include_usage": True}
        ) as stream:
            done: Any = stream.get_final_completion()
    else:
        done = client.chat.completions.create(model="gpt-5.5", messages=messages)
    choice, usage = done.choices[0], done.usage
    tools = [
        (call.function.name, json.loads(call.function.arguments))
        for call in choice.message.tool_calls or []
    ]
    text = choice.message.content or ""
    counts = usage.prompt_tokens, usage.completion_tokens
    return _said(done.model, *counts, choice.finish_reason, text, tools)


def openai_responses(streamed: bool) -> dict[str, Any]:
    """The Responses API."""
    from openai import OpenAI

    client = OpenAI(api_key=KEY, max_retries=0)
    if streamed:
        with client.responses.stream(model="gpt-5.5", input=QUESTION) as stream:
            done: Any = stream.get_final_response()
    else:
        done = client.responses.create(model="gpt-5.5", input=QUESTION)
    tools = [(i.name, json.loads(i.arguments)) for i in done.output if i.type == "function_call"]
    usage = done.usage
    counts = usage.input_tokens, usage.output_tokens
    return _said(done.model, *counts, done.status, done.output_text, tools)


def anthropic(streamed: bool) -> dict[str, Any]:
    """Messages."""
    from anthropic import Anthropic

    client = Anthropic(api_key=KEY, max_retries=0)
    asked: Any = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    if streamed:
        with client.messages.stream(**asked) as stream:
            done: Any = stream.get_final_message()
    else:
        done = client.messages.create(**asked)
    text = "".join(block.text for block in done.content if block.type == "text")
    tools = [(block.name, block.input) for block in done.content if block.type == "tool_use"]
    usage = done.usage
    read = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    return _said(done.model, read, usage.output_tokens, done.stop_reason, text, tools)


def google(streamed: bool) -> dict[str, Any]:
    """Gemini."""
    from google import genai

    client = genai.Client(api_key=KEY)
    asked: Any = {"model": "gemini-3.8-flash", "contents": QUESTION}
    chunks = (
        list(client.models.generate_content_stream(**asked))
        if streamed
        else [client.models.generate_content(**asked)]
    )
    parts: list[Any] = [part for c in chunks for part in c.candidates[0].content.parts or []]
    text = "".join(part.text for part in parts if part.text)
    tools = [(p.function_call.name, p.function_call.args) for p in parts if p.function_call]
    last: Any = chunks[-1]
    usage = last.usage_metadata
    written = usage.candidates_token_count + (usage.thoughts_token_count or 0)
    finish = last.candidates[0].finish_reason.value
    return _said(last.model_version, usage.prompt_token_count, written, finish, text, tools)


def mistral(streamed: bool) -> dict[str, Any]:
    """Mistral chat."""
    from mistralai.client import Mistral

    # The only one that reads no variable for it.
    client = Mistral(api_key=KEY, server_url=os.environ.get("MISTRAL_BASE_URL"))
    asked: Any = {
        "model": "mistral-large-2512",
        "messages": [{"role": "user", "content": QUESTION}],
    }
    if not streamed:
        done: Any = client.chat.complete(**asked)
        message = done.choices[0].message
        text, calls = message.content, message.tool_calls or []
    else:
        text, calls = "", []
        for event in client.chat.stream(**asked):
            done = event.data
            delta = done.choices[0].delta
            text += delta.content or ""
            calls += delta.tool_calls or []
    tools = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
    usage = done.usage
    counts = usage.prompt_tokens, usage.completion_tokens
    return _said(done.model, *counts, done.choices[0].finish_reason, text or "", tools)


def cohere(streamed: bool) -> dict[str, Any]:
    """Cohere v2 chat.  Its replies do not name the model."""
    from cohere import ClientV2

    client = ClientV2(api_key=KEY)
    asked: Any = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": QUESTION}]}
    if not streamed:
        done: Any = client.chat(**asked)
        text = "".join(item.text for item in done.message.content or [])
        calls = done.message.tool_calls or []
        tools = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        finish, usage = done.finish_reason, done.usage
    else:
        text, name, arguments = "", "", ""
        for event in client.chat_stream(**asked):
            match event.type:
                case "content-delta":
                    text += event.delta.message.content.text
                case "tool-call-start":
                    name = event.delta.message.tool_calls.function.name
                case "tool-call-delta":
                    arguments += event.delta.message.tool_calls.function.arguments
                case "message-end":
                    finish, usage = event.delta.finish_reason, event.delta.usage
        tools = [(name, json.loads(arguments))] if name else []
    counts = int(usage.tokens.input_tokens), int(usage.tokens.output_tokens)
    return _said("", *counts, finish, text, tools)


CALLS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "anthropic": anthropic,
    "google": google,
    "mistral": mistral,
    "cohere": cohere,
}


def main() -> None:
    """Make the call that the command line names."""
    import httpx
    import httpx2

    watch(httpx)
    watch(httpx2)
    said = CALLS[sys.argv[1]](sys.argv[2] == "streamed")
    print(json.dumps(said | {"sha256": received.hexdigest()}))


if __name__ == "__main__":
    main()
