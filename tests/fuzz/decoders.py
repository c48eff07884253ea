"""The stream decoders of `wire/`, found by their shape: a new one is tested without being told."""

import inspect
import pkgutil
from importlib import import_module
from typing import Any

from agenttrace_mitm import wire

# They give bytes, not events, and are tested for themselves.
_OTHERS = ("decoders",)


def stream_decoders() -> list[Any]:
    """Every class there that is fed bytes and gives events."""
    modules = (
        import_module(f"{wire.__name__}.{module.name}")
        for module in pkgutil.iter_modules(wire.__path__)
        if module.name not in _OTHERS
    )
    found = {
        decoder
        for module in modules
        for _, decoder in inspect.getmembers(module, inspect.isclass)
        if decoder.__module__ == module.__name__ and _is_decoder(decoder)
    }
    return sorted(found, key=lambda decoder: decoder.__name__)


def _is_decoder(shape: Any) -> bool:
    return (
        hasattr(shape, "feed")
        and hasattr(shape, "close")
        and not shape.__dict__.get("_is_protocol")
    )
