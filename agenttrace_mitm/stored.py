"""Messages and tool calls in the form in which they are stored, not yet cut down to a tier.

Comes in: what was understood, with its fingerprints.  Goes out: rows to be, their content
redacted.  Recording and reading stored bytes again share it, so that both make the same rows.
"""

from collections.abc import Sequence
from typing import Literal

from .model import (
    LlmCall,
    Placement,
    Record,
    Reply,
    StoredMessage,
    StoredPrompt,
    StoredToolCall,
    ToolCallPart,
    row_of,
)
from .privacy import Redactor
from .traces import MadeTool, Placed, plain_text
from .traces.prompts import Prompt
from .traces.scripts import calls_inside


def stored_message(
    placed: Placed,
    direction: Literal["in", "out"],
    position: int,
    choice: int = 0,
    *,
    redactor: Redactor,
    known: bool = False,
) -> StoredMessage:
    """*placed* as a row; without its content where the store has that already."""
    content = None if known else redactor.json(placed.content)
    text = plain_text(content) if content else None
    return row_of(
        StoredMessage,
        fingerprint=placed.fingerprint,
        known=known,
        position=position,
        direction=direction,
        choice=choice,
        role=placed.message.role,
        content=content,
        text=text,
        size=len(text) if text else 0,
    )


def stored_tool_calls(
    reply: Reply, made: Sequence[MadeTool], spans: Sequence[str]
) -> tuple[StoredToolCall, ...]:
    """The tool calls of *reply*; *made* and *spans* are empty outside of a conversation.

    Arguments are as they came: redacting them is left to the caller.
    """
    parts = [part for message in reply.messages for part in message.parts]
    return tuple(
        StoredToolCall(
            tool_call_id=part.id,
            position=position,
            name=part.name,
            arguments=part.arguments,
            server=part.server,
            typed=part.typed,
            item_id=part.item_id,
            fingerprint=made[position].fingerprint if made else "",
            prompts=made[position].prompts if made else (),
            span_id=spans[position] if spans else None,
            calls_inside=calls_inside(part.name, part.arguments) or None,
        )
        for position, part in enumerate(p for p in parts if isinstance(p, ToolCallPart))
    )


def stored_prompt(prompt: Prompt) -> StoredPrompt:
    """*prompt* as a row; redacting it is left to the caller."""
    return StoredPrompt(
        prompt_id=prompt.id,
        agent_id=prompt.agent_id,
        system_print=prompt.system_print,
        tools_print=prompt.tools_print,
        system=prompt.system or None,
        tools=list(prompt.tools) or None,
        system_chars=len(prompt.system),
        tools_chars=prompt.tools_chars,
        n_tools=len(prompt.tools),
    )


def without_secrets(record: Record, redactor: Redactor) -> Record:
    """*record* without secrets.  Messages were redacted when they were rendered."""
    call = record.call
    update: dict[str, object] = {}
    values = call.model_dump()
    clean = redactor.json(values)
    if clean != values:
        update["call"] = LlmCall(**clean)
    if record.tool_calls:
        update["tool_calls"] = tuple(
            tool_without_secrets(made, redactor) for made in record.tool_calls
        )
    if record.tool_results:
        update["tool_results"] = tuple(
            answer.model_copy(update={"result": redactor.json(answer.result)})
            for answer in record.tool_results
        )
    if record.prompt:
        update["prompt"] = StoredPrompt(**redactor.json(record.prompt.model_dump()))
    placed = record.placement.model_dump()
    clean = redactor.json(placed)  # ids of sessions and agents may be the client's words
    if clean != placed:
        update["placement"] = Placement(**clean)
    return record.model_copy(update=update) if update else record


def tool_without_secrets(made: StoredToolCall, redactor: Redactor) -> StoredToolCall:
    """*made* with its arguments redacted."""
    arguments = made.arguments
    return made.model_copy(
        update={
            "arguments": redactor.text(arguments) if arguments is not None else None,
            "calls_inside": redactor.json(made.calls_inside),
        }
    )
