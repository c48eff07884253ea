"""What the store holds already, asked once per call and answered from memory where it can be.

Memory keeps the last calls; behind it stands the database, for what came before this process or
was forgotten.  A forgotten message only costs work: its content is offered again, and the database
ignores what it has.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from ..model import LlmCall, Record, StoredThread
from ..traces import MadeTool, Seen, style_of
from . import recalled
from .reading import Reading
from .talks import json_list, with_earlier

FEWEST_TOOLS = 1_000
CANDIDATES = 8
"""Calls that share a key, of which the latest are looked at."""

_IN = "in (select value from json_each(:values))"


RECALLED = 5_000
"""Calls that are read back at the start, 30 microseconds each: those of conversations that may
still be going on.  Older ones are looked up in the database."""

YOUNG_US = 23 * 3_600_000_000
LOOK_EVERY_US = 10 * 60_000_000
"""Retention removes calls of whole days, none younger than a day: older ones are not trusted."""


class KnownContent:
    """Memory of stored messages, calls and tool calls, with the database behind it.

    Implements `traces.Known`.  Not thread-safe: it belongs to the thread that places calls.
    """

    def __init__(
        self,
        connection: sqlite3.Connection | Reading,
        remembered: int = 50_000,
        candidates: int = CANDIDATES,
    ) -> None:
        self._candidates = candidates
        self._db = connection
        self._remembered = remembered
        self._messages: OrderedDict[str, None] = OrderedDict()
        self._prompts: set[str] = set()
        self._calls: OrderedDict[str, Seen] = OrderedDict()
        self._keys: OrderedDict[str, list[str]] = OrderedDict()
        self._tools: OrderedDict[str, list[MadeTool]] = OrderedDict()
        self._answered: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._after: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._aged_us = 0
        self._recall()

    def has_message(self, fingerprint: str) -> bool:
        """True when this process has handed that message, or prompt, to the writer before."""
        if fingerprint in self._prompts:
            return True
        if fingerprint in self._messages:
            self._messages.move_to_end(fingerprint)
            return True
        return False

    def call(self, call_id: str) -> Seen | None:
        """The call of this id."""
        found = self._calls.get(call_id)
        return found or next(iter(self._select("c.id = :key", key=call_id)), None)

    def with_chain(self, chains: Sequence[str]) -> Sequence[Seen]:
        """Calls whose whole request has one of *chains*; the longest where there are many."""
        near = self._remembered_by("chain", chains)
        near.sort(key=lambda seen: -seen.n_messages)
        return near or self._select(f"c.request_chain {_IN}", "c.n_messages desc", values=chains)

    def with_print(self, prints: Sequence[str]) -> Sequence[Seen]:
        """Calls whose turn or reply has one of *prints*."""
        near = self._remembered_by("print", prints)
        if near or not prints:
            return near
        return self._select(f"c.turn_print {_IN}", values=prints) or self._select(
            f"c.reply_print {_IN}", values=prints
        )

    def with_response(self, response_id: str) -> Sequence[Seen]:
        """Calls that were answered with *response_id*."""
        near = self._remembered_by("response", [response_id])
        return near or self._select("c.response_id = :key", key=response_id)

    def with_conversation(self, conversation: str, before_us: int) -> Seen | None:
        """The latest call of a *conversation* that began before *before_us*."""
        near = self._remembered_by("conversation", [conversation])
        found = near or self._select("c.conversation_id = :key", key=conversation)
        earlier = (seen for seen in found if seen.started_us < before_us)
        return max(earlier, key=lambda seen: seen.started_us, default=None)

    def with_tool(self, keys: Sequence[str]) -> Sequence[MadeTool]:
        """Tool calls with one of *keys* as id, item id or fingerprint, latest last."""
        near = self._tools if self._remembered else {}  # else those placed just now hide others
        found = [tool for key in keys for tool in near.get(key, ())]
        if not found:
            stored = recalled.tools(self._db, f"tool_call_id {_IN}", keys)
            either = f"item_id {_IN} or fingerprint {_IN}"
            found = stored or recalled.tools(self._db, either, keys)
        return sorted(found, key=lambda tool: (tool.started_us, tool.position))

    def with_prompt(self, fingerprint: str) -> Sequence[MadeTool]:
        """Tool calls of this process that have a text of this print among their arguments."""
        found = self._tools.get(f"prompt {fingerprint}", ())
        return sorted(found, key=lambda tool: (tool.started_us, tool.position))

    def answered_us(self, made: MadeTool) -> int | None:
        """When a result of *made* came; None while it is open."""
        key = made.call_id, made.position
        if key in self._answered or made.call_id in self._calls:
            return self._answered.get(key)
        row = self._db.execute(
            "select ended_us from tool_calls where call_id = ? and position = ?"
            " and answered_by_call_id is not null",
            key,
        ).fetchone()
        return row[0] if row else None

    def continuations(self, call_id: str) -> Mapping[str, int]:
        """Request chains of the calls that continue *call_id*; when the first of each began."""
        if call_id in self._calls:
            return self._after.get(call_id, {})
        return self._stored_after(call_id)

    def _stored_after(self, call_id: str) -> dict[str, int]:
        sql = (
            "select coalesce(request_chain, ''), min(started_us) from llm_calls"
            " where continues_call_id = ? group by 1"
        )
        return dict(self._db.execute(sql, (call_id,)).fetchall())

    def learn_again(self, call_ids: Iterable[str]) -> None:
        """Forget where these calls belonged: the database has other places for them now."""
        self.forget_prompts()
        parents, placed = set(), list(call_ids)
        began = set()
        for call_id in placed:
            before = self._calls.get(call_id)
            if after := next(iter(self._select("c.id = :key", key=call_id)), None):
                began.add(after.started_us)
                parents |= {seen.continues for seen in (before, after) if seen and seen.continues}
                if before:
                    self._calls[call_id] = after
        for parent in parents & self._calls.keys():
            self._after[parent] = self._stored_after(parent)
        self._learn_answers_again(placed, began)

    def _learn_answers_again(self, placed: Sequence[str], began: set[int]) -> None:
        """What the calls *placed*, which *began* then, answer now and do not answer any more."""
        earlier = msgspec.json.decode(with_earlier(self._db, json_list(placed)))
        makers = {made for (made, _), at_us in self._answered.items() if at_us in began}
        makers.update(earlier)
        for key in [key for key in self._answered if key[0] in makers]:
            del self._answered[key]
        found = self._db.execute(
            "select call_id, position, ended_us from tool_calls where answered_by_call_id is not"
            f" null and call_id {_IN}",
            {"values": json_list(sorted(makers))},
        ).fetchall()
        self._answered.update({(made, position): at_us for made, position, at_us in found})

    def remember(self, record: Record) -> None:
        """Note what a call brings, once its record is on its way to the writer."""
        for message in record.messages:
            self._messages[message.fingerprint] = None
        if record.prompt:
            self._prompts.add(record.prompt.prompt_id)
        _trim(self._messages, self._remembered)
        answers = (
            (answer.call_id, answer.position, answer.at_us) for answer in record.tool_results
        )
        self.learn(record.call, record.placement.thread, _made_by(record), answers)

    def learn(
        self,
        call: LlmCall,
        thread: StoredThread | None,
        made: tuple[MadeTool, ...],
        answers: Iterable[tuple[str, int, int]],
    ) -> None:
        """Note a placed call, its tool calls, and which it answers: call id, position, when."""
        for call_id, position, at_us in answers:
            key = call_id, position
            self._answered[key] = min(at_us, self._answered.get(key, at_us))
        _trim(self._answered, self._remembered)
        if call.kind == "llm":
            self._keep(_seen(call, thread, made))

    def forget(self) -> None:
        """Trust no remembered message: content has been let go."""
        self._messages.clear()
        self.forget_prompts()

    def let_go(self, now_us: int) -> None:
        """Retention has removed something: old calls are looked up in the database from now on."""
        self.forget()
        if now_us - self._aged_us > LOOK_EVERY_US:  # steps follow one another quickly
            self._aged_us = now_us
            old = now_us - YOUNG_US
            self._drop({id_ for id_, seen in self._calls.items() if seen.started_us < old})

    def lose(self, call_ids: Iterable[str]) -> None:
        """These calls are no more, nor is what hung on them; all others are in the database."""
        self.forget()
        gone = set(call_ids)
        began = {seen.started_us for id_ in gone if (seen := self._calls.get(id_))}
        for id_ in [id_ for id_, seen in self._calls.items() if seen.continues in gone]:
            self._calls[id_] = replace(self._calls[id_], continues="")
        self._drop(gone)
        self._learn_answers_again(list(gone), began)

    def _drop(self, call_ids: set[str]) -> None:
        for call_id in call_ids:
            self._calls.pop(call_id, None)
            self._after.pop(call_id, None)
        for answered in [one for one in self._answered if one[0] in call_ids]:
            del self._answered[answered]
        for key, tools in list(self._tools.items()):
            if left := [tool for tool in tools if tool.call_id not in call_ids]:
                self._tools[key] = left
            else:
                del self._tools[key]

    def forget_prompts(self) -> None:
        """Hand prompts to the writer again: some may be nobody's any more, and gone."""
        self._prompts.clear()

    def _keep(self, seen: Seen) -> None:
        again = seen.call_id in self._calls
        self._calls[seen.call_id] = seen
        _trim(self._calls, self._remembered // 2)
        if seen.continues:
            after = self._after.setdefault(seen.continues, {})
            first = after.get(seen.request_chain, seen.started_us)
            after[seen.request_chain] = min(first, seen.started_us)
            _trim(self._after, self._remembered // 2)
        if again:
            return
        for key in _keys_of(seen):
            calls = self._keys.setdefault(key, [])
            calls.append(seen.call_id)
            del calls[: -self._candidates]
        _trim(self._keys, 3 * self._remembered)
        self._keep_tools(seen.tools)

    def _keep_tools(self, tools: Iterable[MadeTool], *, for_prompts: bool = False) -> None:
        for tool in tools:
            # An older one must not hide, in memory, the latest in the database with its id.
            ids = set() if for_prompts else {tool.id, tool.item_id, tool.fingerprint} - {""}
            for key in ids | {f"prompt {print_}" for print_ in tool.prompts}:
                same = self._tools.setdefault(key, [])
                same.append(tool)
                del same[: -self._candidates]
        _trim(self._tools, 2 * max(self._remembered, FEWEST_TOOLS))

    def _remembered_by(self, kind: str, values: Sequence[str]) -> list[Seen]:
        ids = dict.fromkeys(
            id_ for value in values for id_ in self._keys.get(f"{kind} {value}", ())
        )
        return [self._calls[id_] for id_ in ids if id_ in self._calls]

    def _select(
        self, where: str, order: str = "c.started_us desc", **given: str | Sequence[str]
    ) -> list[Seen]:
        return recalled.calls(self._db, where, order, 2 * self._candidates, **given)

    def _recall(self) -> None:
        """Know what the process before this one knew: the last calls, and open tool calls."""
        latest = recalled.latest(self._db, min(self._remembered // 2, RECALLED))
        last = {one.seen.call_id: one for one in latest}
        open_ = recalled.waiting_for_results(self._db)
        self._keep_tools((tool for tool in open_ if tool.call_id not in last), for_prompts=True)
        for one in last.values():
            for tool, at_us in zip(one.seen.tools, one.answered_us, strict=True):
                if at_us is not None:
                    self._answered[tool.call_id, tool.position] = at_us
            self._keep(one.seen)
        _trim(self._answered, self._remembered)


def _keys_of(seen: Seen) -> list[str]:
    named = {
        "chain": [seen.request_chain],
        "print": [seen.turn_print, seen.reply_print],
        "response": [seen.response_id],
        "conversation": [seen.conversation],
    }
    return [f"{kind} {value}" for kind, values in named.items() for value in values if value]


def _seen(call: LlmCall, thread: StoredThread | None, tools: tuple[MadeTool, ...]) -> Seen:
    return Seen(
        call_id=call.id,
        n_messages=call.n_messages,
        request_chain=call.request_chain or "",
        turn_print=call.turn_print or "",
        reply_print=call.reply_print or "",
        response_id=call.response_id or "",
        provider=call.provider,
        style=style_of(call.dialect, call.model, call.streamed, call.user_agent),
        address=call.client_address or "",
        conversation=call.conversation_id or "",
        operation_id=call.operation_id or "",
        session_id=call.session_id or "",
        thread_id=call.thread_id or "",
        trace_id=call.trace_id or "",
        agent_id=call.agent_id or "",
        parent_span_id=(thread.parent_span_id if thread else None) or "",
        continues=call.continues_call_id or "",
        outcome=call.outcome,
        started_us=call.started_us,
        ended_us=call.ended_us or call.started_us,
        tools=tools,
    )


def _made_by(record: Record) -> tuple[MadeTool, ...]:
    call = record.call
    return tuple(
        MadeTool(
            call.id,
            made.position,
            made.tool_call_id,
            made.item_id,
            made.name,
            made.fingerprint,
            made.server,
            call.ended_us or call.started_us,
            made.prompts,
        )
        for made in record.tool_calls
    )


def _trim[K, V](table: OrderedDict[K, V], limit: int) -> None:
    while len(table) > limit:
        table.popitem(last=False)
