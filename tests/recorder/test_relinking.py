"""A call that comes late, through the recorder's service and its writer's thread."""

import threading
from pathlib import Path

from agenttrace_mitm.pipeline import Pipeline
from agenttrace_mitm.recorder.service import Service
from agenttrace_mitm.relink import relink
from agenttrace_mitm.store import KnownContent, Reading, Relink, Spool, Writer, open_database
from agenttrace_mitm.traces import Fingerprinter

from ..traces.talks import Recording, says, user

KEY = b"k" * 32


def _recorded(folder: Path) -> list[tuple[str, ...]]:
    """Links and threads of three calls, of which the first comes second."""
    talk = Recording()
    asked = [user("What is in the cellar?")]
    first, second = says("Coal, I believe, and wine."), says("Red wine, for the most part.")
    parent = talk.exchange(asked, first)
    asked = [*asked, first, user("Which wine?")]
    child = talk.exchange(asked, second)
    last = talk.exchange([*asked, second, user("Bring some.")], says("Here it is."))
    path = folder / "data.db"
    reading = Reading(path)
    known = KnownContent(reading)
    prints = Fingerprinter(KEY)
    writer = Writer(
        path,
        Spool(folder / "spool"),
        lambda ids: None,
        relink=lambda db, ids: relink(db, prints, ids),
    )
    service = Service(Pipeline(3, Fingerprinter(KEY), known), known, writer)
    writer.start()
    for exchange in (child, parent, last):
        service._record(exchange)  # as `_take_exchange` does once the frames of it are there
    writer.stop()
    reading.close()
    names = {parent.id: "parent", child.id: "child", last.id: "last", None: "nobody"}
    db = open_database(path).conn
    rows = db.execute("select id, continues_call_id, thread_id from llm_calls order by started_us")
    return [tuple(names[value] for value in row) for row in rows]


def test_a_late_call_is_linked_before_the_next_one_is_placed(tmp_path: Path) -> None:
    """What goes on from its child is in the same thread, then, too."""
    assert _recorded(tmp_path) == [
        ("parent", "nobody", "parent"),
        ("child", "parent", "parent"),
        ("last", "child", "parent"),
    ]


def test_calls_do_not_wait_behind_one_that_waits_for_the_writer(tmp_path: Path) -> None:
    """In an outage the first is waited for; the others go on, and wait again once it is over."""
    waits: list[float] = []

    class Slow(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            return self.is_set()

    class Outage:
        """A writer that takes everything and does nothing."""

        def __init__(self) -> None:
            self.items: list[Relink] = []

        def put(self, item: Relink, *, hurry: bool) -> None:
            assert hurry
            item_done = Slow()
            object.__setattr__(item, "done", item_done)
            self.items.append(item)

    path = tmp_path / "data.db"
    open_database(path).close()
    known = KnownContent(Reading(path))
    writer = Outage()
    service = Service(Pipeline(3, Fingerprinter(KEY), known), known, writer)  # type: ignore[arg-type]
    for _ in range(3):
        service._relink(("a",))
    assert len(waits) == 1
    writer.items[-1].done.set()
    service._relink(("b",))
    assert len(waits) == 2
