"""Streams of `trunkline serve`: rate, pace, deadlines and memory.

    python -m benchmarks.streams [--repeats 9] [--seconds 3]

Rate: a stream of 256 MiB (64 blocks of 4 MiB and 64 of 4 KiB) over plain HTTP on loopback, in the
page cache, to a client that throws it away, beside servers of static files that send the same bytes
from one file: nginx with sendfile from one worker, and Python's http.server. In every repeat each
server is measured once, in turn. Target: no less than 0.8 of nginx's rate.

Pace: `--link 64Mbit` among two and eight clients without deadlines; the bytes that each receives in
each whole second, beside the link's rate divided by their number. Target: under 3 %.

Deadlines: eight clients at once over that link, each with a deadline and the computing times of
eight blocks, which it does not compute but reckons: F_l = max(D_l, F_{l-1}) + T_l of the times D_l
at which its blocks arrived. Those that were admitted have to be in time. The first byte is said to
take 20 ms.

Memory: what the server's memory (VmRSS) grows by for each of 32 clients that ask for the large
stream and read nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Times, table, take_turns, verdict
from benchmarks.serve_store import NGINX_CONFIG, Client, Server, free_port, started
from trunkline.store import Store, Tensors

LARGE, SMALL = 2**22, 2**12
BLOCKS = 64
LINK, LINK_BYTES_PER_S = "64Mbit", 8e6
CLIENTS = 8
TASK_BLOCKS, TASK_BLOCK_BYTES = 8, 2**18
COMPUTE_S = 0.03
FIRST_BYTE_S = 0.02
SILENT = 32
OWN, NGINX = "trunkline serve", "nginx"


def make_store(folder: Path) -> Store:
    """A large model, and one for tasks with deadlines."""
    random = np.random.default_rng(0)

    def tensors(sizes: Sequence[int]) -> Tensors:
        arrays = [random.random((size // 4,), dtype=np.float32) for size in sizes]
        return Tensors([(f"l{i}.w", "F32", one.shape, one) for i, one in enumerate(arrays)])

    store = Store.open(folder / "store", create=True)
    store.add("large", tensors([LARGE, SMALL] * BLOCKS))
    store.add("task", tensors([TASK_BLOCK_BYTES] * TASK_BLOCKS))
    return store


def serving(store: Store, stack: ExitStack, *options: str) -> Server:
    """`trunkline serve`, once it takes connections."""
    port = free_port()
    command = [sys.executable, "-m", "trunkline", "serve", "--store", store.path, "--port", port]
    found = stack.enter_context(started([*command, *options], port))
    for _ in range(600):  # it has its address before it takes requests
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/live", timeout=5).close()
            break
        except OSError:
            time.sleep(0.05)
    return found


def open_stream(server: Server, model: str, **wish: Any) -> dict[str, Any] | None:
    """A stream, opened; None if it was refused."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v2/models/{model}/stream", json.dumps(wish).encode()
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return None


def opened(server: Server, model: str) -> dict[str, Any]:
    """The same without a deadline, which nobody refuses."""
    found = open_stream(server, model)
    if found is None:
        raise RuntimeError(f"{model}: refused")
    return found


class Reader(threading.Thread):
    """A client that reads a stream and notes how many bytes it had when."""

    def __init__(self, server: Server, stream: dict[str, Any], seconds: float = 60.0) -> None:
        super().__init__()
        self._size: int = stream["bytes"]
        self._give_up = time.monotonic() + seconds
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        head = f"GET /v2/streams/{stream['id']} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self._socket.sendall(head.encode())
        self.times: list[float] = []
        self.bytes: list[int] = []

    def run(self) -> None:
        """Read to the end, or until the time is over."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(1)
        done, buffer = 0, bytearray(2**16)
        while done < self._size and time.monotonic() < self._give_up:
            count = self._socket.recv_into(buffer)
            if not count:
                raise RuntimeError("the stream was cut")
            done += count
            self.times.append(time.monotonic())
            self.bytes.append(done)
        self._socket.close()

    def at(self, moment_s: float) -> float:
        """Bytes that had come by a moment."""
        return float(np.interp(moment_s, self.times, self.bytes))

    def arrival(self, position: int) -> float:
        """When all bytes before a position had come."""
        return self.times[int(np.searchsorted(self.bytes, position))]


def measure_rate(store: Store, folder: Path, repeats: int, stack: ExitStack) -> tuple[str, float]:
    """A table, and the ratio to nginx's rate (0 where there is no nginx)."""
    own = serving(store, stack)
    stream = opened(own, "large")
    size, path = stream["bytes"], f"/v2/streams/{stream['id']}"
    files = folder / "files"
    files.mkdir()
    urllib.request.urlretrieve(f"http://127.0.0.1:{own.port}{path}", files / "stream")
    running = {OWN: own}
    if nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"):
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX_CONFIG.format(folder=folder, port=port, root=files))
        running[NGINX] = stack.enter_context(started([nginx, "-c", config], port))
    port = free_port()
    command = [sys.executable, "-m", "http.server", port, "-b", "127.0.0.1", "-d", files]
    running["http.server"] = stack.enter_context(started(command, port))
    get: dict[str, Callable[[], object]] = {
        name: partial(Client(one.port).get, path if name == OWN else "/stream", size)
        for name, one in running.items()
    }
    before = {name: one.cpu_s() for name, one in running.items()}
    took = take_turns(get, repeats)
    moved = size * (repeats + 1) / 2**30
    cpu = {name: (one.cpu_s() - before[name]) / moved for name, one in running.items()}
    ratio = took[NGINX].median / took[OWN].median if NGINX in took else 0.0
    return rate_table(took, cpu, size), ratio


def rate_table(took: dict[str, Times], cpu: dict[str, float], size: int) -> str:
    """A row for each server."""
    rows = [
        (name, f"{size / one.median / 2**30:.2f}", one.spread(), f"{cpu[name]:.2f}")
        for name, one in took.items()
    ]
    return table(("server", "GiB/s", "ms (quartiles)", "CPU s/GiB"), rows)


def measure_pace(server: Server, count: int, seconds: int) -> list[float]:
    """The error of each client's rate in each second, as a share of what it should be."""
    streams = [opened(server, "large") for _ in range(count)]
    readers = [Reader(server, one, seconds + 1.0) for one in streams]
    for one in readers:
        one.start()
    for one in readers:
        one.join()
    end_streams(server, streams)
    begin = max(one.times[0] for one in readers) + 0.25
    due = LINK_BYTES_PER_S / count
    return [
        (one.at(begin + second + 1) - one.at(begin + second)) / due - 1
        for one in readers
        for second in range(min(seconds, int(min(r.times[-1] for r in readers) - begin)))
    ]


def end_streams(server: Server, streams: Sequence[dict[str, Any]]) -> None:
    """Free what they hold."""
    for one in streams:
        url = f"http://127.0.0.1:{server.port}/v2/streams/{one['id']}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60).close()


def measure_deadlines(server: Server) -> list[tuple[float, bool, float]]:
    """Of each client: its deadline, whether it was admitted, and how long before it ended."""
    readers: list[tuple[float, float, dict[str, Any], Reader]] = []
    found = []
    for i in range(CLIENTS):
        deadline_s = 0.9 + 0.2 * i
        compute = [COMPUTE_S] * TASK_BLOCKS
        asked_s = time.monotonic()
        stream = open_stream(
            server, "task", deadline_s=deadline_s, compute_s=compute, first_byte_s=FIRST_BYTE_S
        )
        if stream is None:
            found.append((deadline_s, False, 0.0))
            continue
        reader = Reader(server, stream)
        reader.start()
        readers.append((deadline_s, asked_s, stream, reader))
    for deadline_s, asked_s, stream, reader in readers:
        reader.join()
        finish = asked_s
        for block in stream["blocks"]:
            finish = max(finish, reader.arrival(block["end"])) + COMPUTE_S
        found.append((deadline_s, True, asked_s + deadline_s - finish))
    end_streams(server, [stream for *_, stream, _ in readers])
    return found


def measure_memory(server: Server) -> float:
    """Bytes that the server grows by for each client that reads nothing."""

    def resident() -> int:
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    opened(server, "large")
    before = resident()
    with ExitStack() as stack:
        for _ in range(SILENT):
            stream = opened(server, "large")
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            head = f"GET /v2/streams/{stream['id']} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            one.sendall(head.encode())
        time.sleep(2.0)
        return (resident() - before) / SILENT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    verdicts = []
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o755)  # nginx' worker is another user
        store = make_store(folder)
        with ExitStack() as first:
            text, ratio = measure_rate(store, folder, arguments.repeats, first)
        print(f"a stream of {BLOCKS * (LARGE + SMALL) / 2**20:.1f} MiB\n\n{text}\n")
        if ratio:
            verdicts.append(verdict("rate / nginx's", ratio, 0.8, at_least=True))
        paced = serving(store, stack, "--link", LINK)
        for count in (2, CLIENTS):
            errors = np.abs(measure_pace(paced, count, arguments.seconds))
            print(
                f"{count} clients share {LINK}: error over a second "
                f"median {np.median(errors):.2%}, largest {errors.max():.2%}"
            )
            verdicts.append(verdict(f"largest error, {count} clients", float(errors.max()), 0.03))
        found = measure_deadlines(paced)
        admitted = [early_s for _, is_in, early_s in found if is_in]
        late = sum(early_s < 0 for early_s in admitted)
        print(
            f"{CLIENTS} clients at once: {len(admitted)} admitted, {CLIENTS - len(admitted)} "
            f"refused; the tightest ended {min(admitted) * 1e3:.0f} ms before its deadline"
        )
        verdicts.append(verdict("admitted and late", late, 0))
        unpaced = serving(store, stack)
        grown = measure_memory(unpaced)
        print(f"memory for a client that reads nothing: {grown / 2**20:.2f} MiB\n")
        verdicts.append(verdict("MiB a client", grown / 2**20, 2.0))
    print(*verdicts, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
