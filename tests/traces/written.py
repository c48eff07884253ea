"""Runs that we wrote: an agent with tools, one with a sub-agent, a fork, a plain conversation.

Several side by side, as programs are: interleaved call by call.
"""

from msgspec.structs import replace

from agenttrace_mitm.model import Exchange

from .talks import Json, Recording, says, tool_result, tool_use, user


def runs(width: int = 2) -> list[Exchange]:
    """The exchanges of *width* times all runs, in the order in which they begin, ids and all."""
    makers = [maker for _ in range(width) for maker in (_tools, _delegation, _fork, _chat)]
    clock = Recording()
    whole = [
        [(messages, reply, number) for messages, reply in maker(number)]
        for number, maker in enumerate(makers)
    ]
    steps = max(map(len, whole))
    turns = [run[step] for step in range(steps) for run in whole if step < len(run)]
    made = (
        clock.exchange(messages, reply, pid=100 + number, agent=f"agent-{number}")
        for messages, reply, number in turns
    )
    return [replace(one, id=f"{count:032x}") for count, one in enumerate(made, 1)]


type Turns = list[tuple[list[Json], Json]]


def _tools(number: int) -> Turns:
    """Asks, calls two tools one after the other, answers; then the person asks again."""
    asked = [user(f"Which files of project {number} are too long?")]
    ls = tool_use(f"toolu_{number}ls0123456789ab", "Bash", command="ls -l")
    wc = tool_use(f"toolu_{number}wc0123456789ab", "Bash", command="wc -l *")
    turns: Turns = [(list(asked), ls)]
    asked += [ls, tool_result(f"toolu_{number}ls0123456789ab", "a.py b.py")]
    turns.append((list(asked), wc))
    asked += [wc, tool_result(f"toolu_{number}wc0123456789ab", "900 a.py")]
    turns.append((list(asked), says(f"Only a.py of project {number}, with 900 lines.")))
    asked += [says(f"Only a.py of project {number}, with 900 lines."), user("Then cut it in two.")]
    turns.append((list(asked), says("It is cut in two files of 450 lines each now.")))
    return turns


def _delegation(number: int) -> Turns:
    """An agent that has another one work for it."""
    prompt = f"Look through all folders of tree {number} and tell me which one is the largest."
    task = tool_use(f"toolu_{number}task123456789a", "Task", prompt=prompt)
    asked = [user(f"Where did the disk of machine {number} go?")]
    du = tool_use(f"toolu_{number}du0123456789ab", "Bash", command="du -s *")
    told = says(f"The largest folder of tree {number} is /var/log.")
    below = [user(prompt)]
    turns: Turns = [(list(asked), task), (list(below), du)]
    below += [du, tool_result(f"toolu_{number}du0123456789ab", "9 /var/log")]
    turns.append((list(below), told))
    asked += [task, tool_result(f"toolu_{number}task123456789a", "It is /var/log.")]
    turns.append((list(asked), says(f"The logs of machine {number} have filled it.")))
    return turns


def _fork(number: int) -> Turns:
    """Two questions that go on from the same answer."""
    asked = [user(f"Name a river, number {number}.")]
    river = says(f"The river with the number {number} is called Elbe, I believe.")
    return [
        (list(asked), river),
        ([*asked, river, user("How long is it?")], says("It is 1,094 kilometres long.")),
        ([*asked, river, user("Where does it end?")], says("It ends in the North Sea.")),
    ]


def _chat(number: int) -> Turns:
    """A conversation of four questions."""
    asked: list[Json] = []
    turns: Turns = []
    for step in range(4):
        answer = says(f"Answer {step} to the person who talks of {number}, at some length.")
        asked.append(user(f"Question {step} about {number}?"))
        turns.append((list(asked), answer))
        asked.append(answer)
    return turns
