"""What the database did not take, as a user sees it."""

from agenttrace_mitm.store import Spool


def test_dead_letters_are_listed_with_their_reason_and_requeued(user):
    assert "Nothing waits" in user.types("db", "spool").stdout
    Spool(user.home / "spool").bury_line("{torn", "not readable: cut off")
    assert "refused: not readable: cut off" in user.types("db", "spool").stdout
    said = user.types("db", "spool", "--requeue").stdout
    assert said.startswith("0 calls will be tried again")  # it is no record: it stays
    assert "refused: not readable" in said
