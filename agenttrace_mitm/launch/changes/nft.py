"""Packets to port 443 of a user or a cgroup, led to us: a table of our own in nftables (Linux).

The listener reads the server name out of TLS, so that nothing else of the program's network
changes; other hosts are passed on untouched.  HTTP/3 and IPv6 are turned down, so that programs
take TLS over IPv4 at once.
"""

import re
from pathlib import Path
from typing import ClassVar

from ...errors import AgentTraceError
from .change import Facts, Values
from .machine import Machine, as_root

_WORD = re.compile(r"\W+")


class Redirect:
    """A user (`uid`) or a control group (`cgroup`, below /sys/fs/cgroup) whose calls we get."""

    kind: ClassVar[str] = "nft-redirect"

    def __init__(self, machine: Machine, facts: Facts) -> None:
        self.facts = facts
        self._machine = machine
        if uid := facts.get("uid"):
            self._who, self._match, subject = f"user {uid}", f"meta skuid {int(uid)}", f"uid_{uid}"
        else:
            group = facts["cgroup"].strip("/")
            level = group.count("/") + 1
            self._who = f"control group {group}"
            self._match = f'socket cgroupv2 level {level} "{group}"'
            subject = "cgroup_" + _WORD.sub("_", group)
        self._table = f"inet agenttrace_{subject}"

    @property
    def name(self) -> str:
        """For people."""
        return f"what {self._who} sends to port 443"

    @property
    def will(self) -> list[str]:
        """The rules, as `nft` takes them."""
        return [f"nft {rule}" for rule in self._rules]

    def files(self) -> list[Path]:
        """None: the rules are the kernel's, and gone with the next boot."""
        return []

    def values(self) -> Values:
        """None: the table is ours alone."""
        return {}

    def is_applied(self) -> bool:
        """Whether the table is there, and leads to the port."""
        return f"redirect to :{self.facts['port']}" in self._listed()

    def apply(self) -> None:
        """All rules or none."""
        self._nft("; ".join(self._rules))

    def revert(self, before: Values) -> None:
        """Take the table away."""
        if self._listed():
            self._nft(f"delete table {self._table}")

    def is_same(self, now: Path, before: Path) -> bool:
        """There are no files."""
        return False

    @property
    def _rules(self) -> list[str]:
        table, port = self._table, int(self.facts["port"])
        hook = "{{ type {} hook output priority {}; }}"
        ours, elsewhere = self._match, "ip daddr != 127.0.0.0/8"
        return [
            f"add table {table}",
            f"add chain {table} led {hook.format('nat', '-100')}",
            f"add rule {table} led {ours} {elsewhere} tcp dport 443 redirect to :{port}",
            f"add chain {table} kept {hook.format('filter', '0')}",
            f"add rule {table} kept {ours} udp dport 443 reject",
            f"add rule {table} kept {ours} meta nfproto ipv6 tcp dport 443 reject with tcp reset",
        ]

    def _listed(self) -> str:
        tables = self._machine.run("nft", "list", "tables")
        if f"table {self._table}\n" not in tables + "\n":
            return ""
        return self._machine.run("nft", "list", "table", *self._table.split(" "))

    def _nft(self, commands: str) -> None:
        try:
            self._machine.run("nft", commands)
        except AgentTraceError as error:
            if "not permitted" in error.problem:
                raise AgentTraceError(
                    "Only root may lead other programs' connections elsewhere",
                    as_root("redirect enable ..."),
                ) from None
            raise
