"""What the store holds already, asked once per call and answered from memory where it can be.

Placing a call asks two things: is this message's content stored, and which earlier call had a
prefix of these messages.  Both answers only ever save work: a forgotten answer means that content
is rendered, redacted and offered again, and the database ignores what it has.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec


class KnownContent:
    """Memory of stored messages and of request chains, with the database behind the chains.

    Implements `traces.Known`.  Not thread-safe: it belongs to the thread that places calls.
    """

    def __init__(self, connection: sqlite3.Connection, remembered: int = 50_000) -> None:
        self._db = connection
        self._remembered = remembered
        self._messages: OrderedDict[str, None] = OrderedDict()
        self._chains: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def has_message(self, fingerprint: str) -> bool:
        """True when this process has handed that message to the writer before."""
        if fingerprint in self._messages:
            self._messages.move_to_end(fingerprint)
            return True
        return False

    def continued(self, chains: Sequence[str]) -> tuple[str, int] | None:
        """The call with the longest request that is a prefix of *chains*: id, message count."""
        for chain in reversed(chains):
            if found := self._chains.get(chain):
                return found
        row = self._db.execute(
            """
            select id, n_messages from llm_calls
            where request_chain in (select value from json_each(:chains))
            order by n_messages desc, started_us desc limit 1
            """,
            {"chains": msgspec.json.encode(list(chains)).decode()},
        ).fetchone()
        return (row[0], row[1]) if row else None

    def remember(self, call_id: str, chain: str, count: int, messages: Iterable[str]) -> None:
        """Note what a call brings, once its record is on its way to the writer."""
        if chain:
            self._chains[chain] = (call_id, count)
            _trim(self._chains, self._remembered)
        for fingerprint in messages:
            self._messages[fingerprint] = None
        _trim(self._messages, self._remembered)

    def forget(self) -> None:
        """Trust nothing remembered: the database behind it was replaced."""
        self._messages.clear()
        self._chains.clear()


def _trim[V](table: OrderedDict[str, V], limit: int) -> None:
    while len(table) > limit:
        table.popitem(last=False)
