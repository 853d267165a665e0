"""Serving a store: bytes a second of `trunkline serve-store` beside servers of static files.

    python -m benchmarks.serve_store [--repeats 9]

A store's blobs over plain HTTP on loopback, in the page cache, to a client that throws them away
(a socket that receives into one buffer): one blob of 256 MiB, and 500 of 64 KiB one after the other
on one connection. nginx sends with sendfile from one worker; Python's http.server copies through
Python; docker-registry (Debian's) is the usual registry, told to read the very same blobs. Servers
that are not installed are left out. "sendfile alone" is a socket, a thread that sends the file by
one loop of os.sendfile, and nothing of HTTP. On loopback that is no upper limit: the receiver
copies the very pages that are sent, and these are warmer in the processor's caches where a server
has just copied them. The server's own processor time stands beside the rate. In every repeat each
server is measured once, in turn.

Target: no less than half of nginx's rate, for the large blob.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import Times, table, take_turns, verdict
from trunkline.store import Store, Tensors

LARGE_BYTES = 2**28
SMALL_BYTES = 2**16
SMALL = 500
OWN, NGINX, ALONE = "serve-store", "nginx", "sendfile alone"
NGINX_CONFIG = """\
daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1;
events {{}}
http {{
  access_log off; sendfile on; keepalive_requests 100000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A server that runs, and what stands before a blob's name in its paths."""

    port: int
    pid: int
    before: str = "/v2/models/blobs/sha256:"

    def cpu_s(self) -> float:
        """Processor time of it and its children so far."""
        pids = [self.pid]
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        pids += map(int, children.read_text().split())
        ticks = 0
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection that receives bodies and throws them away."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = self._connect()
        self._buffer = memoryview(bytearray(2**20))

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=60)

    def get(self, path: str, size: int) -> None:
        """One GET, whose body must have that many bytes."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self._socket.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self._socket.recv(4096)
            if not piece and not head:  # HTTP/1.0 closes after each
                self._socket.close()
                self._socket = self._connect()
                self._socket.sendall(request)
            head += piece
        if not head.split(b"\r\n", 1)[0].endswith(b" 200 OK"):
            raise RuntimeError(head.decode(errors="replace"))
        left = size - len(head.partition(b"\r\n\r\n")[2])
        while left:
            count = self._socket.recv_into(self._buffer[: min(left, len(self._buffer))])
            if not count:
                raise RuntimeError(f"{left} bytes are missing")
            left -= count


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port: int = place.getsockname()[1]
        return port


@contextmanager
def started(command: Sequence[object], port: int) -> Iterator[Server]:
    """A server's process, once it takes connections at its port."""
    with subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None:
                        raise RuntimeError(f"{command[0]} ended") from None
                    time.sleep(0.05)
            yield Server(port, process.pid)
        finally:
            process.terminate()


@contextmanager
def bare_sendfile(path: Path) -> Iterator[Callable[[], None]]:
    """A loop of os.sendfile in a thread, and what receives it."""
    size = path.stat().st_size
    buffer = memoryview(bytearray(2**20))
    with socket.create_server(("127.0.0.1", 0)) as place, path.open("rb") as file:
        client = socket.create_connection(place.getsockname(), timeout=60)
        sender, _ = place.accept()

        def send() -> None:
            done = 0
            while done < size:
                done += os.sendfile(sender.fileno(), file.fileno(), done, size - done)

        def receive() -> None:
            thread = threading.Thread(target=send)
            thread.start()
            left = size
            while left:
                left -= client.recv_into(buffer)
            thread.join()

        with client, sender:
            yield receive


def make_store(folder: Path) -> tuple[Store, str, list[str]]:
    """A store with a large block and many small ones; their digests."""
    random = np.random.default_rng(0)
    arrays = [random.random((LARGE_BYTES // 4,), dtype=np.float32)]
    arrays += [random.random((SMALL_BYTES // 4,), dtype=np.float32) for _ in range(SMALL)]
    store = Store.open(folder / "store", create=True)
    store.add(
        "m", Tensors([(f"layer{i}.w", "F32", one.shape, one) for i, one in enumerate(arrays)])
    )
    large, *small = (block.digest for block in store.model("m").blocks)
    return store, large, small


def registry_folder(store: Store, folder: Path) -> Path:
    """The store's blobs where docker-registry looks for them."""
    root = folder / "registry" / "docker" / "registry" / "v2"
    for path in (store.path / "blobs" / "sha256").iterdir():
        hexadecimal = path.name
        blob = root / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal
        blob.mkdir(parents=True)
        os.link(path, blob / "data")
        link = root / "repositories" / "models" / "_layers" / "sha256" / hexadecimal / "link"
        link.parent.mkdir(parents=True)
        link.write_text(f"sha256:{hexadecimal}")
    return folder / "registry"


def servers(store: Store, folder: Path, stack: ExitStack) -> dict[str, Server]:
    """The servers that are installed."""
    found = {}
    port = free_port()
    command = [sys.executable, "-m", "trunkline", "serve-store", store.path, "--port", port]
    found[OWN] = stack.enter_context(started(command, port))
    files = "/blobs/sha256/"
    if nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"):
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(folder=folder, port=port, root=store.path))
        place = stack.enter_context(started([nginx, "-c", config], port))
        found[NGINX] = replace(place, before=files)
    if registry := shutil.which("docker-registry"):
        port = free_port()
        config = folder / "registry.yml"
        root = registry_folder(store, folder)
        config.write_text(
            "version: 0.1\nlog: {accesslog: {disabled: true}, level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {root}}}}}\n"
            f"http: {{addr: 127.0.0.1:{port}}}\n"
        )
        found["docker-registry"] = stack.enter_context(started([registry, "serve", config], port))
    port = free_port()
    command = [sys.executable, "-m", "http.server", port, "-b", "127.0.0.1", "-d", store.path]
    found["http.server"] = replace(stack.enter_context(started(command, port)), before=files)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve_store", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o755)  # nginx' worker is another user
        store, large, small = make_store(folder)
        size = {one: store.blob_path(one).stat().st_size for one in (large, *small)}
        one_large: dict[str, Callable[[], object]] = {}
        many_small: dict[str, Callable[[], object]] = {}
        running = servers(store, folder, stack)
        for name, server in running.items():
            check(server, small[0])
            get = _getter(Client(server.port), server.before, size)
            one_large[name] = partial(get, [large])
            many_small[name] = partial(get, small)
        alone = stack.enter_context(bare_sendfile(store.blob_path(large)))
        before = {name: server.cpu_s() for name, server in running.items()}
        took = take_turns({**one_large, ALONE: alone}, arguments.repeats)
        moved = size[large] * (arguments.repeats + 1) / 2**30
        cpu = {name: (one.cpu_s() - before[name]) / moved for name, one in running.items()}
        took_small = take_turns(many_small, arguments.repeats)
    report(took, took_small, cpu, size[large])
    if NGINX not in took:
        print("nginx is not installed: nothing to compare with")
        return 0
    ratio = took[NGINX].median / took[OWN].median
    print(verdict("rate / nginx's", ratio, 0.5, at_least=True))
    return 0


def _getter(client: Client, before: str, size: dict[str, int]) -> Callable[[Sequence[str]], None]:
    def get(digests: Sequence[str]) -> None:
        for digest in digests:
            client.get(before + digest.removeprefix("sha256:"), size[digest])

    return get


def check(server: Server, digest: str) -> None:
    """The server has the right bytes, or nothing is worth measuring."""
    url = f"http://127.0.0.1:{server.port}{server.before}{digest.removeprefix('sha256:')}"
    with urllib.request.urlopen(url, timeout=60) as response:
        if "sha256:" + hashlib.sha256(response.read()).hexdigest() != digest:
            raise RuntimeError(f"{url}: wrong bytes")


def report(
    large: dict[str, Times], small: dict[str, Times], cpu: dict[str, float], size: int
) -> None:
    """A row for each server."""
    rows = [
        (
            server,
            f"{size / times.median / 2**30:.2f}",
            times.spread(),
            f"{cpu[server]:.2f}" if server in cpu else "",
            f"{SMALL / small[server].median:.0f}" if server in small else "",
        )
        for server, times in large.items()
    ]
    header = ("server", "GiB/s", "ms (quartiles)", "CPU s/GiB", "64 KiB blobs/s")
    print(f"a blob of {size / 2**20:.0f} MiB, and {SMALL} of 64 KiB\n")
    print(table(header, rows), end="\n\n")


if __name__ == "__main__":
    sys.exit(main())
