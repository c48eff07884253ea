"""Side calls of coding agents: titles, topics, probes, monitors, routing, warm-ups.

In the bill, but no turn of the story.  Headers tell them best; where there are none, or a base
URL that is not the provider's own made Claude Code leave them out, what the call says has to tell.
"""

from collections.abc import Iterable
from itertools import takewhile
from typing import Literal, NamedTuple

from ..model import Ask, Headers, Message, TextPart
from .headers import codex_turn


class Aside(NamedTuple):
    """How a side call begins: what says so, in the system prompt or in the last user message."""

    says: Literal["system", "user"]
    begins: str
    source: str


_BASH_PREFIX = "Your task is to process Bash commands that an AI coding agent wants to run."
_SUMMARY = "Summarize the user's primary intent or goal in this conversation in ONE sentence"
_CODEX_TITLE = (
    "You are a helpful assistant. You will be presented with a user prompt, and your job is to "
    "provide a short title for a task that will be created from that prompt."
)
_TITLES = (
    "You are a helpful AI assistant that generates concise, descriptive titles for conversations."
    " You will be given"
)
_SESSION_TITLE = (
    "Generate a concise, sentence-case title (3-7 words) that captures the main topic or goal of"
    " this coding session."
)
_ROUTING = (
    "You are a specialized Task Routing AI. Your sole function is to analyze the user's request and"
)

# None of these offers tools.  The beginnings are long enough that nobody asks so by chance.
ASIDES = (
    Aside("system", "You are a title generator. You output ONLY a", "OpenCode, title.txt"),
    Aside("system", "Analyze if this message indicates a new conversation topic.", "Claude Code"),
    Aside("system", "Summarize this coding conversation in under 50 characters.", "Claude Code"),
    Aside("system", _SESSION_TITLE, "Claude Code"),
    Aside("system", "Extract any file paths that this command reads or modifies.", "Claude Code"),
    Aside("system", _BASH_PREFIX, "Claude Code"),
    Aside("user", "<policy_spec>\n# Claude Code", "Claude Code"),
    Aside("system", "You are a security monitor for autonomous AI coding agents.", "Claude Code"),
    Aside("system", "You are judging one planned coding-agent action.", "Codex, guardian"),
    Aside("user", _CODEX_TITLE, "Codex app"),
    Aside("system", _ROUTING, "Gemini CLI, classifierStrategy.ts"),
    Aside(
        "system",
        "You are a sophisticated AI diagnostic agent specializing in identifying when a"
        " conversational AI is stuck",
        "Gemini CLI, loopDetectionService.ts",
    ),
    Aside(
        "system",
        "You are an expert code-editing assistant specializing in debugging and correcting failed"
        " search-and-replace",
        "Gemini CLI, llm-edit-fixer.ts",
    ),
    Aside(
        "user",
        "Analyze *only* the content and structure of your immediately preceding response",
        "Gemini CLI, nextSpeakerChecker.ts",
    ),
    Aside("user", _SUMMARY, "Gemini CLI, sessionSummaryService.ts"),
    Aside("system", _TITLES, "docker/cagent, recorded"),
)
_SYSTEM, _USER = (
    tuple(aside.begins for aside in ASIDES if aside.says == says) for says in ("system", "user")
)

_LONGEST = 512
"""Characters of a text that are looked at; more than any beginning has."""

# Claude Code guesses what comes next in a fork of the conversation, its tools with it.
_SUGGESTION = ("[SUGGESTION MODE: Suggest what the user might naturally type next",)


def is_side_call(headers: Headers, ask: Ask) -> bool:
    """True when an agent's marks say that a call is none of its conversation's turns."""
    marked = any(_marks(name, value) for name, value in headers.items())
    # Over a WebSocket, Codex warms a conversation up without having anything generated.
    warms_up = ask.params.get("generate") is False
    says_so = _is_quota_probe(ask) or _begins_so(ask) or _is_title(headers, ask)
    return marked or warms_up or says_so


def _marks(name: str, value: str) -> bool:
    match name:
        case "x-claude-code-request-class":
            return value == "auxiliary"
        case "x-claude-code-auxiliary-type":
            return True
        case "anthropic-beta":
            return "claude-code-side-query" in value
        case "x-codex-turn-metadata":
            return codex_turn(value).get("request_kind") == "prewarm"
        case _:
            return False


def _is_quota_probe(ask: Ask) -> bool:
    """Claude Code asks for one token of answer to "quota" to see the rate-limit headers."""
    return (
        ask.params.get("max_tokens") == 1
        and len(ask.messages) == 1
        and ask.messages[0].parts == (TextPart("quota"),)
    )


def _begins_so(ask: Ask) -> bool:
    """True for what begins as side calls do; what is quoted further on is a prompt's own."""
    asked = [message for message in ask.messages[-1:] if message.role == "user"]
    if _begin(asked, _SUGGESTION):
        return True
    if ask.tool_names:
        return False
    told = takewhile(lambda message: message.role == "system", ask.messages)
    return _begin(told, _SYSTEM) or _begin(asked, _USER)


def _begin(messages: Iterable[Message], beginnings: tuple[str, ...]) -> bool:
    return any(
        isinstance(part, TextPart) and part.text[:_LONGEST].lstrip().startswith(beginnings)
        for message in messages
        for part in message.parts
    )


def _is_title(headers: Headers, ask: Ask) -> bool:
    """Claude Code has a title made as JSON, without tools; its turns and sub-agents have tools."""
    is_claude_code = any(name == "x-claude-code-session-id" for name, _ in headers.items())
    return (
        is_claude_code and not ask.tool_names and ask.params.get("response_format") == "json_schema"
    )
