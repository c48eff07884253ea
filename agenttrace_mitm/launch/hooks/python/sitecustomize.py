"""Loaded by every Python below `agenttrace-mitm run`, instead of any other sitecustomize.

So: no dependency, old Pythons too, and never a reason for the program to fail.  Recorded hosts
resolve to the local listener, which reads the host from the TLS handshake; whatever else is
asked for resolves as always.  The sitecustomize that this one hides is run at the end.
"""

import os
import sys


def _install(socket):
    hosts = set(filter(None, os.environ.get("AGENTTRACE_HOSTS", "").split(",")))
    address, _, listener = os.environ.get("AGENTTRACE_SNI", "").rpartition(":")
    address = address.strip("[]")  # as IPv6 has them in front of a port
    if not (hosts and address and listener.isdigit()):
        return
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if isinstance(name, str) and name.lower() in hosts and str(port) in ("443", "https"):
            return resolve(address, int(listener), *args, **kwargs)
        return resolve(host, port, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


class _WhenSocketIsImported:
    """An import hook: importing socket here would cost every program 5 ms."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "socket":
            return None
        sys.meta_path.remove(_WhenSocketIsImported)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _quietly(_install, module)

            spec.loader.exec_module = exec_module
        return spec


def _watch():
    if "socket" in sys.modules:
        _install(sys.modules["socket"])
    else:
        sys.meta_path.insert(0, _WhenSocketIsImported)


def _chain():
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _quietly(work, *args):
    try:
        work(*args)
    except Exception:  # the program comes first, whatever is wrong here
        return


_quietly(_watch)
_chain()
