"""Forgets an agent, a session, a trace, or a text.

It goes from every table, the search index, the file's free pages, its log, and the spool.  The
calls of an agent, session or trace go with everything that hangs on them; messages that a kept call
uses, itself or as the history that it continues, stay.  A text goes wherever it stands, and
`[forgotten]` stands there instead; figures stay.  Nobody may record meanwhile: a recorder
remembers what it has stored.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import StoreError, no_database
from . import forgotten_sums, rollups
from .chains import Bodies, bodies_of, release, replace
from .opening import open_database
from .payloads import headers_of, pack, pack_headers
from .prompts import UNUSED, tools_of
from .spool import Spool
from .transactions import writing

FORGOTTEN = "[forgotten]"
SHORTEST_TEXT = 4

_KEY = {"agent": "agent_id", "session": "session_id", "trace": "trace_id"}
_TABLES = (
    "create temp table if not exists doomed (id text primary key, started_us integer, hour integer,"
    " session_id text, trace_id text, thread_id text, prompt_id text)",
    "create temp table if not exists loose (id integer primary key)",
)
_DOOM = """
insert into temp.doomed
select id, started_us, started_us / 3600000000, session_id, trace_id, thread_id, prompt_id
from llm_calls where {which}
"""
GONE = "(select id from temp.doomed)"


def first_of(schema: str, call_id: str) -> str:
    """SQL: the position of the first message that a call adds; what is before it, others said."""
    own = f"select min(o.position) from {schema}.call_messages o where o.call_id = {call_id}"
    return f"coalesce(({own}), 9e18)"


# Kept calls that continue a doomed one take over the history that they were sent with.
_HISTORY = f"""
with recursive history (heir, id, below) as (
    select id, continues_call_id, {first_of("main", "llm_calls.id")} from llm_calls
    where continues_call_id in {GONE} and id not in {GONE}
    union
    select history.heir, c.continues_call_id, min(history.below, {first_of("main", "c.id")})
    from history join llm_calls c on c.id = history.id
    where c.continues_call_id is not null
)
"""
_TAKEN_OVER = f"""
select history.heir, 'in', m.position, 0, m.message_id
from history join call_messages m on m.call_id = history.id
where m.choice = 0 and m.position < history.below and history.id in {GONE}
"""
HEIRS = f"""
{_HISTORY} insert or ignore into call_messages (call_id, direction, position, choice, message_id)
{_TAKEN_OVER}
"""
# What that reads, and the places in the index where it comes: a message may have a million there.
HERITAGE = f"""
{_HISTORY} select count((
    select 1 from call_messages x indexed by call_messages_of_message
    where x.message_id = taken.message_id and x.call_id >= taken.heir limit 1
)) from ({_TAKEN_OVER}) taken
"""

GOING_BODIES = f"select id from payloads where call_id in {GONE}"


def forget_calls(database: Path, spool: Spool | None, what: str, name: str) -> dict[str, int]:
    """Forget the *what* (`agent`, `session` or `trace`) called *name*; rows that went, by table."""

    def work(db: sqlite3.Connection) -> dict[str, int]:
        counted = delete_calls(db, what, name)
        for table, where in _ORPHANS:
            counted[table] += db.execute(f"delete from {table} where {where}").rowcount
        return counted

    counted = _forget(database, work)
    counted["spool"] = _despool(spool, lambda line: _is_of(line, _KEY[what], name))
    return {table: number for table, number in counted.items() if number}


def calls_of(db: sqlite3.Connection, what: str, name: str) -> list[str]:
    """The calls of a *what*, which `delete_calls` deletes."""
    rows = db.execute(f"select id from llm_calls where {_KEY[what]} = ?", (name,))
    return [id_ for (id_,) in rows]


def delete_calls(db: sqlite3.Connection, what: str, name: str) -> dict[str, int]:
    """Delete the calls of a *what* and all that hangs on them, inside the caller's transaction.

    How many rows went, by table.  Free pages and the search index keep words until they are used
    again: `forget_calls` sees to these as well.  A recorder remembers what it has stored: it does
    this itself, and without it the caller is `recorders.alone`.
    """
    key = _KEY[what]
    doom(db, f"{key} = ?", name)
    hours = [hour for (hour,) in db.execute("select distinct hour from temp.doomed")]
    counted = remove_doomed(db, what, name)
    rollups.recount(db, hours)
    forgotten_sums.forget(db, key, name)
    counted["holds"] = db.execute(f"delete from holds where {_NOBODYS}").rowcount
    # Whoever deleted or labelled it said its name.
    counted["audit"] = _replace(db, "audit", _forms(name)) if len(name) >= SHORTEST_TEXT else 0
    return counted


def doom(db: sqlite3.Connection, which: str, *given: str) -> None:
    """Put the calls *which*, a condition with parameters, into the table `temp.doomed`."""
    for sql in _TABLES:
        db.execute(sql)
    _clear(db)
    db.execute(_DOOM.format(which=which), given)


def _clear(db: sqlite3.Connection) -> None:
    """Tables that stay, empty: were they dropped, every statement would be compiled again."""
    db.execute("delete from temp.doomed")
    db.execute("delete from temp.loose")


def remove_doomed(
    db: sqlite3.Connection, what: str | None = None, name: str = ""
) -> dict[str, int]:
    """Delete the calls in the table `temp.doomed` and all that hangs on them; rows by table.

    They are all of a *what* called *name*, or, without, the oldest: what they rest on has gone
    before them.  The table is empty after; rollups stay as they are.
    """
    counted = {"llm_calls": db.execute("select count(*) from temp.doomed").fetchone()[0]}
    db.execute(HEIRS)
    db.execute(
        "insert into temp.loose"
        f" select distinct message_id as id from call_messages where call_id in {GONE}"
    )
    # Kept bodies may be stored as the difference to one that goes.
    release(db, [row for (row,) in db.execute(GOING_BODIES)])
    for table, where in going(what):
        done = db.execute(f"delete from {table} where {where}", {"name": name})
        counted[table] = done.rowcount
    db.execute(f"update llm_calls set continues_call_id = null where continues_call_id in {GONE}")
    if what:
        db.execute(f"update llm_calls set duplicate_of = null where duplicate_of in {GONE}")
        # The result came with a call that is gone, and with it what brought it.
        db.execute(
            "update tool_calls set result = null, answered_by_call_id = null"
            f" where answered_by_call_id in {GONE}"
        )
    _clear(db)
    return counted


def going(what: str | None) -> Iterator[tuple[str, str]]:
    """What goes from which table, in this order; calls are in `temp.doomed`."""
    key = _KEY[what] if what else ""
    if not what:
        yield "feedback", _all_gone("feedback", "trace_id")
    else:
        yield "feedback", "trace_id in (select trace_id from temp.doomed)"
        alerts = f"""
            subject = :name or id in (
                select f.id from alert_firings f, json_each(f.evidence, '$.calls') as call
                where call.value in {GONE})
        """
        yield "alert_deliveries", f"firing_id in (select id from alert_firings where {alerts})"
        yield "alert_firings", alerts
    for table in ("payloads", "call_messages", "tool_calls"):
        yield table, f"call_id in {GONE}"
    of_calls = f"call_id in {GONE}"
    # By the index on traces where no name asks for more: spans have none on calls.
    traced = f"trace_id in (select trace_id from temp.doomed) and {of_calls}"
    yield "spans", f"{of_calls} or {key} = :name" if key else traced
    yield "llm_calls", f"id in {GONE}"
    if not what:  # what opened it is gone
        yield "spans", f"call_id is null and {_all_gone('spans', 'trace_id')}"
    if what:  # by age: `aging` asks the sums, since this looks at all calls of the agent
        yield (
            "prompts",
            "prompt_id in (select prompt_id from temp.doomed) and not exists ("
            " select 1 from llm_calls c where c.agent_id = prompts.agent_id"
            " and c.prompt_id = prompts.prompt_id)",
        )
    if key in ("agent_id", "session_id"):  # events know of no trace
        yield "events", f"{key} = :name"
    for table in ("sessions", "traces"):
        yield table, _unused(table, key if what != "trace" or table == "traces" else "")
    if what:
        yield "commits", _LOST
        yield "git_refs", _LOST
    else:
        for table in ("commits", "git_refs"):
            yield table, f"session_id in (select session_id from temp.doomed) and {_LOST}"
    yield "threads", _unused("threads", key if what != "trace" else "")
    yield (
        "messages",
        "id in (select id from temp.loose)"
        " and not exists (select 1 from call_messages c where c.message_id = messages.id)",
    )
    if what:
        yield "media", f"first_call_id in {GONE} and {_MEDIA_UNUSED}"


def _all_gone(table: str, id_: str) -> str:
    """Rows of *table* that belong to a trace or session of which no call is left."""
    return (
        f"{id_} in (select {id_} from temp.doomed)"
        f" and not exists (select 1 from llm_calls c where c.{id_} = {table}.{id_}"
        f" and c.id not in {GONE})"
    )


_ORPHANS = (
    ("prompts", UNUSED),
    ("messages", "id not in (select message_id from call_messages)"),
)
"""Rows that nothing led to before either."""


def _unused(table: str, key: str) -> str:
    """Rows of *table* whose calls have gone, those that the *key* names among them."""
    id_ = f"{table[:-1]}_id"
    gone = _all_gone(table, id_)
    if not key:
        return gone
    left = f"select 1 from llm_calls c where c.{id_} = {table}.{id_}"
    return f"({gone}) or ({key} = :name and not exists ({left}))"


# What a forgotten call's command did, and what was seen in a session that is no more.
_NOBODYS = "session_id not in (select session_id from sessions)"
_LOST = f"call_id in {GONE} or {_NOBODYS}"
_MEDIA_UNUSED = "not exists (select 1 from messages m where instr(m.content, media.sha256))"


def forget_text(database: Path, spool: Spool | None, text: str) -> dict[str, int]:
    """Put `[forgotten]` in the place of *text* everywhere; how many rows changed, by table.

    Raises `StoreError` for one so short that it would tear other words.
    """
    if len(text) < SHORTEST_TEXT:
        raise StoreError(f"{text!r} is too short to be forgotten", "Give at least four characters")
    forms = _forms(text)

    def work(db: sqlite3.Connection) -> dict[str, int]:
        counted = {}
        tables = db.execute(
            "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
            " and name not like '\\_%' escape '\\' and name not like 'messages_fts%'"
            " and name not like 'rollup_%'"
        )
        for (table,) in tables.fetchall():
            counted[table] = _replace(db, table, forms)
        counted["payloads"] += _rewrite_headers(db, forms) + _drop_bodies(db, forms)
        counted["prompts"] += _rewrite_tools(db, forms)
        if counted["llm_calls"]:
            rollups.rebuild(db)
        counted["sums"] = forgotten_sums.replace(db, forms, FORGOTTEN)
        return counted

    counted = _forget(database, work)
    sought = [form.encode() for form in forms]
    counted["spool"] = _despool(spool, lambda line: any(form in line for form in sought))
    return {table: number for table, number in counted.items() if number}


def _forms(text: str) -> list[str]:
    """How *text* may stand somewhere: as it is, in JSON, and in JSON within JSON."""
    forms = [text]
    for ascii_ in (False, True):
        once = json.dumps(text, ensure_ascii=ascii_)[1:-1]
        forms += [once, json.dumps(once, ensure_ascii=ascii_)[1:-1]]
    return list(dict.fromkeys(forms))


def _replace(db: sqlite3.Connection, table: str, forms: list[str]) -> int:
    declared = db.execute(f"pragma table_info({table})").fetchall()
    columns = [row[1] for row in declared if row[2].lower() == "text"]
    changed = 0
    for column in columns:
        for form in forms:
            done = db.execute(
                f"update or replace {table} set {column} = replace({column}, ?, ?)"
                f" where typeof({column}) = 'text' and instr({column}, ?)",
                (form, FORGOTTEN, form),
            )
            changed += done.rowcount
    return changed


def _rewrite_headers(db: sqlite3.Connection, forms: list[str]) -> int:
    def without(stored: bytes | str | None) -> bytes | str | None:
        if not isinstance(stored, bytes):
            return stored
        try:
            told = headers_of(stored)
        except ValueError:  # not readable: better gone than kept
            return None
        if not any(form in part for pair in told for part in pair for form in forms):
            return stored
        for form in forms:
            told = [[part.replace(form, FORGOTTEN) for part in pair] for pair in told]
        return pack_headers(told)

    changed = []
    for row, *there in db.execute("select id, request_headers, response_headers from payloads"):
        left = [without(stored) for stored in there]
        if left != there:
            changed.append((*left, row))
    db.executemany(
        "update payloads set request_headers = ?, response_headers = ? where id = ?", changed
    )
    return len(changed)


def _rewrite_tools(db: sqlite3.Connection, forms: list[str]) -> int:
    changed: list[tuple[bytes | None, str]] = []
    for id_, stored in db.execute("select prompt_id, tools from prompts where tools is not null"):
        try:
            encoded = json.dumps(tools_of(stored), ensure_ascii=False)
        except ValueError:  # not readable: better gone than kept
            changed.append((None, id_))
            continue
        left = encoded
        for form in forms:
            left = left.replace(form, FORGOTTEN)
        if left != encoded:
            changed.append((pack(left.encode()), id_))
    db.executemany("update prompts set tools = ? where prompt_id = ?", changed)
    return len(changed)


def _drop_bodies(db: sqlite3.Connection, forms: list[str]) -> int:
    """Bodies go whole: a changed one would no longer be what crossed the wire."""
    sought = [form.encode() for form in forms]

    def without(body: bytes | None) -> bytes | None:
        return None if body is None or any(form in body for form in sought) else body

    dropped: dict[int, Bodies] = {}
    for row, call_id in db.execute("select id, call_id from payloads"):
        there: Bodies | None = None
        left = Bodies()
        with contextlib.suppress(ValueError):  # not readable: better gone than kept
            there = bodies_of(db, call_id)
            left = Bodies(without(there.request), without(there.response))
        if left != there:
            dropped[row] = left
    for row, left in dropped.items():
        release(db, [row])
        replace(db, row, left)
    media = db.execute("select sha256, data from media where data is not null")
    spoken = [(sha256,) for sha256, data in media if without(data) is None]
    db.executemany("update media set data = null where sha256 = ?", spoken)
    return len(dropped) + len(spoken)


def _forget(database: Path, work: Callable[[sqlite3.Connection], dict[str, int]]) -> dict[str, int]:
    """Do *work* in one transaction, then make the file forget it too."""
    if not database.exists():
        raise no_database(database)
    try:
        with contextlib.closing(open_database(database).conn) as db:
            db.execute("pragma secure_delete = on")
            with writing(db, "exclusive"):
                counted = work(db)
            # The index keeps the words of deleted texts until its pieces are merged.
            db.execute("insert into messages_fts (messages_fts) values ('optimize')")
            db.execute("vacuum")
            db.execute("pragma wal_checkpoint(truncate)")
    except sqlite3.Error as error:
        raise StoreError(f"{database} cannot be changed ({error})", "Try again") from error
    return counted


def _despool(spool: Spool | None, is_doomed: Callable[[bytes], bool]) -> int:
    """Take records out of the spool and the dead letters; None is another database's."""
    gone = 0
    for file in spool.files() if spool else ():
        lines = file.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not is_doomed(line)]
        if len(kept) < len(lines):
            gone += len(lines) - len(kept)
            _overwrite(file, kept)
    return gone


def _overwrite(file: Path, lines: Iterable[bytes]) -> None:
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.write(b"\0" * size)  # what a shorter file leaves behind on the disk
        stream.seek(0)
        stream.truncate()
        stream.writelines(lines)


def _is_of(line: bytes, key: str, name: str) -> bool:
    try:
        record = json.loads(line)
        record = json.loads(record["record"]) if "record" in record else record
        return bool(record["call"][key] == name)
    except (ValueError, TypeError, KeyError):
        return name.encode() in line  # not readable: better gone than kept
