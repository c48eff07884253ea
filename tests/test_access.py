"""Tokens, one-time codes, cookies."""

import errno
import os
import threading
from collections.abc import Callable

import pytest

from agenttrace_mitm import access, files
from agenttrace_mitm.errors import AgentTraceError, SettingsError

TOKEN = "a-token-that-is-long-enough"
NOW = 1_800_000_000.5


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def codes(tmp_path, clock):
    return access.LoginCodes(tmp_path / "used", clock)


def test_a_token_is_made_once_and_for_the_owner_only(tmp_path):
    path = tmp_path / "home" / "token"
    first = access.read_or_create_token(path)
    assert len(first) >= 40
    assert access.read_or_create_token(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["token"]


def _at_once(make: Callable[[], object]) -> set[object]:
    """What sixteen that *make* it at the same moment get."""
    seen: list[object] = []
    together = threading.Barrier(16)

    def starts() -> None:
        together.wait()
        seen.append(make())

    threads = [threading.Thread(target=starts) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 16
    return set(seen)


@pytest.mark.parametrize("found", [None, "", "\n"], ids=["nothing", "empty", "blank"])
def test_first_starts_at_once_agree(tmp_path, found):
    """Processes that start together end up with one token."""
    for turn in range(20):
        path = tmp_path / f"{turn}" / "token"
        if found is not None:
            path.parent.mkdir()
            path.write_text(found)
        seen = _at_once(lambda path=path: access.read_or_create_token(path))
        assert seen == {path.read_text().strip()}


def test_first_recorders_at_once_agree(tmp_path):
    for turn in range(20):
        path = tmp_path / f"{turn}" / "fingerprint.key"
        assert _at_once(lambda path=path: access.fingerprint_key(path)) == {path.read_bytes()}
        assert len(path.read_bytes()) == 32
        assert path.stat().st_mode & 0o777 == 0o600
        assert [*path.parent.iterdir()] == [path]


def _no_flock(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("locks", ["none", "refused"])
def test_without_locks_what_is_in_the_file_counts(tmp_path, monkeypatch, locks):
    if locks == "none":
        monkeypatch.setattr(files, "fcntl", None)
    else:
        monkeypatch.setattr(files.fcntl, "flock", _no_flock)
    token = access.read_or_create_token(tmp_path / "token")
    assert token == (tmp_path / "token").read_text().strip()
    key = access.fingerprint_key(tmp_path / "key")
    assert key == (tmp_path / "key").read_bytes()
    assert len(key) == 32


def test_a_key_that_could_not_be_written_is_made_anew(tmp_path):
    """The disk was full when it was made: nobody's fingerprints are without a key."""
    file = tmp_path / "fingerprint.key"
    file.touch()
    assert len(access.fingerprint_key(file)) == 32
    assert access.fingerprint_key(file) == file.read_bytes()


def test_an_empty_file_gets_a_token(tmp_path):
    path = tmp_path / "token"
    path.touch()
    assert access.read_or_create_token(path) == path.read_text().strip() != ""


def test_a_readable_token_file_is_made_private(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o644)
    assert access.read_or_create_token(path) == TOKEN
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"short", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff"])
def test_a_bad_token_is_refused_not_replaced(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="access token"):
        access.read_or_create_token(path)
    assert path.read_bytes() == content


def test_an_unusable_place_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError):
        access.read_or_create_token(tmp_path / "file" / "token")


def test_the_key_of_what_was_recorded_is_not_made(tmp_path):
    file = tmp_path / "fingerprint.key"
    with pytest.raises(AgentTraceError, match="a key that is not here"):
        access.old_fingerprint_key(file)
    assert not file.exists()
    assert access.fingerprint_key(file) == access.old_fingerprint_key(file)


def test_reset_changes_everything(tmp_path, codes):
    path = tmp_path / "token"
    old = access.read_or_create_token(path)
    code, cookie = access.login_code(old, NOW), access.cookie_value(old)
    new = access.reset_token(path)
    assert new != old
    assert path.read_text().strip() == new
    assert not codes.accept(code, new)
    assert not access.is_cookie(new, cookie)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_code_works_once(codes):
    code = access.login_code(TOKEN, NOW)
    assert codes.accept(code, TOKEN)
    assert not codes.accept(code, TOKEN)
    assert codes.accept(access.login_code(TOKEN, NOW), TOKEN)


def test_a_code_works_once_whichever_server_it_is_shown_to(tmp_path, codes, clock):
    """One that was started again, or another one of the same home; what is old is tidied up."""
    code = access.login_code(TOKEN, NOW)
    assert codes.accept(code, TOKEN)
    (old,) = (tmp_path / "used").iterdir()
    os.utime(old, (NOW, NOW))  # by that clock
    another = access.LoginCodes(tmp_path / "used", clock)
    assert not another.accept(code, TOKEN)
    clock.now = NOW + 3 * access.CODE_LIFETIME_S
    assert another.accept(access.login_code(TOKEN, clock.now), TOKEN)
    assert not old.exists()


def test_a_code_works_where_nothing_can_be_written(tmp_path, clock):
    (tmp_path / "file").touch()
    codes, code = (
        access.LoginCodes(tmp_path / "file" / "used", clock),
        access.login_code(TOKEN, NOW),
    )
    assert codes.accept(code, TOKEN)
    assert not codes.accept(code, TOKEN)


def test_a_code_expires_and_is_forgotten(codes, clock):
    late, used = access.login_code(TOKEN, NOW), access.login_code(TOKEN, NOW)
    assert codes.accept(used, TOKEN)
    clock.now = NOW + access.CODE_LIFETIME_S + 1
    assert not codes.accept(late, TOKEN)
    assert not codes.accept(used, TOKEN)
    assert codes._used == {}


def test_forged_codes_are_refused(codes):
    nonce, expiry, signature = access.login_code(TOKEN, NOW).split(".")
    for code in (
        "", ".", "..", "é.é.é", f"{nonce}.{expiry}", f"{nonce}.{expiry}.", "x" * 5000,
        f"{nonce}.{int(expiry) + 60}.{signature}", f"other.{expiry}.{signature}",
        f"{nonce}.{expiry}.{'0' * 64}", f"{nonce}.{expiry}.{signature}.", "\ud800.1.2",
        access.login_code("another-token-long-enough", NOW),
    ):  # fmt: skip
        assert not codes.accept(code, TOKEN), code


def test_the_cookie_is_not_the_token_nor_a_code():
    cookie = access.cookie_value(TOKEN)
    assert TOKEN not in cookie
    assert access.is_cookie(TOKEN, cookie)
    assert not access.is_cookie(TOKEN, TOKEN)
    assert not access.is_cookie(TOKEN, "é")
    assert not access.is_token(TOKEN, cookie)
    name = access.cookie_name(TOKEN)
    assert name != access.cookie_name(TOKEN + "x")
    assert name.removeprefix("agenttrace-") not in TOKEN + cookie
