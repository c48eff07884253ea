"""mitmproxy without the addons that nobody here has asked for.

Whoever imports one module of `mitmproxy.addons` gets them all, and with them a web framework, LDAP
and more: a quarter of a second before the first connection.  Here the package is there without
having run.  It runs as soon as something is wanted of it that is not one of its modules.
"""

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any

ADDONS = "mitmproxy.addons"


def apply() -> None:
    """Have `mitmproxy.addons` load what is asked for, unless it has been loaded already."""
    spec = None if ADDONS in sys.modules else find_spec(ADDONS)
    if spec is None or spec.loader is None:
        return
    package, run = module_from_spec(spec), spec.loader.exec_module

    def missing(name: str) -> Any:
        # Asked before a module of the package is imported, too: that needs no more than a "no".
        if name.startswith("__") or find_spec(f"{ADDONS}.{name}"):
            raise AttributeError(f"module {ADDONS!r} has no attribute {name!r}", name=name)
        del package.__dict__["__getattr__"]
        run(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = missing  # PEP 562
    sys.modules[ADDONS] = package
    sys.modules["mitmproxy"].__dict__["addons"] = package
