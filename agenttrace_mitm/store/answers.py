"""One answer is counted once, however often it is read: fetched again, streamed again, downloaded.

Comes in: a call that read an answer.  Goes out: the same call, counted or not.  An answer is the
same only where everything says so: provider, response id, token counts, and a request that names
the answer in its path.  Ids alone repeat between unrelated conversations, and some servers give
all their answers one: a carried call is the same where its own id has the same name in it as well,
that of the line in its file.  So lines of one file are never the same.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from ..clock import name_in
from ..model import LlmCall
from .indexes import CARRIED, NAME_IN_ID
from .reading import Reading

_COUNTS = (
    "tokens_in",
    "tokens_out",
    "tokens_total",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "usage_detail",
)
# The plus keeps SQLite from the index by provider, which finds a thousand times as many.
_BY_RESPONSE = """
    select id, response_id, tokens_in, tokens_out from llm_calls
    where response_id = :key and +provider = :provider
        and duplicate_of is null and coalesce(tokens_in, tokens_out) is not null
    order by started_us
"""
_BY_LINE = f"""
    select id, response_id, tokens_in, tokens_out from llm_calls
    where {NAME_IN_ID} = :key and {CARRIED} and +provider = :provider and duplicate_of is null
    order by started_us
"""
# Of answers with the same id the last ones are remembered: some servers give all of them one.
_ALIKE = 20


class Answer(NamedTuple):
    """An answer that a call has counted."""

    call_id: str
    response_id: str | None
    tokens_in: int | None
    tokens_out: int | None


class _Key(NamedTuple):
    """By what an answer is known: its id, or which line of a file it is."""

    provider: str
    key: str
    is_line: bool


class Answers:
    """Memory of answers that were counted, with the database behind it where there is one.

    Not thread-safe: it belongs to the thread that runs the pipeline.
    """

    def __init__(
        self, connection: sqlite3.Connection | Reading | None = None, remembered: int = 10_000
    ) -> None:
        self._db = connection
        self._remembered = remembered
        self._answers: OrderedDict[_Key, list[Answer]] = OrderedDict()

    def once(self, call: LlmCall, *, carried: bool = False) -> LlmCall:
        """*call*, without its counts where an earlier call has them.

        *carried* calls came inside another exchange (a line of a batch's output), where failed
        ones have nothing to count and are calls once all the same.  A retrieve that is the first
        to show what an answer took is where that is counted.
        """
        keys = _keys(call, carried)
        if not keys:
            return call
        reads = carried or (call.kind == "admin" and _names(call))
        if reads and (earlier := self._earlier(call, keys[0])):
            uncounted = dict.fromkeys((*_COUNTS, "billing"))
            return call.model_copy(update=uncounted | {"kind": "admin", "duplicate_of": earlier})
        for key in keys:
            self._remember(call, key)
        if not reads or carried:
            return call
        return call.model_copy(update={"kind": "auxiliary", "billing": "metered"})

    def lose(self, call_ids: Collection[str]) -> None:
        """These calls are no more: what they counted is to be counted again."""
        for key, answers in list(self._answers.items()):
            if left := [answer for answer in answers if answer.call_id not in call_ids]:
                self._answers[key] = left
            else:
                del self._answers[key]

    def _earlier(self, call: LlmCall, key: _Key) -> str | None:
        said = _said(call)
        same = (answer for answer in self._found(key) if answer[1:] == said[1:])
        return next((answer.call_id for answer in same if answer.call_id != call.id), None)

    def _found(self, key: _Key) -> list[Answer]:
        remembered = self._answers.get(key, [])
        if remembered or self._db is None:
            return remembered
        sql = _BY_LINE if key.is_line else _BY_RESPONSE
        rows = self._db.execute(sql, {"key": key.key, "provider": key.provider})
        return [Answer(*row) for row in rows]

    def _remember(self, call: LlmCall, key: _Key) -> None:
        others = [a for a in self._answers.pop(key, []) if a.call_id != call.id]
        self._answers[key] = [*others[-_ALIKE:], _said(call)]
        while len(self._answers) > self._remembered:
            self._answers.popitem(last=False)


def _keys(call: LlmCall, carried: bool) -> list[_Key]:
    """By what the answer of *call* is known; the first is how to look for an earlier one."""
    line = [_Key(call.provider, name_in(call.id), is_line=True)] if carried else []
    counted = not (call.tokens_in is None and call.tokens_out is None)
    named = call.response_id if counted else None
    return [*line, _Key(call.provider, named, is_line=False)] if named else line


def _said(call: LlmCall) -> Answer:
    return Answer(call.id, call.response_id, call.tokens_in, call.tokens_out)


def _names(call: LlmCall) -> bool:
    return call.response_id in call.path.partition("?")[0].split("/")
