"""The demo's coding agent does what its script says, for real."""

import json

from agenttrace_mitm.demo import answers, coder, coding


def blocks_of(reply: coding.Scripted, messages: list) -> list:
    """*reply* as the agent puts it together from the provider's stream."""
    blocks: list = []
    for _, event in answers.anthropic_scripted({"model": "m", "messages": messages}, reply):
        coder.fold(blocks, event)
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"])
    return blocks


def test_the_bug_is_mended(monkeypatch):
    """The tests fail, then pass; a sub-agent finds the callers; every tool is used."""
    ran, agents = [], set()
    use = coder.use

    def ask(messages, agent):
        agents.add(agent)
        return blocks_of(coding.reply(messages), messages)

    def used(name, told, folder):
        brought, failed = use(name, told, folder)
        ran.append((name, failed, brought))
        return brought, failed

    monkeypatch.setattr(coder, "ask", ask)
    monkeypatch.setattr(coder, "use", used)
    coder.main(list(coding.PROMPTS))
    assert [failed for name, failed, _ in ran if name == "Bash"] == [True, False, False]
    assert agents == {"coder", "coder/search"}
    [found] = [brought for name, _, brought in ran if name == "Grep"]
    assert "checkout.py" in found
    assert "report.py" in found
    assert {name for name, *_ in ran} == set(coder.NAMES)
    assert "Ran 3 tests" in ran[-1][2]
