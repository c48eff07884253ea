"""Sessions, traces, threads and spans inferred again from stored calls.

Calls are placed by the same code as when they came, in the order in which they began, knowing
nothing but the calls before them: so a call that came late finds its place, and doing it twice
changes nothing.  What a client said of itself stays, and so do the links of calls whose history
is not kept (tiers 1 and 2, old content): nothing is left to infer them from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import providers
from .placed_again import PlacedAgain
from .reprocess import whole_exchange_of
from .store.retraced import nothing_known, retracing
from .store.talks import StoredTalk
from .traces import Fingerprinter
from .traces.prompts import Prompt, Prompts

STEP = 1_000


@dataclass(frozen=True, slots=True)
class Retraced:
    """How many calls were placed, and how many got another place."""

    calls: int
    changed: int


def retrace(
    database: Path,
    prints: Fingerprinter,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Retraced:
    """Place every stored call anew; *progress* hears how many are done, of how many."""
    with retracing(database) as stored:
        total = stored.count()
        known = nothing_known(2 * total + STEP)
        again = PlacedAgain(prints, known, _Unversioned(prints).prompt)
        done = 0
        for done, talk in enumerate(stored.talks(), 1):
            stored.keep(again.placed(talk))
            if done % STEP == 0:
                progress(done, total)
        progress(done, done)
    return Retraced(done, stored.changed)


class _Unversioned:
    """Reads the prompts of calls from before there were versions, where their bytes are kept."""

    def __init__(self, prints: Fingerprinter) -> None:
        self._prints = prints
        self._prompts = Prompts(prints)

    def prompt(self, talk: StoredTalk, agent_id: str) -> Prompt | None:
        """The version that the call was made with."""
        exchange = whole_exchange_of(talk.call, talk.wire) if talk.wire else None
        if exchange is None:
            return None
        understood = providers.understand(exchange)
        ask = understood.ask
        asked = self._prints.place(ask.messages)
        found = self._prompts.of(agent_id, asked, ask.tools, ask.tool_names)
        return found if understood.kind == "llm" else None
