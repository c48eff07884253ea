"""Side calls known by how they begin, on the wires that their agents speak."""

import pytest

from agenttrace_mitm.providers.side_calls import ASIDES

from .exchanges import told

ASKED = "Give the title page a wider margin."


def anthropic(system, *asked, tools=()):
    blocks = [{"type": "text", "text": text} for text in ("You are Claude Code.", system)]
    messages = [{"role": "user", "content": text} for text in asked]
    body = {"model": "m", "system": blocks, "messages": messages}
    return "anthropic", "/v1/messages", body | ({"tools": [*tools]} if tools else {})


def chat(system, *asked):
    messages = [{"role": "system", "content": system}]
    messages += [{"role": "user", "content": text} for text in asked]
    return "openai", "/v1/chat/completions", {"model": "m", "messages": messages}


def responses(system, *asked):
    told_first = [{"role": "developer", "content": system}]
    body = {"model": "m", "input": told_first + [{"role": "user", "content": a} for a in asked]}
    return "openai", "/v1/responses", body


def gemini(system, *asked):
    body = {
        "systemInstruction": {"role": "user", "parts": [{"text": f"\n{system}"}]},
        "contents": [{"role": "user", "parts": [{"text": text}]} for text in asked],
    }
    return "google", "/v1beta/models/gemini-2.5-flash:generateContent", body


WIRES = [anthropic, chat, responses, gemini]


def kind(wire):
    provider, path, body = wire
    return told(provider, path, {}, body).kind


def says(aside, wire, **more):
    """A request on *wire* that begins as *aside* does, where an aside of its kind says so."""
    begins = f"{aside.begins} And so on."
    if aside.says == "system":
        return wire(begins, "Generate a title for this conversation:\n", ASKED, **more)
    return wire("You are an agent.", ASKED, begins, **more)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("aside", ASIDES, ids=lambda aside: aside.begins[:30])
def test_a_side_call_is_known_by_how_it_begins(wire, aside):
    assert kind(says(aside, wire)) == "auxiliary"


@pytest.mark.parametrize("aside", ASIDES, ids=lambda aside: aside.begins[:30])
def test_who_offers_tools_goes_on_with_the_conversation(aside):
    assert kind(says(aside, anthropic, tools=[{"name": "Bash"}])) == "llm"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("aside", ASIDES, ids=lambda aside: aside.begins[:30])
def test_what_only_speaks_of_side_calls_is_a_prompt(wire, aside):
    quoted = f"Why does my agent say this? {aside.begins}"
    assert kind(wire(quoted, quoted)) == "llm"
    assert kind(wire("You are an agent.", f"{aside.begins} And so on.", ASKED)) == "llm"
    assert kind(wire("You write titles.", "Generate a title for this conversation: tea")) == "llm"
    if aside.says == "system":
        assert kind(wire("You are an agent.", aside.begins)) == "llm"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "system",
    [
        "You are a helpful AI assistant that generates concise, descriptive titles for recipes.",
        "You are a helpful AI assistant that generates concise, descriptive titles for"
        " conversations. Write them in French.",
        "Generate a concise, sentence-case title (3-7 words) for this article.",
        "You are a specialized Task Routing AI. Route tickets to the team that owns them.",
    ],
)
def test_an_application_of_its_own_is_none(wire, system):
    assert kind(wire(system, ASKED)) == "llm"


def test_a_guess_of_the_next_prompt_is_aside_with_tools_as_well():
    guess = "[SUGGESTION MODE: Suggest what the user might naturally type next into Claude Code.]"
    bash = [{"name": "Bash"}]
    assert kind(anthropic("You are an agent.", ASKED, guess, tools=bash)) == "auxiliary"
    assert kind(anthropic("You are an agent.", guess, ASKED, tools=bash)) == "llm"
    assert kind(anthropic("You are an agent.", f"What is {guess}", tools=bash)) == "llm"
