"""A search for one whole id: the calls that have it, whatever their time and the filters.

Ids of calls, operations, traces, sessions and responses have an index.  What a provider or a
client calls a request has none: it is looked for among the newest calls of the time that is asked
for.
"""

import re
import sqlite3

NEWEST = 10_000
MOST = 2_000  # of a trace or a session, the newest

_ID = re.compile(r"(?=.*\d)[\w.:+/=-]{8,200}", re.ASCII)
_OF_SESSION = f"""
    select id from llm_calls where session_id = :id order by started_us desc limit {MOST}
"""
_INDEXED = f"""
    select id from llm_calls where id = :id
    union select id from llm_calls where response_id = :id
    union select id from llm_calls where retry_of = :id and retry_of <> id
    union select id from (
        select id from llm_calls where trace_id = :id order by rowid desc limit {MOST}
    )
    union select id from ({_OF_SESSION})
"""
_REQUESTS = f"""
    with newest (id, provider_request_id, client_request_id) as (
        select id, provider_request_id, client_request_id from llm_calls
        where started_us >= :since and started_us < :until
        order by started_us desc limit {NEWEST}
    )
    select id from newest where provider_request_id = :id or client_request_id = :id
"""


def calls_with_id(
    db: sqlite3.Connection, said: str, since_us: int, until_us: int
) -> list[str] | None:
    """The ids of the calls that *said* is an id of; None where it is none."""
    if not _ID.fullmatch(said):
        return None
    given = {"id": said, "since": since_us, "until": until_us}
    found = [id_ for (id_,) in db.execute(_INDEXED, given)]
    found = found or [id_ for (id_,) in db.execute(_REQUESTS, given)]
    return found or None


def calls_of_session(db: sqlite3.Connection, said: str) -> list[str] | None:
    """The ids of the calls of the session *said*; None where there is no such session.

    Who names sessions may take any words, which messages may say, too.
    """
    return [id_ for (id_,) in db.execute(_OF_SESSION, {"id": said})] or None
