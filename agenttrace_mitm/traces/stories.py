"""A session as a story: prompts in order, and what was done for each.

Values, and how the times and sums of a session follow from its calls.  Rows are read by
`store.sessions`; nothing here knows of a database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .actions import Action

type Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Times:
    """Where the time of a prompt went, in microseconds; they add up to its duration."""

    model_us: int = 0
    tool_us: int = 0
    idle_us: int = 0
    retry_us: int = 0
    """Between the tries of an operation, while its program waited before the next."""


@dataclass(frozen=True, slots=True)
class Step:
    """An action, by which agent, in which call, and how long it took (None: still open)."""

    action: Action
    call_id: str
    agent_id: str
    duration_us: int | None
    in_sub_agent: bool = False


@dataclass(frozen=True, slots=True)
class Bill:
    """Calls, tokens and money; cost, and its metered part, is None where nothing has a price.

    So are tokens where no call told of them.
    """

    calls: int = 0
    failed: int = 0
    tokens_in: int | None = 0
    tokens_out: int | None = 0
    cache_read_tokens: int = 0
    cost_nano_usd: int | None = None
    unpriced: int = 0
    spend_nano_usd: int | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """A git commit made during a session; counts and times are None where they are not known.

    `how` says what links it to the tool call that made it (`output`, `time`); `meanwhile`: no tool
    call did, so it is not the agent's.  `replaced`: an amend or a rebase put another one there.
    """

    sha: str
    repository: str
    branch: str
    message: str
    author_us: int | None
    committed_us: int | None
    files: int | None
    lines_added: int | None
    lines_removed: int | None
    replaced: bool
    call_id: str | None
    how: str
    confidence: float

    @property
    def is_of_agent(self) -> bool:
        """True when a tool call made it."""
        return self.call_id is not None


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or pull request (its address) that an output named; `made` by the command."""

    kind: str
    name: str
    made: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """What somebody asked for, what was done, and what was answered."""

    trace_id: str
    text: str
    reply: str
    steps: tuple[Step, ...]
    sub_agents: tuple[str, ...]
    bill: Bill
    times: Times
    started_us: int
    ended_us: int
    context_tokens: int
    """The most that one call of the main conversation read."""
    compactions: int
    commits: tuple[Commit, ...] = ()
    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A session: its prompts, and its whole bill, side calls included."""

    session_id: str
    agent_id: str
    client: str
    cwd: str
    started_us: int
    ended_us: int
    prompts: tuple[Prompt, ...]
    bill: Bill
    aside: Bill
    """The part of the bill that is nobody's turn: titles, quota probes, monitors."""
    commits: tuple[Commit, ...] = ()
    """All of the session, also those between its prompts."""
    refs: tuple[Ref, ...] = ()

    @property
    def steps(self) -> list[Step]:
        """Everything that was done, in order."""
        return [step for prompt in self.prompts for step in prompt.steps]

    @property
    def lines_added(self) -> int:
        """Over all changes."""
        return sum(c.added for step in self.steps for c in step.action.changes)

    @property
    def lines_removed(self) -> int:
        """Over all changes."""
        return sum(c.removed for step in self.steps for c in step.action.changes)

    @property
    def files_touched(self) -> list[str]:
        """Paths that were changed, each once, in order."""
        return list(dict.fromkeys(c.path for s in self.steps for c in s.action.changes))

    @property
    def tool_failures(self) -> int:
        """Tool calls that failed, commands with another exit than 0 included."""
        return sum(step.action.failed for step in self.steps)

    @property
    def agent_commits(self) -> list[Commit]:
        """What tool calls committed and what is still there."""
        return [one for one in self.commits if one.is_of_agent and not one.replaced]

    @property
    def compactions(self) -> int:
        """How often the history was summed up."""
        return sum(prompt.compactions for prompt in self.prompts)


def split(
    whole: Span, model: Iterable[Span], tools: Iterable[Span], pauses: Iterable[Span] = ()
) -> Times:
    """Where the time between two moments went.

    While a model answers, tools do not count; while either works, *pauses* between tries do not.
    """
    answering = _merged(_inside(model, whole))
    busy = _merged([*answering, *_inside(tools, whole)])
    taken = _merged([*busy, *_inside(pauses, whole)])
    model_us, busy_us, taken_us = _length(answering), _length(busy), _length(taken)
    idle_us = max(0, whole[1] - whole[0] - taken_us)
    return Times(model_us, busy_us - model_us, idle_us, taken_us - busy_us)


def pauses_of(tries: Iterable[tuple[str | None, int, int | None]]) -> list[Span]:
    """The time between the tries of each operation: its id, when each began and ended, in order."""
    ended: dict[str, int] = {}
    pauses = []
    for operation, began, end in tries:
        if operation is None:
            continue
        before = ended.get(operation)
        if before is not None and before < began:
            pauses.append((before, began))
        ended[operation] = max(end or began, before or began)
    return pauses


def length(spans: Iterable[Span]) -> int:
    """How long *spans* are together; what overlaps counts once."""
    return _length(_merged(spans))


def _inside(spans: Iterable[Span], whole: Span) -> Iterable[Span]:
    return ((max(begin, whole[0]), min(end, whole[1])) for begin, end in spans)


def _merged(spans: Iterable[Span]) -> list[Span]:
    """*spans* in order, without overlap."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if end <= begin:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def _length(spans: Sequence[Span]) -> int:
    return sum(end - begin for begin, end in spans)
