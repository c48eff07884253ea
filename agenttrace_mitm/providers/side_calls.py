"""Side calls of coding agents: titles, probes, monitors, warm-ups.

In the bill, but no turn of the story.  Headers tell them best; where a base URL is not the
provider's own, Claude Code leaves most of those out, and what the call says has to tell.
"""

from ..model import Ask, Headers, TextPart
from .headers import codex_turn


def is_side_call(headers: Headers, ask: Ask) -> bool:
    """True when an agent's marks say that a call is none of its conversation's turns."""
    marked = any(_marks(name, value) for name, value in headers.items())
    # Over a WebSocket, Codex warms a conversation up without having anything generated.
    warms_up = ask.params.get("generate") is False
    says_so = _is_quota_probe(ask) or _is_security_monitor(ask) or _is_title(headers, ask)
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


_MONITOR = "You are a security monitor for autonomous AI coding agents."


def _is_security_monitor(ask: Ask) -> bool:
    """Claude Code has a model judge each step in its automatic mode; that call offers no tools."""
    return not ask.tool_names and any(
        isinstance(part, TextPart) and part.text.startswith(_MONITOR)
        for message in ask.messages[:1]
        if message.role == "system"
        for part in message.parts
    )


def _is_title(headers: Headers, ask: Ask) -> bool:
    """Claude Code has a title made as JSON, without tools; its turns and sub-agents have tools."""
    is_claude_code = any(name == "x-claude-code-session-id" for name, _ in headers.items())
    return (
        is_claude_code and not ask.tool_names and ask.params.get("response_format") == "json_schema"
    )
