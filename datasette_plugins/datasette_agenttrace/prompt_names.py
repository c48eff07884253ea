"""Versions of prompts by the names that people know: whose prompt it is, and the number.

Ids are prints and tell nothing.  Versions of an agent are numbered by first sight.
"""

import json
import sqlite3
from collections.abc import Iterable

from .asking import Value

NO_AGENT = "(unknown)"
NUMBERED = """
    select prompt_id, agent_id,
           row_number() over (partition by agent_id order by first_seen_us, prompt_id) as version
    from prompts
"""
"""The versions of prompts, before a `where`."""


class PromptName(Value):
    """A version of an agent's prompt; `agent` is '' where nobody is known to have sent it."""

    prompt_id: str
    agent: str
    version: int

    @property
    def whose(self) -> str:
        """The agent, for people."""
        return self.agent or NO_AGENT

    @property
    def label(self) -> str:
        """The name, for people."""
        return f"{self.whose}, version {self.version}"


def are_kept(db: sqlite3.Connection) -> bool:
    """Whether the database has versions of prompts at all."""
    known = "select 1 from sqlite_master where type = 'table' and name = 'prompts'"
    return bool(db.execute(known).fetchone())


def named(db: sqlite3.Connection, ids: Iterable[str]) -> dict[str, PromptName]:
    """The names of those of *ids* that are known: not every version of an agent is kept."""
    if not are_kept(db):
        return {}
    rows = db.execute(
        f"""
        with wanted as materialized (select value as id from json_each(?)),
        numbered as (
            {NUMBERED} where agent_id in (
                select agent_id from prompts where prompt_id in (select id from wanted)
            )
        )
        select * from numbered where prompt_id in (select id from wanted)
        """,
        (json.dumps(list(ids)),),
    )
    return {id_: PromptName(prompt_id=id_, agent=agent, version=n) for id_, agent, n in rows}
