"""Fingerprints of before, shortened."""

import hashlib
from pathlib import Path

from agenttrace_mitm.store import open_database, prints
from agenttrace_mitm.traces import Fingerprinter

KEY = b"k" * 32


def test_old_prints_become_what_is_made_now(tmp_path: Path) -> None:
    """So that a call goes on finding the one it continues; a second time changes nothing."""
    db = open_database(tmp_path / "data.db").conn
    before = hashlib.blake2b(b"hello", key=KEY, digest_size=16).hexdigest()
    db.execute(
        "insert into messages (fingerprint, role, size, first_seen_us, privacy_tier)"
        " values (?, 'user', 5, 1, 1)",
        [before],
    )
    for _ in range(2):
        prints.shorten(db)
        found = db.execute("select fingerprint from messages").fetchall()
        assert found == [(Fingerprinter(KEY).of("hello"),)]
