"""Inside `run --transparent`: make a network of our own, hand its listeners out, become CMD.

Run as a script by its path, with the standard library only, so that it starts at once and alone
in its process, as `unshare` demands.  Everything that it makes ends with the program.

    python namespace.py DESCRIPTOR JSON CMD...

DESCRIPTOR is a socket to the parent.  We send `{"ready": true}` with the listeners' descriptors
(QUIC, DNS and socket statistics last), or `{"error": ...}`; we go on when we are told to; the
socket closes when CMD has begun.
"""

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

# Where servers of others are, and where programs seldom listen themselves.
PORTS = (443, 80, 22, 8443, 25, 465, 587, 993, 1433, 3306, 5432, 5672, 6379, 9092, 9418, 27017)
MOST_LOOPBACK_PORTS = 150  # SCM_RIGHTS carries 253 descriptors
BACKLOG = 1024
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - of a network in which there is nobody else

_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_PR_CAPBSET_DROP = 24
_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_LISTENING = "0A"

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Do all of it, or say why not."""
    parent = socket.socket(fileno=int(sys.argv[1]))
    parent.set_inheritable(False)
    options = json.loads(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        handed = enter(options)
    except OSError as error:
        parent.sendall(_line(error=reason(error)))
        os._exit(1)
    socket.send_fds(parent, [_line(ready=True)], [each.fileno() for each in handed])
    if not parent.recv(1):
        os._exit(1)
    for each in handed:
        each.close()
    drop_privileges(options["uid"], options["gid"])
    # Python ignores these; the program must not inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    command = sys.argv[3:]
    try:
        os.execvp(command[0], command)  # noqa: S606 - the user's own command
    except OSError as error:
        parent.sendall(_line(errno=error.errno))
        os._exit(1)


def enter(options: dict[str, Any]) -> list[socket.socket]:
    """Make the namespaces, and everything in them that programs expect of a network."""
    local = loopback_ports()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET | os.CLONE_NEWNS)
    map_user(0, options["uid"], 0, options["gid"])
    raise_loopback()
    everything_is_local()
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    for source, target in options["mounts"]:
        _mount(source, os.path.realpath(target), _MS_BIND)
    listeners = [_listening(EVERY_ADDRESS, port) for port in PORTS]
    listeners += [_listening("127.0.0.1", port) for port in sorted(local - {*PORTS, 53})]
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 53))
    quic = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    quic.bind((EVERY_ADDRESS, 443))
    statistics = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
    return [*listeners[:MOST_LOOPBACK_PORTS], quic, names, statistics]


def reason(error: OSError) -> str:
    """Why the kernel does not let us, in words."""
    if error.errno == errno.ENOSPC or _sysctl("user/max_user_namespaces") == "0":
        return "user namespaces are switched off (user.max_user_namespaces)"
    if _sysctl("kernel/unprivileged_userns_clone") == "0":
        return "user namespaces are for root only (kernel.unprivileged_userns_clone)"
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "AppArmor keeps namespaces from programs without a profile"
    if error.errno in (errno.EPERM, errno.EACCES):
        return "this system does not let programs make namespaces, as in most containers"
    return f"a network namespace could not be made ({error.strerror})"


def loopback_ports() -> set[int]:
    """Ports on which somebody listens on the host's loopback: they are to stay reachable."""
    local = {"0100007F", "00000000", "0" * 32, "0" * 24 + "01000000"}
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text("ascii").splitlines()
        except OSError:
            continue
        for row in map(str.split, lines[1:]):
            address, _, port = row[1].partition(":")
            if row[3] == _LISTENING and address in local:
                found.add(int(port, 16))
    return found


def map_user(uid: int, outer_uid: int, gid: int, outer_gid: int) -> None:
    """Say who we are in the user namespace just made."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {outer_uid} 1")
    _write("/proc/self/gid_map", f"{gid} {outer_gid} 1")


def raise_loopback() -> None:
    """Set the only interface up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))


def everything_is_local() -> None:
    """`ip route add local 0.0.0.0/0 dev lo`: a connection to any address ends at our listeners.

    A listener's accepted socket still has the address that was dialled for its own name.
    """
    route = struct.pack(
        "=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 255, 3, 254, 2, 0
    )  # to 0.0.0.0/0, table local, set at boot, scope host, type local
    interface = struct.pack("=HHI", 8, 4, socket.if_nametoindex("lo"))
    body = route + interface
    # RTM_NEWROUTE; request, acknowledge, create, exclusive.
    head = struct.pack("=IHHII", 16 + len(body), 24, 0x1 | 0x4 | 0x400 | 0x200, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(head + body)
        (failed,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    if failed:
        raise OSError(-failed, os.strerror(-failed))


def drop_privileges(uid: int, gid: int) -> None:
    """Be the user again, in a namespace below, without the right to change the network."""
    os.unshare(os.CLONE_NEWUSER)
    map_user(uid, 0, gid, 0)
    last = int(_sysctl("kernel/cap_last_cap") or 40)
    for capability in range(last + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _listening(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is given: 40 ms an answer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    return listening


def _mount(source: str | None, target: str, flags: int) -> None:
    origin = source.encode() if source else None
    if _libc.mount(origin, target.encode(), None, flags, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, "ascii")


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text("ascii").strip()
    except OSError:
        return ""


def _line(**said: object) -> bytes:
    return json.dumps(said).encode() + b"\n"


if __name__ == "__main__":
    main()
