"""Who called: the best name that anything gives."""

import pytest

from agenttrace_mitm.model import Caller, Headers, Links
from agenttrace_mitm.providers import client_of, is_library
from agenttrace_mitm.traces.identity import agent_of

SDK = "OpenAI/Python 3.52.0"
CODING_AGENT = "claude-cli/2.1.329 (external, cli)"
SCRIPT = Caller(process="my_agent.py")


@pytest.mark.parametrize(
    ("caller", "links", "user_agent", "expected"),
    [
        (Caller(agent="told", process="x.py"), Links(agent_id="header"), SDK, "told"),
        (SCRIPT, Links(agent_id="header"), SDK, "header"),
        (Caller(process="node"), Links(), CODING_AGENT, "claude-code"),
        (SCRIPT, Links(), SDK, "my_agent.py"),
        (SCRIPT, Links(), "curl/8.1", "my_agent.py"),
        (SCRIPT, Links(), "research-bot/1.0", "research-bot"),
        (Caller(), Links(), SDK, "openai-python"),
        (Caller(), Links(), "", None),
    ],
)
def test_the_best_name_wins(
    caller: Caller, links: Links, user_agent: str, expected: str | None
) -> None:
    """What the user said, then what the program says, then its script, then its library."""
    client = client_of(user_agent, Headers())
    library = is_library(client)
    assert agent_of(caller, links, client, user_agent, is_library=library) == expected
