"""Rules, firings and the outbox in the database, for any number of processes at once.

What a check found is written in one transaction: the firings together with the messages about
them, so that a crash leaves both or neither.  Sending takes a lease on a message; whoever dies
with it lets somebody else send it later, under the same id.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import StoreError, no_database
from ..model import AlertRow, AlertRule, Delivery, Firing
from .transactions import joining

BUSY_S = 15.0
ASK_S = 10.0
"""A rule whose question takes longer is not judged, and says so."""

_JSON = ("params", "deliver", "evidence", "body")
_TABLES: dict[type[AlertRow], str] = {
    AlertRule: "alert_rules",
    Firing: "alert_firings",
    Delivery: "alert_deliveries",
}
# The message that is next for each topic and target: nobody hears of an end before the beginning.
_HEADS = """
    select id, max(due_us, coalesce(leased_until_us, 0)) as ready_us
    from alert_deliveries d
    where delivered_us is null and failed_us is null and not exists (
        select 1 from alert_deliveries e
        where e.topic = d.topic and e.target = d.target and e.rowid < d.rowid
          and e.delivered_us is null and e.failed_us is null
    )
"""

type Written = tuple[Sequence[Firing], Sequence[Delivery]]


class AlertStore:
    """The alerts of the database at *path*, which has to be there.  Use it in one thread.

    Raises `StoreError` where the database cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading: sqlite3.Connection | None = None
        with _explained(path):
            if not path.exists():
                raise no_database(path)
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            self._db.execute("pragma synchronous = normal")
            if not self._has_tables():
                self._db.close()
                self._migrate()

    def _has_tables(self) -> bool:
        sql = "select count(*) from sqlite_master where name = 'alert_deliveries'"
        return bool(self._db.execute(sql).fetchone()[0])

    def _migrate(self) -> None:
        # Costs a third of a second to import: a check from cron does without it.
        from .opening import open_database  # noqa: PLC0415

        self._db = open_database(self._path).conn

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        if self._reading:
            self._reading.close()

    # -------------------------------------------------------------- rules

    def rules(self) -> list[AlertRule]:
        """All rules, by name."""
        return _rows(AlertRule, self._select("select * from alert_rules order by name"))

    def rule(self, name_or_id: str) -> AlertRule:
        """The rule of that name or id."""
        sql = "select * from alert_rules where name = ? or id = ?"
        found = _rows(AlertRule, self._select(sql, (name_or_id, name_or_id)))
        if not found:
            raise StoreError(f"There is no rule {name_or_id!r}", "See: agenttrace-mitm alerts list")
        return found[0]

    def put_rule(self, rule: AlertRule) -> None:
        """Add *rule*, or change the one with its id."""
        with self._writing() as db:
            try:
                _put(db, rule)
            except sqlite3.IntegrityError:
                raise StoreError(
                    f"There is a rule {rule.name!r} already", "Choose another name, or edit it"
                ) from None

    def remove_rule(self, rule: AlertRule, now_us: int) -> None:
        """Forget *rule*.  What it fired stays in the history, ended now."""
        with self._writing() as db:
            db.execute("delete from alert_rules where id = ?", (rule.id,))
            db.execute(
                "update alert_firings set resolved_us = ?, resolution = 'the rule was removed'"
                " where rule_id = ? and resolved_us is null",
                (now_us, rule.id),
            )

    def replace_rules(
        self, keep: Iterable[AlertRule], remove: Iterable[AlertRule], now_us: int
    ) -> None:
        """Several rules at once, or none of them."""
        with self._writing():
            for rule in remove:
                self.remove_rule(rule, now_us)
            for rule in keep:
                self.put_rule(rule)

    # -------------------------------------------------------------- firings

    def firings(
        self, *, open_only: bool = False, rule_id: str | None = None, limit: int = 100
    ) -> list[Firing]:
        """Firings, newest first."""
        sql = """
            select * from alert_firings
            where (:all or resolved_us is null) and (:rule_id is null or rule_id = :rule_id)
            order by started_us desc, rowid desc limit :limit
        """
        given = {"all": not open_only, "rule_id": rule_id, "limit": limit}
        return _rows(Firing, self._select(sql, given))

    def acknowledge(self, firing_id: str, now_us: int) -> Firing:
        """Somebody knows of this firing: it is not repeated."""
        with self._writing() as db:
            db.execute(
                "update alert_firings set acknowledged_us = coalesce(acknowledged_us, ?)"
                " where id = ?",
                (now_us, firing_id),
            )
        found = _rows(
            Firing, self._select("select * from alert_firings where id = ?", (firing_id,))
        )
        if not found:
            raise StoreError(
                f"There is no firing {firing_id!r}", "See: agenttrace-mitm alerts history"
            )
        return found[0]

    def ask(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of somebody's query: it can read, and nothing else, and not for ever.

        Raises `StoreError` with SQLite's words.
        """
        db = self._reader()
        ends = time.monotonic() + ASK_S
        db.set_progress_handler(lambda: time.monotonic() > ends, 10_000)
        try:
            cursor = db.execute(sql, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
            told = f"took longer than {ASK_S:.0f} s" if "interrupted" in str(error) else str(error)
            raise StoreError(f"The query failed: {told}") from None

    def apply(
        self,
        rule: AlertRule,
        decide: Callable[[dict[str, Firing]], Written],
        now_us: int,
    ) -> Written:
        """Write what *decide* makes of the rule's open firings, by subject, and what to send.

        Nothing is written when a later check was quicker, or the rule has changed or gone.
        """
        with self._writing() as db:
            row = db.execute(
                "select checked_us, updated_us, enabled from alert_rules where id = ?", (rule.id,)
            ).fetchone()
            if row is None or (row[0] or 0) > now_us or row[1] != rule.updated_us or not row[2]:
                return (), ()
            sql = "select * from alert_firings where rule_id = ? and resolved_us is null"
            open_firings = {one.subject: one for one in _rows(Firing, db.execute(sql, (rule.id,)))}
            firings, deliveries = decide(open_firings)
            # Ends before beginnings: a subject has one open firing.
            for firing in sorted(firings, key=lambda one: one.resolved_us is None):
                _put(db, firing)
            for delivery in deliveries:
                _put(db, delivery)
            db.execute(
                "update alert_rules set checked_us = ?, problem = null where id = ?",
                (now_us, rule.id),
            )
        return firings, deliveries

    def could_not_judge(self, rule: AlertRule, problem: str) -> None:
        """Remember why *rule* was not judged."""
        with self._writing() as db:
            db.execute("update alert_rules set problem = ? where id = ?", (problem, rule.id))

    def could_not_check(self, problem: str) -> None:
        """Remember why no rule was judged."""
        with self._writing() as db:
            db.execute("update alert_rules set problem = ? where enabled", (problem,))

    # -------------------------------------------------------------- the outbox

    def lease(self, now_us: int, until_us: int) -> Delivery | None:
        """The message that is due longest, ours until *until_us*; None when none is due."""
        due = f"select id from ({_HEADS}) where ready_us <= :now_us order by ready_us, id limit 1"
        if not self._select(due, {"now_us": now_us}).fetchone():
            return None  # most checks find nothing to send, and need not write
        with self._writing() as db:
            sql = f"""
                update alert_deliveries
                set leased_until_us = :until_us, attempts = attempts + 1
                where id = ({due}) returning *
            """
            found = _rows(Delivery, db.execute(sql, {"now_us": now_us, "until_us": until_us}))
        return found[0] if found else None

    def arrived(self, delivery: Delivery, now_us: int) -> None:
        """*delivery* need not be sent again."""
        with self._writing() as db:
            db.execute(
                "update alert_deliveries set delivered_us = ?, problem = null,"
                " leased_until_us = null where id = ?",
                (now_us, delivery.id),
            )

    def missed(self, delivery: Delivery, problem: str, due_us: int | None, now_us: int) -> None:
        """*delivery* is to be tried again at *due_us*; None gives it up."""
        with self._writing() as db:
            db.execute(
                "update alert_deliveries set problem = :problem, leased_until_us = null,"
                " due_us = coalesce(:due_us, due_us),"
                " failed_us = case when :due_us is null then :now_us end"
                " where id = :id and delivered_us is null",
                {"problem": problem, "due_us": due_us, "now_us": now_us, "id": delivery.id},
            )

    def next_due(self) -> int | None:
        """When the next message can be tried; None when the outbox is empty."""
        due: int | None = self._select(f"select min(ready_us) from ({_HEADS})").fetchone()[0]
        return due

    def deliveries(self, *, firing_id: str | None = None, limit: int = 100) -> list[Delivery]:
        """Messages, newest first."""
        sql = """
            select * from alert_deliveries where (:firing_id is null or firing_id = :firing_id)
            order by rowid desc limit :limit
        """
        return _rows(Delivery, self._select(sql, {"firing_id": firing_id, "limit": limit}))

    def retry_failed(self, now_us: int) -> int:
        """Try again what was given up; how many messages."""
        with self._writing() as db:
            sql = "update alert_deliveries set failed_us = null, due_us = ? where failed_us > 0"
            return db.execute(sql, (now_us,)).rowcount

    # -------------------------------------------------------------- connections

    def _select(self, sql: str, given: Any = ()) -> sqlite3.Cursor:
        with _explained(self._path):
            return self._db.execute(sql, given)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; one inside another is part of it."""
        with _explained(self._path), joining(self._db):
            yield self._db

    def _reader(self) -> sqlite3.Connection:
        if self._reading is None:
            with _explained(self._path):
                uri = f"{self._path.absolute().as_uri()}?mode=ro"
                self._reading = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
                self._reading.execute("pragma query_only = 1")
                self._reading.set_authorizer(_only_reads)
        return self._reading


_READING = {
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
}  # fmt: skip


def _only_reads(action: int, name: str | None, *_: str | None) -> int:
    # No pragma, no attached file, no transaction that would keep the log from being emptied.
    # Views and table-valued functions arrive as reads.
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if name == "load_extension" else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:  # full-text search asks for this one
        return sqlite3.SQLITE_OK if name == "data_version" else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} cannot be used ({error})", "Try again, or see: db verify"
        ) from error


def _put(db: sqlite3.Connection, value: AlertRow) -> None:
    """Insert *value*, or change the row with its id."""
    fields = value.model_dump(mode="python")
    for name in _JSON:
        if fields.get(name) is not None:
            fields[name] = json.dumps(fields[name], default=str)
    names = list(fields)
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    db.execute(
        f"insert into {_TABLES[type(value)]} ({', '.join(names)})"
        f" values ({', '.join(f':{name}' for name in names)})"
        f" on conflict (id) do update set {changed}",
        fields,
    )


def _rows[Value: AlertRow](model: type[Value], cursor: sqlite3.Cursor) -> list[Value]:
    names = [column[0] for column in cursor.description]
    try:
        return [
            model.model_validate(
                {
                    name: json.loads(value) if name in _JSON and value is not None else value
                    for name, value in zip(names, row, strict=True)
                }
            )
            for row in cursor
        ]
    except ValueError as error:  # written by hand, or by a later version
        problem = " ".join(str(error).split())[:200]
        raise StoreError(f"A row of {_TABLES[model]} cannot be read: {problem}") from None
