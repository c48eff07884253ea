"""The way of an exchange into a database in memory, as the recorder takes it."""

import sqlite3
from functools import cache
from typing import Any, Literal

from sqlite_utils import Database

from agenttrace_mitm.model import Exchange, Record
from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.store.answers import Answers
from agenttrace_mitm.store.known import KnownContent
from agenttrace_mitm.store.rows import write_record
from agenttrace_mitm.store.schema import migrations
from agenttrace_mitm.traces import Fingerprinter


@cache
def _fresh() -> bytes:
    """A database with our schema and nothing in it: migrating takes longer than a recording."""
    database = Database(memory=True)
    migrations.apply(database)
    database.conn.commit()
    return database.conn.serialize()


class Recording:
    """Records exchanges into a fresh database: `rows` and `row` read what became of them."""

    def __init__(self, tier: Literal[1, 2, 3] = 3) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.deserialize(_fresh())
        self.db.row_factory = sqlite3.Row
        self._tier = tier
        self.restarted()

    def restarted(self) -> "Recording":
        """The same database, with a recorder that remembers nothing."""
        known, answers = KnownContent(self.db), Answers(self.db)
        self._pipeline = Pipeline(self._tier, Fingerprinter(b"k" * 32), known, answers)
        return self

    def take(self, exchange: Exchange) -> Record:
        """Understand, price and write *exchange*, and what it carried; gives its own record."""
        records = self._pipeline.records(exchange)
        for record in records:
            write_record(self.db, record)
        return records[-1]

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What *sql* finds."""
        return [dict(row) for row in self.db.execute(sql, values)]

    def row(self, id_: str = "1") -> dict[str, Any]:
        """The row of the call *id_*."""
        [row] = self.rows("select * from llm_calls where id = ?", id_)
        return row
