"""Two network namespaces with a shaped link between them (Linux, as root, with iproute2).

    SERVER 10.203.0.1/30  veth, tbf -----------> veth  10.203.0.2/30 CLIENT

The kernel's token bucket (`tc qdisc ... tbf`) shapes what leaves the server: neither end knows the
rate. A burst of 32 KiB; 1 MiB may wait, so that TCP's window fills it and nothing is dropped.
Frames and headers count for the bucket, so what arrives of a stream is a few per cent slower.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SERVER_HOST, CLIENT_HOST = "10.203.0.1", "10.203.0.2"
SEGMENT_BYTES = 2**14
"""Sent as one, as network cards do. Packet by packet, shaping 200 Mbit/s took so much of the two
processors that layers computed two to three times as long."""
CLONE_NEWNET = 0x40000000


class NamespacesMissing(Exception):
    """This machine, or this user, cannot make shaped namespaces; says why."""


@dataclass(frozen=True)
class Namespaces:
    """The two, by name; unlike those of any other process."""

    server: str
    client: str

    def shape(self, mbit: float) -> None:
        """Let the link carry so much from the server on."""
        bucket = f"tbf rate {mbit:g}mbit burst 32kb limit 1mb"
        _call(f"tc -n {self.server} qdisc replace dev {self.server} root {bucket}")

    def inside_server(self) -> list[str]:
        """What stands before a command that is to run at the server's end."""
        return ["ip", "netns", "exec", self.server]


@contextmanager
def namespaces() -> Iterator[Namespaces]:
    """Two namespaces, gone afterwards whatever happens.

    Raises:
        NamespacesMissing: not root, no `ip` or `tc`, or the kernel refuses.
    """
    if os.name != "posix" or os.geteuid() != 0:
        raise NamespacesMissing("not root")
    if missing := [tool for tool in ("ip", "tc") if shutil.which(tool) is None]:
        raise NamespacesMissing(f"no {' and no '.join(missing)} (Debian: iproute2)")
    both = Namespaces(f"tls{os.getpid()}", f"tld{os.getpid()}")
    try:
        _connect(both)
        yield both
    finally:  # their veths and shaping go with them
        for name in (both.server, both.client):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def enter(namespace: str) -> None:
    """Join a network namespace for good: this thread, and what it starts from now on."""
    with open(f"/run/netns/{namespace}") as file:
        _join(file.fileno(), namespace)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace: this thread, and threads and processes that it starts there."""
    with open("/proc/thread-self/ns/net") as before:
        enter(namespace)
        try:
            yield
        finally:
            _join(before.fileno(), "the one before")


def _join(fd: int, name: str) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)


def _connect(both: Namespaces) -> None:
    for name in (both.server, both.client):
        _call(f"ip netns add {name}")
    ends = f"{both.server} netns {both.server} type veth peer name {both.client}"
    _call(f"ip link add {ends} netns {both.client}")
    for name, host in ((both.server, SERVER_HOST), (both.client, CLIENT_HOST)):
        _call(f"ip -n {name} addr add {host}/30 dev {name}")
        _call(f"ip -n {name} link set {name} gso_max_size {SEGMENT_BYTES} up")
    both.shape(1000)


def _call(command: str) -> None:
    done = subprocess.run(command.split(), check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NamespacesMissing(f"{command}: {said[0] if said else 'failed'}")
