"""What an agent is told before anything is said: its system prompt and its set of tools.

Comes in: a placed request and the tools that it offers.  Goes out: a `Prompt` with keyed prints,
the parts that change by themselves set aside; the same prompt of the same agent has the same id.
Programs resend both with every call, so the last ones are recognised by comparing, not by
hashing anew.
"""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from ..model import Json, JsonObject
from .content import plain_text
from .fingerprints import VOLATILE_KEYS, Fingerprinter, Placed
from .volatile import lasting, lasting_json

SYSTEMS_REMEMBERED = 256
TOOL_SETS_REMEMBERED = 32
ALIKE = 2
"""Tool sets with the same names that are remembered side by side."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Prompt(msgspec.Struct, frozen=True):
    """A system prompt and a tool set of one agent."""

    id: str
    agent_id: str
    system_print: str
    tools_print: str
    system: str
    tools: tuple[Json, ...]
    tools_chars: int


class _Tools(msgspec.Struct, frozen=True):
    offered: Json
    print: str
    tools: tuple[Json, ...]
    chars: int


_NO_TOOLS = _Tools(None, "", (), 0)


class Prompts:
    """Recognises the prompts of requests."""

    def __init__(self, prints: Fingerprinter) -> None:
        self._prints = prints
        self._systems: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()
        self._tools: OrderedDict[tuple[str, ...], list[_Tools]] = OrderedDict()

    def of(
        self, agent_id: str, asked: Sequence[Placed], tools: Json, names: tuple[str, ...]
    ) -> Prompt | None:
        """The prompt of a request; None where it has neither a system prompt nor tools.

        *names* are those of the *tools*, in order.
        """
        system, system_print = self._system(asked)
        offered = self._offered(tools, names) if tools else _NO_TOOLS
        if not system_print and not offered.print:
            return None
        return Prompt(
            prompt_id(self._prints, agent_id, system_print, offered.print),
            agent_id,
            system_print,
            offered.print,
            system,
            offered.tools,
            offered.chars,
        )

    def _system(self, asked: Sequence[Placed]) -> tuple[str, str]:
        first = []
        for placed in asked:
            if placed.message.role != "system":
                break
            first.append(placed)
        if not first:
            return "", ""
        key = tuple(placed.fingerprint for placed in first)
        known = self._systems.get(key)
        if known is None:
            told = (plain_text(placed.content) for placed in first)
            text = lasting("\n\n".join(filter(None, told)))
            known = text, self._prints.of("system prompt", text) if text else ""
            _keep(self._systems, key, known, SYSTEMS_REMEMBERED)
        return known

    def _offered(self, tools: Json, names: tuple[str, ...]) -> _Tools:
        alike = self._tools.get(names, [])
        for one in alike:
            if one.offered == tools:
                return one
        offered = self._read(tools)
        _keep(self._tools, names, [offered, *alike][:ALIKE], TOOL_SETS_REMEMBERED)
        return offered

    def _read(self, tools: Json) -> _Tools:
        """Which tools there are: their order says nothing, nor what changes by itself."""
        all_ = tools if isinstance(tools, list) else [tools]
        kept = {_encode(one): one for tool in all_ for one in [lasting_json(tool, VOLATILE_KEYS)]}
        lines = sorted(kept, key=lambda line: (_name(kept[line]), line))
        chars = sum(map(len, lines))
        print_ = self._prints.of("tool set", *(line.decode() for line in lines))
        return _Tools(tools, print_, tuple(kept[line] for line in lines), chars)


def prompt_id(prints: Fingerprinter, agent_id: str, system_print: str, tools_print: str) -> str:
    """The id of an agent's prompt, from the prints of its two parts."""
    return prints.id("prompt version", agent_id, system_print, tools_print)[:16]


def _name(tool: Json) -> str:
    fields: JsonObject = tool if isinstance(tool, dict) else {}
    inner = fields.get("function") or fields.get("toolSpec") or fields
    return str(inner.get("name") or "") if isinstance(inner, dict) else ""


def _keep[K, V](table: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > limit:
        table.popitem(last=False)
