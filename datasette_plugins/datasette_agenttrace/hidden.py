"""What SQL does not see: the path of a webhook is its password.

Whoever may read the pages may ask any SQL, and need not thereby be able to write into somebody's
Slack.  Such a column reads as NULL.  The Alerts page, which shows hosts alone, and the checks have
connections of their own.
"""

import sqlite3

COLUMNS = frozenset({("alert_rules", "deliver"), ("alert_deliveries", "target")})
RAW = frozenset({"sqlite_dbpage"})
"""Where SQLite was built with it, a table of the file's pages."""


def hide(connection: sqlite3.Connection) -> None:
    """Let statements on *connection* read nothing of `COLUMNS`, by whatever name or view."""

    def judge(
        action: int, table: str | None, column: str | None, _database: str | None, _by: str | None
    ) -> int:
        if action == sqlite3.SQLITE_READ and ((table, column) in COLUMNS or table in RAW):
            return sqlite3.SQLITE_IGNORE
        return sqlite3.SQLITE_OK

    connection.set_authorizer(judge)
