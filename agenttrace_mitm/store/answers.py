"""One answer is counted once, however often it is read: fetched again, streamed again, downloaded.

Comes in: a call that read an answer.  Goes out: the same call, counted or not.  An answer is the
same only where everything says so: provider, response id, token counts, and a request that names
the answer (or what carries it) in its path.  Ids alone repeat between unrelated conversations.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from ..model import LlmCall
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


class Answer(NamedTuple):
    """An answer that a call has counted."""

    call_id: str
    path: str
    tokens_in: int | None
    tokens_out: int | None


class Answers:
    """Memory of answers that were counted, with the database behind it where there is one.

    Not thread-safe: it belongs to the thread that runs the pipeline.
    """

    def __init__(
        self, connection: sqlite3.Connection | Reading | None = None, remembered: int = 10_000
    ) -> None:
        self._db = connection
        self._remembered = remembered
        self._answers: OrderedDict[tuple[str, str], list[Answer]] = OrderedDict()

    def once(self, call: LlmCall, *, carried: bool = False) -> LlmCall:
        """*call*, without its counts where an earlier call has them.

        *carried* calls came inside another exchange (a line of a batch's output).  A retrieve
        that is the first to show what an answer took is where that is counted.
        """
        if not call.response_id or (call.tokens_in is None and call.tokens_out is None):
            return call
        reads = carried or (call.kind == "admin" and _names(call))
        if reads and (earlier := self._earlier(call, carried)):
            uncounted = dict.fromkeys((*_COUNTS, "billing"))
            return call.model_copy(update=uncounted | {"kind": "admin", "duplicate_of": earlier})
        self._remember(call)
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

    def _earlier(self, call: LlmCall, carried: bool) -> str | None:
        for answer in self._found(call):
            same = (answer.tokens_in, answer.tokens_out) == (call.tokens_in, call.tokens_out)
            from_here = not carried or _carrier(answer.path) == _carrier(call.path)
            if same and from_here and answer.call_id != call.id:
                return answer.call_id
        return None

    def _found(self, call: LlmCall) -> list[Answer]:
        remembered = self._answers.get((call.provider, call.response_id or ""), [])
        if remembered or self._db is None:
            return remembered
        rows = self._db.execute(
            """
            select id, path, tokens_in, tokens_out from llm_calls
            where response_id = :response_id and provider = :provider
                and duplicate_of is null and coalesce(tokens_in, tokens_out) is not null
            order by started_us
            """,
            {"response_id": call.response_id, "provider": call.provider},
        )
        return [Answer(*row) for row in rows]

    def _remember(self, call: LlmCall) -> None:
        key = call.provider, call.response_id or ""
        answer = Answer(call.id, call.path, call.tokens_in, call.tokens_out)
        others = [a for a in self._answers.pop(key, []) if a.call_id != call.id]
        self._answers[key] = [*others, answer]
        while len(self._answers) > self._remembered:
            self._answers.popitem(last=False)


def _names(call: LlmCall) -> bool:
    return call.response_id in call.path.partition("?")[0].split("/")


def _carrier(path: str) -> str:
    """A path without what only says how it was read."""
    return path.partition("?")[0].rstrip("/").removesuffix("/stream")
