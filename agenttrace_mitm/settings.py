"""Every setting, where it comes from, and what it defaults to.

Command line first, then `AGENTTRACE_*`, then `config.json` in the home folder, then the default.
A wrong value raises `SettingsError` naming the setting and its source.

Structs, not pydantic models: each process that starts begins by reading its settings, and pydantic
takes 80 ms to be there.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct, convert, field, to_builtins
from msgspec.structs import fields

from .errors import SettingsError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

ENV_PREFIX = "AGENTTRACE_"


def home_folder() -> Path:
    """`AGENTTRACE_HOME`, or `~/.agenttrace`."""
    return Path(os.environ.get("AGENTTRACE_HOME") or Path.home() / ".agenttrace").expanduser()


def bytes_of(said: str) -> int:
    """The size *said* like 500MB or 2GB, or as a number of bytes.

    Raises `ValueError` for other words.
    """
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
    number, unit = (said[:-2], said[-2:].upper()) if said[-2:].upper() in units else (said, "")
    try:
        return int(float(number) * units.get(unit, 1))
    except (ValueError, OverflowError):
        raise ValueError("a size is written like 500MB or 2GB") from None


class AddedHost(Struct, frozen=True, forbid_unknown_fields=True):
    """A host of the user's: whose dialect it speaks, and under which name it is recorded."""

    speaks: str
    provider: str


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user may choose.  Field names are the names in `config.json`."""

    home: Annotated[Path, Meta(description="folder of everything stored")] = field(
        default_factory=home_folder
    )
    proxy_host: Annotated[str, Meta(description="address the proxy listens on")] = "127.0.0.1"
    proxy_port: Annotated[int, Meta(ge=0, le=65535, description="port of the proxy")] = 4000
    workers: Annotated[
        int, Meta(ge=1, le=64, description="capture processes that share that port")
    ] = 1
    host: Annotated[str, Meta(description="address of the web pages")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port of the web pages")] = 8080
    db: Annotated[
        Path | None, Meta(description="database file; data.db in the home folder when unset")
    ] = None
    privacy_tier: Annotated[
        Literal[1, 2, 3],
        Meta(description="1 metadata, 2 conversation without model replies, 3 everything"),
    ] = 3
    retention_days: Annotated[
        int, Meta(ge=0, description="days that content is kept; 0 keeps it")
    ] = 30
    metadata_days: Annotated[
        int, Meta(ge=0, description="days that calls are kept at all, sums stay; 0 keeps them")
    ] = 0
    retention_agents: Annotated[
        dict[str, Annotated[int, Meta(ge=0)]],
        Meta(description="agent -> days that its content is kept, where not as long as others'"),
    ] = field(default_factory=dict)
    metadata_agents: Annotated[
        dict[str, Annotated[int, Meta(ge=0)]],
        Meta(
            description="agent -> days that its calls are kept at all, where not as long as others'"
        ),
    ] = field(default_factory=dict)
    max_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="size, such as 2GB, beyond which the oldest content goes, then the oldest"
            " calls; 0 is no limit",
        ),
    ] = 0
    upstream_ca: Annotated[
        Path | None,
        Meta(description="PEM file trusted for upstream servers besides the system's roots"),
    ] = None
    upstream_proxy: Annotated[
        str | None,
        Meta(description="http://[user:password@]host:port through which providers are reached"),
    ] = None
    upstream_map: Annotated[
        dict[str, str],
        Meta(description="provider host -> host:port or URL that gets its traffic instead"),
    ] = field(default_factory=dict)
    hosts_enabled: Annotated[
        list[str], Meta(description="host profiles switched on besides the five providers")
    ] = field(default_factory=list)
    hosts_disabled: Annotated[
        list[str], Meta(description="provider hosts that are not decrypted")
    ] = field(default_factory=list)
    hosts_added: Annotated[
        dict[str, str | AddedHost],
        Meta(description="further hosts to decrypt: host -> provider, or -> {speaks, provider}"),
    ] = field(default_factory=dict)
    git: Annotated[
        bool, Meta(description="ask git which commits a session made; never at privacy tier 1")
    ] = True
    alerts: Annotated[bool, Meta(description="`start` checks the alert rules every minute")] = True
    ingest_per_minute: Annotated[
        int, Meta(ge=1, description="events a minute that the API takes from one token")
    ] = 1000
    time_zone: Annotated[
        str,
        Meta(description="zone of budgets' days, such as Europe/Berlin; empty: the machine's own"),
    ] = ""
    public_url: Annotated[
        str,
        Meta(description="address of the pages as links in alerts name it; empty: host and port"),
    ] = ""
    smtp: Annotated[
        dict[str, str],
        Meta(
            description="mail server of alerts: SMTP_HOST and the like; the environment comes first"
        ),
    ] = field(default_factory=dict)
    open_browser: Annotated[bool, Meta(description="open the dashboard when it starts")] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="what the log files hold")
    ] = "warning"

    def told(self) -> dict[str, Any]:
        """As JSON can say them: for another process, which makes them again by `heard`."""
        said: dict[str, Any] = to_builtins(self, enc_hook=str)  # of ours, only paths are strange
        return said

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.db or self.home / "data.db"

    @property
    def ca_folder(self) -> Path:
        """Certificate authority: key, certificates, trust bundles."""
        return self.home / "ca"

    @property
    def root_file(self) -> Path:
        """The certificate that programs have to trust: public, and all that most commands want."""
        return self.ca_folder / "root.pem"

    @property
    def run_folder(self) -> Path:
        """Sockets and the state of a running instance."""
        return self.home / "run"

    @property
    def spool_folder(self) -> Path:
        """Records that SQLite could not take yet."""
        return self.home / "spool"

    @property
    def log_folder(self) -> Path:
        """One log file per process."""
        return self.home / "logs"

    @property
    def installed_folder(self) -> Path:
        """What was changed on this machine outside the home folder, and how to undo it."""
        return self.home / "installed"

    @property
    def token_file(self) -> Path:
        """The access token of pages and API."""
        return self.home / "token"

    @property
    def fingerprint_file(self) -> Path:
        """The local secret that message fingerprints are keyed with."""
        return self.home / "fingerprint.key"

    @property
    def notice_file(self) -> Path:
        """There once somebody was told what is kept."""
        return self.home / "notice"

    @property
    def webhook_key_file(self) -> Path:
        """The secret that webhooks are signed with."""
        return self.home / "webhook.key"

    @property
    def pages_url(self) -> str:
        """Where the pages are, for links; no slash at the end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def recorder_socket(self) -> Path:
        """Where the recorder takes frames."""
        return self.run_folder / "recorder.sock"


def load(given: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force; *given* holds what the command line said, None for the unsaid."""
    said = {key: value for key, value in (given or {}).items() if value is not None}
    config = home_folder() / "config.json"
    filed = _filed(config)
    given = {**filed, **_environment(), **said}
    try:
        return heard(given)
    except ValueError as error:
        raise _explain(error, given, said, config) from None


def said_by(given: Mapping[str, Any]) -> dict[str, str]:
    """The settings that command line or environment say, each with the words that say it."""
    options = {name: _option(name) for name, value in given.items() if value is not None}
    return {name: _variable(name) for name in _environment()} | options


def heard(given: Mapping[str, Any]) -> Settings:
    """The settings that *given* says, and defaults.  Raises `ValueError` for what is none."""
    found = convert(
        {name: _meant(name, value) for name, value in given.items()},
        Settings,
        strict=False,
        dec_hook=_path,
    )
    _judge(found)
    return found


def described() -> dict[str, tuple[object, str]]:
    """Default and meaning of each setting."""
    return {
        one.name: (
            one.default if one.default is not NODEFAULT else one.default_factory(),
            get_args(one.type)[1].description,
        )
        for one in fields(Settings)
    }


def _filed(config: Path) -> dict[str, Any]:
    """What `config.json` says; nothing where there is none."""
    try:
        filed = json.loads(config.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise SettingsError(f"{config} is not valid JSON ({error})", "Fix or remove it") from None
    except OSError as error:
        raise SettingsError(
            f"{config} cannot be read ({error.strerror})", "Check its mode"
        ) from None
    if not isinstance(filed, dict):
        raise SettingsError(f"{config} is no object of settings", "Fix or remove it")
    return filed


def _environment() -> dict[str, Any]:
    """What `AGENTTRACE_*` says: a word, or JSON where a setting is a list or an object."""
    found: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        variable = _variable(name)
        if (value := os.environ.get(variable)) is None:
            continue
        found[name] = value
        if get_origin(kind) in (list, dict):
            try:
                found[name] = json.loads(value)
            except ValueError as error:
                problem = f"{variable} in the environment is not valid JSON ({error})"
                raise SettingsError(problem, "Correct it") from None
    return found


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper()


def _meant(name: str, value: object) -> object:
    """*value* of the setting *name*, where people have more words for it than JSON has."""
    if not isinstance(value, str):
        return value
    if name == "max_bytes":
        return bytes_of(value)
    if _KINDS.get(name) is bool and value.lower() in (*_YES, *_NO):
        return value.lower() in _YES
    return value


def _judge(found: Settings) -> None:
    """Refuse what is text and means nothing: later, nobody would say so.  Raises `ValueError`."""
    if found.time_zone:
        zone_of(found.time_zone)
    if not (found.upstream_map or found.upstream_proxy):
        return
    from . import detours  # noqa: PLC0415  # few use one: the others need not wait for it

    for host, target in found.upstream_map.items():
        if not detours.is_host(host):
            raise ValueError(f"{host!r} is not the name of a host")
        detours.target_of(target)
    if found.upstream_proxy:
        detours.proxy_of(found.upstream_proxy)


def zone_of(name: str) -> "ZoneInfo":
    """The time zone called *name*, such as `Europe/Berlin`.  Raises `ValueError`."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415  # as above

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError("expected a zone of the tz database, such as Europe/Berlin") from None


def _path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError("Expected a path")


def _explain(
    error: ValueError, given: Mapping[str, Any], said: Mapping[str, Any], config: Path
) -> SettingsError:
    """What is wrong with the first of the *given* that is."""
    for name, value in given.items():
        if name in said:
            where = f"{_option(name)} on the command line"
        elif (variable := _variable(name)) in os.environ:
            where = f"{variable} in the environment"
        else:
            where = f"{name!r} in {config}"
        if name not in _KINDS:
            return SettingsError(f"{where} is not a setting", "See docs/settings.md for the names")
        try:
            heard({name: value})
        except ValueError as wrong:
            expected = _wanted(name)
            problem = f"expected {expected}" if expected else f"{wrong}"
            got = "" if _may_be_secret(name, value) else f" (got {value!r})"
            return SettingsError(f"{where} is wrong: {problem}{got}", "Correct it")
    return SettingsError(f"The settings are wrong: {error}", "Correct them")


def _may_be_secret(name: str, value: object) -> bool:
    """Whether a password may be in *value*, which a terminal, or cron's mail, would keep."""
    mapping = isinstance(value, dict) or get_origin(_KINDS[name]) is dict  # such as `smtp`
    return mapping or name in ("upstream_proxy", "public_url")


def _wanted(name: str) -> str:
    """What a value of the setting has to be; empty where only the error can say."""
    kind, meta = _KINDS[name], get_args(Settings.__annotations__[name])[1]
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if name == "max_bytes":
        return "a size like 500MB or 2GB"
    if kind is int:
        most = "" if meta.le is None else f" to {meta.le}"
        return f"a whole number from {meta.ge}{most}"
    return "true or false" if kind is bool else ""


_KINDS: Mapping[str, Any] = {one.name: get_args(one.type)[0] for one in fields(Settings)}
_YES, _NO = ("yes", "y", "on", "t"), ("no", "n", "off", "f")
"""Beside `true`, `1` and their opposites, which msgspec knows."""
