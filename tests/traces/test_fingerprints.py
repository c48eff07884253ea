"""Equal messages are recognised; nothing else is."""

from agenttrace_mitm.model import Message, TextPart, ToolCallPart, UnknownPart
from agenttrace_mitm.traces import Fingerprinter

KEY = b"k" * 32


def _user(text: str) -> Message:
    return Message("user", (TextPart(text),))


def test_a_history_is_a_prefix_of_what_goes_on_from_it() -> None:
    """The chain values of the earlier messages come back."""
    prints = Fingerprinter(KEY)
    first = prints.place([_user("a"), _user("b")])
    longer = prints.place([_user("a"), _user("b"), _user("c")])
    assert [p.chain for p in longer][:2] == [p.chain for p in first]


def test_the_same_words_elsewhere_have_the_same_fingerprint_but_another_chain() -> None:
    """Content is stored once; conversations are kept apart."""
    prints = Fingerprinter(KEY)
    [one] = prints.place([_user("hello")])
    other = prints.place([_user("x"), _user("hello")])[1]
    assert one.fingerprint == other.fingerprint
    assert one.chain != other.chain


def test_role_words_and_arguments_matter() -> None:
    """What differs is told apart."""
    prints = Fingerprinter(KEY)
    messages = [
        _user("a"),
        _user("b"),
        Message("assistant", (TextPart("a"),)),
        Message("assistant", (ToolCallPart("1", "ls", "{}"),)),
        Message("assistant", (ToolCallPart("1", "ls", '{"a":1}'),)),
    ]
    assert len({prints.place([m])[0].fingerprint for m in messages}) == len(messages)


def test_volatile_keys_do_not_matter() -> None:
    """A moved cache breakpoint is the same message."""
    prints = Fingerprinter(KEY)
    plain = Message("user", (UnknownPart({"type": "new", "x": [1]}),))
    marked = Message(
        "user", (UnknownPart({"type": "new", "x": [1], "cache_control": {"type": "e"}}),)
    )
    assert prints.place([plain])[0].fingerprint == prints.place([marked])[0].fingerprint


def test_without_the_key_nothing_can_be_guessed() -> None:
    """Another installation's fingerprints say nothing about ours."""
    mine, theirs = Fingerprinter(KEY), Fingerprinter(b"other key, other key, other key.")
    assert mine.place([_user("a")])[0].fingerprint != theirs.place([_user("a")])[0].fingerprint
