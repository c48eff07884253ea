"""Who may see the pages: the token in the home folder, one-time login codes, the cookie.

The token itself travels only in headers of programs.  A browser gets in with a code that works
once within two minutes, and stays in with a cookie; both are HMACs, so neither a log nor a
browser ever holds the token.  Also the key of the message fingerprints.  No I/O but these files.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from .errors import AgentTraceError, SettingsError
from .files import alone, put

CODE_LIFETIME_S = 120
TOKEN_BYTES = 32
SHORTEST_TOKEN = 16  # a shorter one can be guessed


def read_or_create_token(path: Path) -> str:
    """The token in *path*; a new one, readable by its owner only, when there is none.

    Raises `SettingsError` when the file can be neither read nor made.
    """
    try:
        token = _read(path)
        if token:
            return token
        with alone(path.parent):
            if not _read(path):  # another process may have been first
                _write_token(path)
        return _read(path)  # where there are no locks: what is in the file counts
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The access token {path} cannot be used ({error})", _REMEDY) from error


def fingerprint_key(path: Path) -> bytes:
    """The key of the message fingerprints in *path*, made on first use: for who records."""
    if not _has_content(path):
        with alone(path.parent):
            if not _has_content(path):
                put(path, secrets.token_bytes(32))
    return path.read_bytes()


def old_fingerprint_key(path: Path) -> bytes:
    """The key in *path*, for who infers again what it was used for: another would change all ids.

    Raises `AgentTraceError` when it is not there.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise AgentTraceError(
            f"This database was recorded with a key that is not here ({path}: {error.strerror})",
            f"Copy {path.name} from the home folder that recorded it",
        ) from None


def reset_token(path: Path) -> str:
    """A new token in *path*.  Every cookie, login code and configured client is out at once."""
    try:
        with alone(path.parent):
            return _write_token(path)
    except OSError as error:
        raise SettingsError(
            f"The access token {path} cannot be written ({error})", _REMEDY
        ) from error


def login_code(token: str, now: float) -> str:
    """A code that lets one browser in, once, until `CODE_LIFETIME_S` after *now*."""
    nonce = secrets.token_urlsafe(18)
    expiry = str(int(now) + CODE_LIFETIME_S)
    return f"{nonce}.{expiry}.{_code_signature(token, nonce, expiry)}"


class LoginCodes:
    """Accepts each login code once, whichever server of a home it is shown to.

    A used one leaves its nonce as the name of a file in *folder*, until it would have expired
    anyway.  Where no file can be made, this process remembers it alone.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._used: dict[str, int] = {}

    def accept(self, code: str, token: str) -> bool:
        """Whether *code* was made with *token*, is still good, and had not been used."""
        now = self._clock()
        self._used = {nonce: until for nonce, until in self._used.items() if until >= now}
        nonce, _, rest = code.partition(".")
        expiry, _, signature = rest.partition(".")
        if not _same(signature, _code_signature(token, nonce, expiry)):
            return False
        # Signed by us, so the expiry is a number.
        until = int(expiry)
        if until < now or nonce in self._used:
            return False
        self._used[nonce] = until
        return self._is_first(nonce, now)

    def _is_first(self, nonce: str, now: float) -> bool:
        """Whether no other server took *nonce*.  Made by us, it is a good name for a file."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for file in self._folder.iterdir():
                if file.stat().st_mtime < now - 2 * CODE_LIFETIME_S:
                    file.unlink(missing_ok=True)
        try:
            (self._folder / nonce).touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        except OSError:
            pass  # nothing can be written here
        return True


def cookie_name(token: str) -> str:
    """What the cookie is called: cookies know no ports, and each instance has its own token."""
    return f"agenttrace-{_hmac(token, 'agenttrace cookie name 1')[:8]}"


def cookie_value(token: str) -> str:
    """What the browser keeps: the same after a restart, worthless after `reset_token`."""
    return _hmac(token, "agenttrace cookie 1")


def is_cookie(token: str, value: str) -> bool:
    """Whether *value* is the cookie made with *token*."""
    return _same(value, cookie_value(token))


def is_token(token: str, value: str) -> bool:
    """Whether *value* is *token*, found out in constant time."""
    return _same(value, token)


_REMEDY = "Check the folder's owner and mode, or set AGENTTRACE_HOME to another folder"


def _code_signature(token: str, nonce: str, expiry: str) -> str:
    return _hmac(token, f"agenttrace login 1|{nonce}|{expiry}")


def _hmac(token: str, text: str) -> str:
    return hmac.new(token.encode(), text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    # compare_digest refuses non-ASCII text; bytes it takes.
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _read(path: Path) -> str:
    """The token, its file made private if it was not; "" when there is none."""
    try:
        token = path.read_text("ascii").strip()
    except FileNotFoundError:
        return ""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):
            path.chmod(0o600)
    if token and len(token) < SHORTEST_TOKEN:
        raise SettingsError(
            f"The access token {path} is shorter than {SHORTEST_TOKEN} characters",
            "Remove the file: the next start makes a good one",
        )
    return token


def _has_content(path: Path) -> bool:
    """False for a file that somebody made and could not fill: its disk was full."""
    return path.exists() and path.stat().st_size > 0


def _write_token(path: Path) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    put(path, f"{token}\n".encode("ascii"))
    return token
