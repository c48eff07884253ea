"""macOS: the proxy of each network service.  Written by the documentation, never run by us."""

from pathlib import Path
from typing import ClassVar

from .change import Change, Facts, Values
from .machine import Machine

KINDS = ("webproxy", "securewebproxy")
LOOPBACK = ("localhost", "127.0.0.0/8", "::1")
EMPTY = "There aren't any"


class NetworkService:
    """One network service, such as Wi-Fi."""

    kind: ClassVar[str] = "networksetup"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        self._service = facts["service"]
        self._address = (facts["host"], facts["port"])

    @property
    def name(self) -> str:
        """For people."""
        return f"the proxy of {self._service}"

    @property
    def will(self) -> list[str]:
        """What `apply` does."""
        address = " ".join(self._address)
        return [f"networksetup -set{kind} {self._service!r} {address}" for kind in KINDS]

    def files(self) -> list[Path]:
        """None."""
        return []

    def values(self) -> Values:
        """Both proxies and the hosts around them, as networksetup prints them."""
        return {
            name: self._machine.run("networksetup", f"-get{name}", self._service)
            for name in (*KINDS, "proxybypassdomains")
        }

    def is_applied(self) -> bool:
        """Whether both are ours and on."""
        now = self.values()
        return all(self._is_ours(_fields(now[kind])) for kind in KINDS)

    def apply(self) -> None:
        """Set both, and switch them on."""
        self._set("proxybypassdomains", *LOOPBACK)
        for kind in KINDS:
            self._set(kind, *self._address)
            self._set(f"{kind}state", "on")

    def revert(self, before: Values) -> None:
        """Put back each that is still ours."""
        now = self.values()
        for kind in KINDS:
            if not self._is_ours(_fields(now[kind]), on=False):
                continue
            was = _fields(before.get(kind))
            self._set(kind, was.get("Server", ""), was.get("Port", "0"))
            self._set(f"{kind}state", "on" if was.get("Enabled") == "Yes" else "off")
        if (now["proxybypassdomains"] or "").split() == list(LOOPBACK):
            said = before.get("proxybypassdomains") or ""
            self._set("proxybypassdomains", *(["Empty"] if EMPTY in said else said.split()))

    def is_same(self, now: Path, before: Path) -> bool:
        """There are no files."""
        return False

    def _is_ours(self, fields: dict[str, str], *, on: bool = True) -> bool:
        ours = (fields.get("Server"), fields.get("Port")) == self._address
        return ours and (not on or fields.get("Enabled") == "Yes")

    def _set(self, what: str, *values: str) -> None:
        self._machine.run("networksetup", f"-set{what}", self._service, *values)


def services(machine: Machine, facts: Facts) -> list[Change]:
    """All network services that are switched on; the first line of the list explains the rest."""
    lines = machine.run("networksetup", "-listallnetworkservices").splitlines()[1:]
    names = [line for line in lines if line and not line.startswith("*")]
    return [NetworkService(machine, {**facts, "service": name}) for name in names]


def _fields(said: str | None) -> dict[str, str]:
    pairs = (line.partition(":") for line in (said or "").splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
