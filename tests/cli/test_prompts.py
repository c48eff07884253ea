"""`prompts` as a user has it."""

from agenttrace_mitm.store import open_database

from ..traces.talks import Recording, says
from ..traces.talks import user as asks


def test_list_show_and_diff(user):
    db = open_database(user.home / "data.db").conn
    talk = Recording(db)
    for words in ("You help.", "You help a lot."):
        talk.call([asks("Hello there.")], says("Hello."), system=words, agent="helper")
    ids = [row[0] for row in db.execute("select prompt_id from prompts order by first_seen_us")]
    db.close()
    listed = user.types("prompts", "list", "--agent", "helper")
    assert ids[0][:12] in listed.stdout, listed.stderr
    assert "system" in listed.stdout
    assert listed.stdout.endswith("\np50, p95: latency of answered calls.\n")
    assert user.types("prompts", "show", ids[1][:8]).stdout == "You help a lot.\n"
    told = user.types("prompts", "diff", ids[0][:8], ids[1][:8])
    assert "-You help.\n+You help a lot." in told.stdout
    wrong = user.types("prompts", "show", "zz")
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr
    assert "no prompt 'zz'" in wrong.stderr
