"""mitmproxy without what nobody here has asked for, which took half of the start of capture.

Whoever imports one module of `mitmproxy.addons` gets them all, and with them a web framework, LDAP
and more.  QUIC, which we turn down, checks names with `service_identity`; options can be read from
YAML, and ours are not.  Here these packages are there without having run.  Each runs, whole, as
soon as something is wanted of it.
"""

import sys
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from typing import Any

ADDONS = "mitmproxy.addons"
LATER = ("service_identity", "ruamel.yaml")


def apply() -> None:
    """Have these packages wait until they are needed; those that were loaded already stay."""
    _wait(ADDONS, lambda name: find_spec(f"{ADDONS}.{name}") is not None)
    for package in LATER:
        _wait(package)


def _wait(package: str, without: Callable[[str], bool] = lambda name: False) -> None:
    """Have *package* run when it is asked for an attribute; *without* says which do not need it.

    Like `importlib.util.LazyLoader`, whose modules run when they are imported a second time.
    """
    spec = None if package in sys.modules else find_spec(package)
    if spec is None or spec.loader is None:
        return
    module, run = module_from_spec(spec), spec.loader.exec_module

    def missing(name: str) -> Any:
        # Python looks for special names, and for a module of the package before it imports it.
        if name.startswith("__") or without(name):
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        del module.__dict__["__getattr__"]
        run(module)
        return getattr(module, name)

    module.__dict__["__getattr__"] = missing  # PEP 562
    sys.modules[package] = module
    parent, _, name = package.rpartition(".")
    if parent:
        sys.modules[parent].__dict__[name] = module
