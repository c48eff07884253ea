"""A recorded request as a command to repeat it, with a variable where the key was."""

import re
import shlex

from agenttrace_mitm.model import LlmCall

from .one import Wire

INLINE_CHARS = 8_000
KEYS = {
    "anthropic": ("x-api-key: ", "ANTHROPIC_API_KEY"),
    "google": ("x-goog-api-key: ", "GEMINI_API_KEY"),
    "azure": ("api-key: ", "AZURE_OPENAI_API_KEY"),
}
"""Header and environment variable by provider; others take `Authorization: Bearer`."""
REPEATED = ("content-type", "accept", "x-stainless-helper")
REPEATED_BEGINNINGS = ("openai-", "anthropic-")
_SECRET = re.compile(r"REDACTED|.*\[redacted:\w+\].*")
"""What stands in an address where a secret was."""


def curl(call: LlmCall, wire: Wire) -> str:
    """The command; a long body is read from a file that the page offers."""
    # -g: braces and brackets of an address are its own, not curl's for several.
    lines = [f"curl -g -X {shlex.quote(call.method)} {shlex.quote(address(call))}"]
    lines += [f"-H {shlex.quote(f'{name}: {said}')}" for name, said in repeated(wire)]
    # Double quotes: the shell puts the key in.
    head, variable = key_of(call.provider)
    lines.append(f'-H "{head}${variable}"')
    if wire.request and not wire.request_cut and len(wire.request) <= INLINE_CHARS:
        lines.append(f"--data-raw {shlex.quote(wire.request)}")
    elif wire.request is not None:
        lines.append("--data-binary @request.json")
    return " \\\n  ".join(lines)


def address(call: LlmCall) -> str:
    """Where a request is sent again, without what was redacted: the key goes by header."""
    path, _, query = call.path.partition("?")
    kept = [one for one in query.split("&") if not _SECRET.fullmatch(one.partition("=")[2])]
    return f"https://{call.host}{path}" + (f"?{said}" if (said := "&".join(kept)) else "")


def repeated(wire: Wire) -> list[tuple[str, str]]:
    """The headers that a request is sent again with, each once."""
    given = dict(wire.request_headers)
    return [
        (name, said)
        for name, said in given.items()
        if name.lower() in REPEATED or name.lower().startswith(REPEATED_BEGINNINGS)
    ]


def key_of(provider: str) -> tuple[str, str]:
    """How a header with the key begins, and the environment variable that holds one."""
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in provider).upper()
    return KEYS.get(provider, ("authorization: Bearer ", f"{name}_API_KEY"))
