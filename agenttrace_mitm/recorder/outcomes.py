"""What came of a session in git: looked up when a command's result is stored.

Comes in: records that bring results of tool calls, then word that they are safe.  Goes out: rows of
`commits` and `git_refs`, to the writer.  All work is done by a thread of its own, behind a bounded
queue: what finds no room there is found with the next commit of its session.
"""

import contextlib
import logging
import os
import queue
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..clock import now_us
from ..errors import StoreError
from ..model import Record, StoredCommit, StoredRef
from ..privacy import Redactor
from ..store import Reading, Writer
from ..store.commits import ONE_WORK, WORKS, OnBranches, works
from ..traces.committing import Claim, Named, Work, claim
from . import repository
from .repository import Commit, Repository

log = logging.getLogger(__name__)

WAITING = 256
EXPECTED = 10_000
CREDENTIALS = 100
GATHER_S = 0.2
"""Results of parallel tool calls come together: one look serves them all."""

SETTLE_S = 10.0
CATCH_UP = 500
DAY_US = 86_400_000_000

type Tool = tuple[str, int]
"""Call id and position of a tool call."""

type Credential = tuple[int, str]
"""Length and digest of a secret."""

type Brought = tuple[list[Tool], Sequence[Credential]]
"""The tool calls whose results a call brought, and what is secret in its exchange."""

_OF_CALL = """
select c.session_id, coalesce(c.cwd, (
    -- A call may be over before it is known who made it.
    select cwd from llm_calls where session_id = c.session_id and cwd is not null
    order by started_us desc limit 1
)), c.source, s.started_us from llm_calls c
join sessions s on s.session_id = c.session_id where c.id = ?
"""
# Results that came while nobody looked, such as before the recorder was killed.
_LATEST = """
select call_id, position from (select * from tool_calls order by id desc limit ?)
where ended_us > ? and (arguments like '%git%' or arguments like '%gh %')
"""


@dataclass(frozen=True, slots=True)
class _Session:
    id: str
    folder: str
    """Working folder of the program; empty where it is not of this machine."""
    started_us: int


class Outcomes:
    """Looks into the repositories of sessions; *writer* gets what is found.

    `expect` and `saved` belong to one thread; `start` and `stop` frame them.
    """

    def __init__(self, database: Path, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._expected: OrderedDict[str, Brought] = OrderedDict()
        self._credentials: OrderedDict[Credential, None] = OrderedDict()
        self._waiting: queue.Queue[Brought | None] = queue.Queue(WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agenttrace-git", daemon=True)

    def start(self) -> None:
        """Begin with what came lately."""
        self._thread.start()

    def expect(self, record: Record, credentials: Sequence[Credential]) -> None:
        """*record* goes to the writer; *credentials* of its exchange are secrets here, too."""
        if not record.tool_results:
            return
        tools = [(result.call_id, result.position) for result in record.tool_results]
        self._expected[record.call.id] = tools, credentials
        if len(self._expected) > EXPECTED:
            self._expected.popitem(last=False)

    def saved(self, ids: Sequence[str]) -> None:
        """The calls *ids* are in the database: their results can be looked at."""
        for id_ in ids:
            if brought := self._expected.pop(id_, None):
                with contextlib.suppress(queue.Full):
                    self._waiting.put_nowait(brought)

    def stop(self) -> None:
        """Look at what waits, then end.  Returns when the thread has, or soon after."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=SETTLE_S)
        self._thread.join(SETTLE_S)

    def _run(self) -> None:
        try:
            reading = Reading(self._database)
        except StoreError as error:
            log.warning("commits are not looked for: %s", error.problem)
            return
        since = now_us() - DAY_US
        self._look(
            reading, [(row[0], row[1]) for row in reading.execute(_LATEST, (CATCH_UP, since))]
        )
        while (brought := self._waiting.get()) is not None:
            self._stopping.wait(GATHER_S)
            self._look(reading, [*self._tools(brought), *self._more()])
        reading.close()

    def _more(self) -> Iterator[Tool]:
        """What else waits; the end goes back to where it was."""
        with contextlib.suppress(queue.Empty):
            while (brought := self._waiting.get_nowait()) is not None:
                yield from self._tools(brought)
            self._waiting.put_nowait(None)

    def _tools(self, brought: Brought) -> list[Tool]:
        tools, credentials = brought
        for credential in credentials:
            self._credentials[credential] = None
            self._credentials.move_to_end(credential)
        while len(self._credentials) > CREDENTIALS:
            self._credentials.popitem(last=False)
        return tools

    def _look(self, reading: Reading, tools: list[Tool]) -> None:
        """Look at what *tools* did, and into the repositories of those that made commits."""
        sessions: dict[str, tuple[_Session, list[Work]]] = {}
        for tool in tools:
            for work in works(reading.execute(ONE_WORK, tool).fetchall()):
                for row in reading.execute(_OF_CALL, (work.call_id,)):
                    session = _session(*row)
                    sessions.setdefault(session.id, (session, []))[1].append(work)
        for session, new in sessions.values():
            makes = any(work.makes_commits for work in new)
            done = works(reading.execute(WORKS, (session.id,)).fetchall()) if makes else []
            for found in _found(session, done, new):
                self._writer.put(found if isinstance(found, OnBranches) else self._redacted(found))

    def _redacted(self, found: StoredCommit | StoredRef) -> StoredCommit | StoredRef:
        """*found* without secrets; ids are ours or git's."""
        redactor = Redactor(list(self._credentials))
        clean: Any = redactor.json(found.model_dump(exclude=_IDS))
        return found.model_copy(update=clean)


_IDS = {"sha", "session_id", "call_id", "how", "kind"}


def _session(id_: str, folder: str | None, source: str, started_us: int) -> _Session:
    """Only who came through the proxy works on this machine."""
    return _Session(id_, (folder or "") if source == "proxy" else "", started_us)


def _found(
    session: _Session, done: list[Work], new: list[Work]
) -> Iterator[StoredCommit | StoredRef | OnBranches]:
    """What the commands *new* did, of all that were *done* in the session."""
    for work in new:
        yield from _refs(session, work)
    makers = [work for work in new if work.makes_commits]
    if not makers:
        return
    named = [each.sha for work in makers for each in work.named]
    seen: set[str] = set()
    for one in _repositories(session, makers, named):
        seen |= {commit.sha for commit in one.commits}
        for commit in one.commits:
            yield _stored(commit, one, session, done)
        if one.whole:
            yield OnBranches(session.id, one.name, one.since_us, one.on_branches)
    for work in makers:
        for each in work.named if not work.failed else ():
            if not any(sha.startswith(each.sha) for sha in seen):
                yield _only_named(each, session, work)


def _refs(session: _Session, work: Work) -> Iterator[StoredRef]:
    for ref in work.refs:
        yield StoredRef(
            session_id=session.id,
            kind=ref.kind,
            name=ref.name,
            made=ref.made,
            call_id=work.call_id,
            position=work.position,
            at_us=work.started_us,
        )


def _repositories(
    session: _Session, makers: Sequence[Work], named: Sequence[str]
) -> list[Repository]:
    """The repositories that commands worked in, each once, as far as they can be read."""
    if not session.folder:
        return []
    own = Path(session.folder)
    # Path.expanduser raises where there is no such user.
    folders = [own / os.path.expanduser(each) for work in makers for each in work.folders]  # noqa: PTH111
    found: dict[Path, Repository] = {}
    for folder in dict.fromkeys([*folders, own]):
        if one := repository.read(folder, session.started_us, named):
            found.setdefault(one.root, one)
    return list(found.values())


def _stored(
    commit: Commit, one: Repository, session: _Session, done: Sequence[Work]
) -> StoredCommit:
    made: Claim | None = claim(commit.sha, commit.committed_us, done)
    how: Literal["output", "time", "meanwhile"] = made.how if made else "meanwhile"
    said = [n.branch for n in made.work.named if commit.sha.startswith(n.sha)] if made else []
    return StoredCommit(
        sha=commit.sha,
        session_id=session.id,
        repository=one.name,
        branch=next(iter(said), one.branch) or None,
        message=commit.message,
        author_us=commit.author_us,
        committed_us=commit.committed_us,
        files=len(commit.numstat),
        lines_added=sum(added or 0 for _, added, _ in commit.numstat),
        lines_removed=sum(removed or 0 for _, _, removed in commit.numstat),
        numstat=[list(changed) for changed in commit.numstat],
        call_id=made.work.call_id if made else None,
        position=made.work.position if made else None,
        how=how,
        confidence=made.confidence if made else 1.0,
        found_us=now_us(),
    )


def _only_named(each: Named, session: _Session, work: Work) -> StoredCommit:
    """A commit of which there is git's answer and no more."""
    return StoredCommit(
        sha=each.sha,
        session_id=session.id,
        repository=Path(session.folder).name,
        branch=each.branch or None,
        message=each.subject or None,
        files=each.files,
        lines_added=each.lines_added,
        lines_removed=each.lines_removed,
        call_id=work.call_id,
        position=work.position,
        how="output",
        found_us=now_us(),
    )
