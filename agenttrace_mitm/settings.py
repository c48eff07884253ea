"""Every setting, where it comes from, and what it defaults to.

Command line first, then `AGENTTRACE_*`, then `config.json` in the home folder, then the default.
A wrong value raises `SettingsError` naming the setting and its source.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .errors import SettingsError

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


class AddedHost(BaseModel):
    """A host of the user's: whose dialect it speaks, and under which name it is recorded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speaks: str
    provider: str


class Settings(BaseModel):
    """What the user may choose.  Field names are the names in `config.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(default_factory=home_folder, description="folder of everything stored")
    proxy_host: str = Field("127.0.0.1", description="address the proxy listens on")
    proxy_port: int = Field(4000, ge=0, le=65535, description="port of the proxy")
    workers: int = Field(1, ge=1, le=64, description="capture processes that share that port")
    host: str = Field("127.0.0.1", description="address of the web pages")
    port: int = Field(8080, ge=0, le=65535, description="port of the web pages")
    db: Path | None = Field(
        None, description="database file; data.db in the home folder when unset"
    )
    privacy_tier: Literal[1, 2, 3] = Field(
        3, description="1 metadata, 2 conversation without model replies, 3 everything"
    )
    retention_days: int = Field(30, ge=0, description="days that content is kept; 0 keeps it")
    metadata_days: int = Field(
        0, ge=0, description="days that calls are kept at all, sums stay; 0 keeps them"
    )
    retention_agents: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict,
        description="agent -> days that its content is kept, where not as long as others'",
    )
    metadata_agents: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict,
        description="agent -> days that its calls are kept at all, where not as long as others'",
    )
    max_bytes: int = Field(
        0,
        ge=0,
        description="size, such as 2GB, beyond which the oldest content goes, then the oldest"
        " calls; 0 is no limit",
    )
    upstream_ca: Path | None = Field(
        None, description="PEM file trusted for upstream servers besides the system's roots"
    )
    upstream_proxy: str | None = Field(
        None, description="http://[user:password@]host:port through which providers are reached"
    )
    upstream_map: dict[str, str] = Field(
        default_factory=dict,
        description="provider host -> host:port or URL that gets its traffic instead",
    )
    hosts_enabled: list[str] = Field(
        default_factory=list, description="host profiles switched on besides the five providers"
    )
    hosts_disabled: list[str] = Field(
        default_factory=list, description="provider hosts that are not decrypted"
    )
    hosts_added: dict[str, str | AddedHost] = Field(
        default_factory=dict,
        description="further hosts to decrypt: host -> provider, or -> {speaks, provider}",
    )
    git: bool = Field(
        True, description="ask git which commits a session made; never at privacy tier 1"
    )
    alerts: bool = Field(True, description="`start` checks the alert rules every minute")
    ingest_per_minute: int = Field(
        1000, ge=1, description="events a minute that the API takes from one token"
    )
    time_zone: str = Field(
        "", description="zone of budgets' days, such as Europe/Berlin; empty: the machine's own"
    )
    public_url: str = Field(
        "", description="address of the pages as links in alerts name it; empty: host and port"
    )
    smtp: dict[str, str] = Field(
        default_factory=dict,
        description="mail server of alerts: SMTP_HOST and the like; the environment comes first",
    )
    open_browser: bool = Field(True, description="open the dashboard when it starts")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="what the log files hold"
    )

    @field_validator("privacy_tier", mode="before")
    @classmethod
    def _tier_from_text(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @field_validator("max_bytes", mode="before")
    @classmethod
    def _bytes_from_text(cls, value: object) -> object:
        return bytes_of(value) if isinstance(value, str) else value

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.db or self.home / "data.db"

    @property
    def ca_folder(self) -> Path:
        """Certificate authority: key, certificates, trust bundles."""
        return self.home / "ca"

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
    def webhook_key_file(self) -> Path:
        """The secret that webhooks are signed with."""
        return self.home / "webhook.key"

    @property
    def pages_url(self) -> str:
        """Where the pages are, for links; no slash at the end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
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
    try:
        return Settings(**{**filed, **_environment(), **said})
    except ValidationError as error:
        raise _explain(error, said, config) from None


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
    for name, field in Settings.model_fields.items():
        variable = ENV_PREFIX + name.upper()
        if (value := os.environ.get(variable)) is None:
            continue
        found[name] = value
        if get_origin(field.annotation) in (list, dict):
            try:
                found[name] = json.loads(value)
            except ValueError as error:
                problem = f"{variable} in the environment is not valid JSON ({error})"
                raise SettingsError(problem, "Correct it") from None
    return found


def _explain(error: ValidationError, said: Mapping[str, Any], config: Path) -> SettingsError:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    variable = ENV_PREFIX + name.upper()
    if name in said:
        where = f"--{name.replace('_', '-')} on the command line"
    elif variable in os.environ:
        where = f"{variable} in the environment"
    else:
        where = f"{name!r} in {config}"
    if first["type"] == "extra_forbidden":
        return SettingsError(f"{where} is not a setting", "See docs/settings.md for the names")
    return SettingsError(f"{where} is wrong: {first['msg']} (got {first['input']!r})", "Correct it")
