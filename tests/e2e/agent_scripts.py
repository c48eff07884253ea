"""What three providers answer a coding agent: first a command to run, then that it is done.

Each script takes a request body and gives an answer's body, a stream where the agent streams.
Side calls (titles, probes, routing) get an answer that lets the agent go on.
"""

import json
import zlib
from typing import Any

COMMAND = "echo made-by-the-agent > made.txt"
COMMAND_AS_PROGRAM = 'print("made-by-the-agent", file=open("made.txt", "w"))'
DONE = "The file is there now."
TITLE = '{"title": "Make a file"}'
MONITOR = "You are a security monitor for autonomous AI coding agents."
ALLOWED = "<block>no"
USED_IN, USED_OUT, CACHED = 1200, 34, 800

type Call = tuple[str, str, dict[str, Any]]
"""A tool's name, the id of the call (where the wire has one), its arguments."""


def _events(*events: dict[str, Any], named: bool = True) -> bytes:
    return b"".join(
        (f"event: {event['type']}\n".encode() if named else b"")
        + f"data: {json.dumps(event)}\n\n".encode()
        for event in events
    )


def anthropic(body: dict[str, Any]) -> bytes:
    """A messages stream, or the whole message where none was asked for."""
    has_tools = any(tool.get("name") == "Bash" for tool in body.get("tools", ()))
    is_done = "tool_result" in json.dumps(body["messages"][-2:])
    if has_tools and not is_done:
        call = {"command": COMMAND, "description": "Make the file"}
        return anthropic_answer(body, ("Bash", "toolu_1", call))
    return anthropic_answer(body, DONE) if has_tools else anthropic_aside(body)


def anthropic_aside(body: dict[str, Any]) -> bytes:
    """What side calls of Claude Code get: the monitor's consent, a title where one is asked for."""
    watches = MONITOR in json.dumps(body.get("system", ""))
    return anthropic_answer(body, ALLOWED if watches else TITLE)


def anthropic_hello(body: dict[str, Any]) -> bytes:
    """Words and no tool calls; a title where one is asked for."""
    return anthropic_answer(body, DONE if body.get("tools") else TITLE)


def anthropic_answer(body: dict[str, Any], says: str | Call) -> bytes:
    """An answer that says a text, or calls a tool."""
    if isinstance(says, str):
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": says}
        reason = "end_turn"
    else:
        name, id_, arguments = says
        block = {"type": "tool_use", "id": id_, "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        reason = "tool_use"
    used = {"input_tokens": USED_IN - CACHED, "cache_read_input_tokens": CACHED}
    message = {
        "id": f"msg_{len(body['messages'])}_{zlib.crc32(json.dumps(body).encode())}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**used, "output_tokens": 1},
    }
    if not body.get("stream"):
        text = {"type": "text", "text": delta.get("text", "")}
        usage = {**used, "output_tokens": USED_OUT}
        return json.dumps(
            message | {"content": [text], "stop_reason": "end_turn", "usage": usage}
        ).encode()
    ended = {"stop_reason": reason, "stop_sequence": None}
    return _events(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": USED_OUT}},
        {"type": "message_stop"},
    )


def openai(body: dict[str, Any]) -> bytes:
    """A Responses stream: a call of whichever tool runs commands, or a message."""
    is_done = any(str(item.get("type")).endswith("_call_output") for item in body["input"])
    tools = {tool.get("name"): tool for tool in body.get("tools", ())}
    return openai_answer(body, DONE if is_done else _command(tools))


def openai_answer(body: dict[str, Any], says: str | dict[str, Any]) -> bytes:
    """A stream that says a text, or brings an item such as a tool call."""
    item = (
        says
        if isinstance(says, dict)
        else {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": says, "annotations": []}],
        }
    )
    identity = f"resp_{zlib.crc32(json.dumps(body['input']).encode())}"
    usage = {
        "input_tokens": USED_IN,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": USED_OUT,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": USED_IN + USED_OUT,
    }
    shared = {"id": identity, "object": "response", "model": body["model"], "created_at": 1}
    begun = shared | {"status": "in_progress", "output": [], "usage": None}
    done = shared | {"status": "completed", "output": [item], "usage": usage}
    return _events(
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {
            "type": "response.output_item.added",
            "sequence_number": 1,
            "output_index": 0,
            "item": item,
        },
        {
            "type": "response.output_item.done",
            "sequence_number": 2,
            "output_index": 0,
            "item": item,
        },
        {"type": "response.completed", "sequence_number": 3, "response": done},
    )


def _command(tools: dict[str, Any]) -> dict[str, Any]:
    call = {"id": "item_1", "call_id": "call_1", "status": "completed"}
    if "exec_command" in tools:
        arguments: dict[str, Any] = {"cmd": COMMAND}
        name = "exec_command"
    elif "shell_command" in tools:
        arguments, name = {"command": COMMAND}, "shell_command"
    elif "shell" in tools:
        arguments, name = {"command": ["bash", "-lc", COMMAND]}, "shell"
    else:  # a script that calls tools
        source = f"await tools.exec_command({json.dumps({'cmd': COMMAND})});"
        return call | {"type": "custom_tool_call", "name": "exec", "input": source}
    return call | {"type": "function_call", "name": name, "arguments": json.dumps(arguments)}


def google(body: dict[str, Any]) -> bytes:
    """A generateContent stream, which is what Gemini CLI asks for; whole for its side calls."""
    declared = [f for tool in body.get("tools", ()) for f in tool.get("functionDeclarations", ())]
    runs = any(function["name"] == "run_shell_command" for function in declared)
    is_done = "functionResponse" in json.dumps(body["contents"][-1])
    if runs and not is_done:
        return google_answer(body, ("run_shell_command", "", {"command": COMMAND}))
    return google_answer(body, DONE)


def google_answer(body: dict[str, Any], says: str | Call) -> bytes:
    """An answer that says a text, or calls a tool."""
    part: dict[str, Any] = {"text": says}
    if not isinstance(says, str):
        name, _, arguments = says
        part = {"functionCall": {"name": name, "args": arguments}}
    answer = {
        "candidates": [
            {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {
            "promptTokenCount": USED_IN,
            "cachedContentTokenCount": CACHED,
            "candidatesTokenCount": USED_OUT,
            "totalTokenCount": USED_IN + USED_OUT,
        },
        "modelVersion": "gemini-2.5-pro",
        "responseId": f"r{len(body['contents'])}",
    }
    return json.dumps(answer).encode()
