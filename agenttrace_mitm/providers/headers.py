"""Response and request headers that providers give a meaning: ids, rate limits, sessions."""

import re
from datetime import datetime

from ..model import Headers, Json, Links
from ..wire.jsonio import NotJson, decode, object_of, text_of

_PROVIDER_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "mistral-correlation-id",
    "x-debug-trace-id",
    "x-amzn-requestid",
    "apim-request-id",
)


def request_ids(request: Headers, response: Headers) -> tuple[str, str]:
    """The id that the provider gave the request, and the one that the client gave it."""
    told = (response.get(name) for name in _PROVIDER_REQUEST_IDS)
    return next(filter(None, told), ""), request.get("x-client-request-id")


_NAMED = re.compile(
    r"(?:anthropic-|x-)ratelimit-(?P<field>limit|remaining|reset)-(?P<meter>[\w-]+)"
    r"|(?:anthropic-|x-)ratelimit-(?P<meter2>[\w-]+?)-(?P<field2>limit|remaining|reset)"
)
_UNIFIED = re.compile(
    r"anthropic-ratelimit-unified-(?:(?P<window>[\w-]+)-)?(?P<field>utilization|reset|status)"
)
_CODEX = re.compile(
    r"x-codex-(?P<window>primary|secondary)-"
    r"(?P<field>used-percent|window-minutes|reset-at|reset-after-seconds)"
)
_METERS = {"req-minute": "requests", "tokens-minute": "tokens"}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


def rate_limits(headers: Headers) -> dict[str, Json] | None:
    """What the response says about limits, as numbers; None when it says nothing.

    `{"requests": {"limit": 500, "remaining": 499, "reset_s": 0.12}, "unified": {"5h": {...}},
    "retry_after_s": 2.0}`; a reset that names a moment is `reset_at`, in epoch seconds.
    """
    found: dict[str, Json] = {}
    for name, value in headers.items():
        if "ratelimit" in name:
            _add_limit(found, name, value)
        elif name.startswith("x-codex-"):
            _add_codex(found, name, value)
        elif name == "retry-after":
            _put(found, "retry_after_s", _number(value))
        elif name == "retry-after-ms":
            milliseconds = _number(value)
            _put(found, "retry_after_s", milliseconds and milliseconds / 1000)
        elif name.startswith("x-trial-endpoint-call-"):
            meter = found.setdefault("trial_calls", {})
            _put(meter, name.removeprefix("x-trial-endpoint-call-"), _number(value))
    return found or None


def _add_limit(found: dict[str, Json], name: str, value: str) -> None:
    if name.startswith("anthropic-ratelimit-unified-"):
        unified = found.setdefault("unified", {})
        if match := _UNIFIED.fullmatch(name):
            name = (match["window"] or "").replace("-", "_")
            window = unified.setdefault(name, {}) if name else unified
            _put_field(window, match["field"], value)
        else:
            unified[name.removeprefix("anthropic-ratelimit-unified-").replace("-", "_")] = value
    elif name == "x-ratelimit-tokens-query-cost":
        _put(found, "query_cost_tokens", _number(value))
    elif match := _NAMED.fullmatch(name):
        meter = match["meter"] or match["meter2"]
        meter = _METERS.get(meter, meter).replace("-", "_")
        _put_field(found.setdefault(meter, {}), match["field"] or match["field2"], value)


def _add_codex(found: dict[str, Json], name: str, value: str) -> None:
    if match := _CODEX.fullmatch(name):
        window = found.setdefault("codex", {}).setdefault(match["window"], {})
        _put(window, match["field"].replace("-", "_"), _number(value))


def _put_field(meter: dict[str, Json], field: str, value: str) -> None:
    if field == "reset":
        _put_reset(meter, value)
    else:
        number = _number(value)
        _put(meter, field, value if number is None else number)


def _put_reset(meter: dict[str, Json], value: str) -> None:
    number = _number(value)
    if number is not None:
        # Small numbers are seconds to wait, large ones a moment.
        _put(meter, "reset_at" if number > 1e9 else "reset_s", number)
        return
    duration = _DURATION.fullmatch(value.strip())
    if duration and any(duration.groups()):
        d, h, m, s, ms = (float(group or 0) for group in duration.groups())
        meter["reset_s"] = round(d * 86400 + h * 3600 + m * 60 + s + ms / 1000, 6)
        return
    try:
        meter["reset_at"] = datetime.fromisoformat(value.strip()).timestamp()
    except ValueError:
        meter["reset"] = value


def _put(meter: dict[str, Json], field: str, value: Json) -> None:
    if value is not None:
        meter[field] = value


def _number(value: str) -> int | float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    if not abs(number) < 1e15:
        return None
    return int(number) if number.is_integer() else number


# In the order of trust: what one client made for this purpose, then what many send.
_SESSION = (
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-opencode-session",
    "x-session-id",
    "x-session-affinity",
)
_LINKING = frozenset(
    {
        *_SESSION,
        "x-claude-code-agent-id",
        "x-claude-code-parent-agent-id",
        "x-claude-code-prompt-id",
        "thread-id",
        "conversation_id",
        "x-codex-parent-thread-id",
        "x-codex-turn-metadata",
        "x-parent-session-id",
    }
)


def links_of(headers: Headers, links: Links) -> Links:
    """*links* from the body, completed by what the headers say; headers of agents win."""
    found = {name: value for name, value in reversed(headers.items()) if name in _LINKING}
    if not found:
        return links
    turn = codex_turn(found.get("x-codex-turn-metadata", ""))
    session = next((found[name] for name in _SESSION if found.get(name)), "")
    session = session or text_of(turn.get("session_id"))
    thread = found.get("thread-id") or text_of(turn.get("thread_id"))
    agent = found.get("x-claude-code-agent-id", "")
    parent = found.get("x-claude-code-parent-agent-id", "")
    if not agent and found.get("x-codex-parent-thread-id"):
        agent, parent = thread, found["x-codex-parent-thread-id"]
    if not agent and found.get("x-parent-session-id"):
        # OpenCode opens a session for each sub-agent: the work belongs to the parent's.
        agent, session = session, found["x-parent-session-id"]
    return Links(
        links.previous_response_id,
        links.conversation_id or found.get("conversation_id", "") or thread,
        session or links.session_id,
        agent or links.agent_id,
        parent or links.parent_agent_id,
        links.end_user,
        links.prompt_id or found.get("x-claude-code-prompt-id", ""),
    )


def codex_turn(text: str) -> dict[str, Json]:
    """Codex's account of the turn, an object in a header."""
    if not text:
        return {}
    try:
        return object_of(decode(text.encode("utf-8", "replace")))
    except NotJson:
        return {}
