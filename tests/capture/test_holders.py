"""Which process holds a socket."""

import os
import socket
import subprocess
import sys

import pytest

from agenttrace_mitm.capture.holders import Holders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

HOLDS_THREE = """
import os, socket, sys
held = [socket.socket() for _ in range(3)]
print(*(os.fstat(each.fileno()).st_ino for each in held), flush=True)
sys.stdin.read()
"""


def test_sockets_of_several_processes():
    """Each is found, whatever was asked before; also when descriptors are used again."""
    holders, uid = Holders(), os.getuid()
    command = [sys.executable, "-c", HOLDS_THREE]
    pipe = subprocess.PIPE
    others = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for _ in range(3)]
    held = {int(inode): p.pid for p in others for inode in p.stdout.readline().split()}  # type: ignore[union-attr]
    for inode, pid in (*held.items(), *reversed(held.items())):
        assert holders.of(inode, uid) == pid
    for _ in range(3):
        with socket.socket() as own:  # the same descriptor, another socket
            assert holders.of(os.fstat(own.fileno()).st_ino, uid) == os.getpid()
    for other in others:
        other.communicate()
    assert [holders.of(inode, uid) for inode in held] == [None] * len(held)


def test_nobody_and_others():
    """A socket that nobody holds; a socket of somebody whose processes were not asked for."""
    with socket.socket() as own:
        inode = os.fstat(own.fileno()).st_ino
        assert Holders().of(inode, os.getuid() + 1) is None
    assert Holders().of(inode, os.getuid()) is None
