"""Options that are settings: the same names on the command line, in the environment, on disk.

Values are passed on as text: `settings.load` judges all three sources alike, and names the one
that is wrong.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from .typed import names_database

if TYPE_CHECKING:
    from pathlib import Path

    from ..settings import Settings

type Function = Callable[..., Any]

# setting: (metavar, default shown, help)
OPTIONS = {
    "proxy_port": ("PORT", "4000", "Port of the proxy; 0 takes a free one."),
    "proxy_host": ("HOST", "127.0.0.1", "Address the proxy listens on."),
    "workers": ("N", "1", "Capture processes that share the proxy's port."),
    "port": ("PORT", "8080", "Port of the pages; 0 takes a free one."),
    "host": ("HOST", "127.0.0.1", "Address the pages listen on."),
    "db": ("FILE", "~/.agenttrace/data.db", "Database file."),
    "privacy_tier": ("1|2|3", "3", "1 metadata, 2 without model replies, 3 everything."),
    "retention_days": ("DAYS", "30", "How long content is kept; 0 keeps it."),
    "metadata_days": ("DAYS", "0", "How long calls are kept at all, sums stay; 0 keeps them."),
    "upstream_ca": ("FILE", "", "PEM file trusted upstream besides the system's roots."),
    "upstream_proxy": ("URL", "HTTPS_PROXY", "Proxy through which providers are reached."),
    "log_level": ("LEVEL", "warning", "What the log files hold: debug, info, warning, error."),
}
DAYS = click.IntRange(0, 36_500)
PAST_DAYS = click.IntRange(1, 36_500)
"""Counted back from now: a century, so that the first moment is one that clocks know."""
NUMBER = click.IntRange(0)
MOST = click.IntRange(1)
"""How many of a list."""
PATHS = ("db", "upstream_ca")
_JSON = f"{__name__}.json"
"""In click's `meta`, which all contexts of a command line share."""


def for_programs(help_: str = "For programs.") -> Callable[[Function], Function]:
    """`--json`, with which an error is an object on standard output as well: see `wants_json`."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> bool:
        context.meta[_JSON] = value
        return value

    return click.option("--json", "as_json", is_flag=True, help=help_, callback=remember)


def wants_json(context: click.Context) -> bool:
    """Whether the command line said `--json`."""
    return bool(context.meta.get(_JSON))


def settings(*names: str) -> Callable[[Function], Function]:
    """Options for these settings."""

    def decorate(function: Function) -> Function:
        for name in reversed(names):
            metavar, default, text = OPTIONS[name]
            option = click.option(
                "--" + name.replace("_", "-"),
                metavar=metavar,
                help=f"{text}  [default: {default}]" if default else text,
            )
            function = option(function)
        return function

    return decorate


def load(given: Mapping[str, Any]) -> "Settings":
    """The settings in force, with absolute paths: the processes have a folder of their own."""
    from msgspec.structs import replace

    from ..settings import load as load_settings

    found = load_settings({name: value for name, value in given.items() if value is not None})
    paths = {name: getattr(found, name) for name in ("home", *PATHS)}
    absolute = {name: path.expanduser().absolute() for name, path in paths.items() if path}
    if given.get("db") and "db" in absolute:
        names_database(absolute["db"])
    return replace(found, **absolute)


def prepared(given: Mapping[str, Any]) -> "Settings":
    """The settings of an instance: with the user's own proxy as the way out when none is set."""
    from msgspec.structs import replace

    from ..launch import inherited
    from .instance import user_environ

    settings = load(given)
    if settings.upstream_ca:
        _judge_roots(settings.upstream_ca)
    if settings.upstream_proxy:
        return settings
    proxy = inherited.upstream_proxy(user_environ(), settings.proxy_port)
    return replace(settings, upstream_proxy=proxy)


def _judge_roots(file: "Path") -> None:
    """Refuse a file without certificates now: later, every call would fail by it."""
    import ssl

    from ..errors import SettingsError

    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        raise SettingsError(
            f"The file {file} of upstream_ca cannot be used ({error.strerror or error})",
            "Give a PEM file with certificates",
        ) from None
