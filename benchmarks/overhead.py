"""What our server adds to a request: a no-op model against the same echo on bare uvicorn.

    python -m benchmarks.overhead [--quick]

A request is an infer request of 16 numbers in JSON. "echo" reads it and renders the answer by the
protocol's own functions on bare uvicorn (`benchmarks/servers/echo.py`); "plain echo" sends the
body back unread, which is what uvicorn alone can do. Closed loops of 1 to 64 connections, in turn;
the rate at saturation is the largest of them. A batch of ours may have as many requests as there
are connections. Then a steady rate, half of ours at saturation, for all. The client is a process of
its own and shares the processors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import save_file

from benchmarks.measure import table, verdict
from benchmarks.servers import noop
from benchmarks.servers.hammer import Load
from benchmarks.servers.models import Library, Variant
from benchmarks.servers.own import Own
from benchmarks.servers.replay import percentile_99
from benchmarks.servers.server import REPOSITORY, Server, Terms
from trunkline.runtime.machine import busy
from trunkline.store import InputSpec, Store
from trunkline.store.factory import open_factory

NUMBERS = 16
MEMORY = 2**20
CONNECTIONS = (1, 4, 16, 64)


class Noop(Own):
    """Our server; an echo has no batches that a connection could wait for."""

    options = ("--max-batch", str(max(CONNECTIONS)))


class Echo(Server):
    """The echo on bare uvicorn."""

    name = "echo"
    ready_path = "/"
    application = "protocol"

    def command(self) -> Sequence[str]:
        application = f"benchmarks.servers.echo:{self.application}"
        uvicorn = [sys.executable, "-m", "uvicorn", application, "--port", str(self.port)]
        return [*uvicorn, "--no-access-log", "--log-level", "warning"]


class PlainEcho(Echo):
    """The body, unread."""

    name = "plain echo"
    application = "plain"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="short, about half a minute")
    parser.add_argument("--seconds", type=float, help="of every run (5; quick: 1)")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    seconds = given.seconds or (1.0 if given.quick else 5.0)
    if told := busy():
        print(told)
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        terms = stock(Path(folder))
        with Noop(terms) as own, Echo(terms) as echo, PlainEcho(terms) as plain:
            return compare((own, echo, plain), seconds, given.repeats)


def compare(servers: Sequence[Server], seconds: float, repeats: int) -> int:
    """Rates and latencies of servers that run, ours first; 1 if a request failed."""
    own, echo, _ = servers
    rates: dict[tuple[Server, int], list[float]] = {}
    failed = 0
    for repeat in range(repeats):
        for server in servers[:: -1 if repeat % 2 else 1]:
            for count in CONNECTIONS:
                latencies, bad = hammer(server, seconds, connections=count)
                rates.setdefault((server, count), []).append(len(latencies) / seconds)
                failed += bad
    middle = {key: median(values) for key, values in rates.items()}
    most = {one: max(middle[one, count] for count in CONNECTIONS) for one in servers}
    half = most[own] / 2
    slow: dict[Server, list[float]] = {one: [] for one in servers}
    typical: dict[Server, list[float]] = {one: [] for one in servers}
    for repeat in range(repeats):
        for server in servers[:: -1 if repeat % 2 else 1]:
            latencies, bad = hammer(server, seconds, rate=half)
            slow[server].append(percentile_99(latencies))
            typical[server].append(median(latencies))
            failed += bad
    rows = [
        (
            one.name,
            *(f"{middle[one, count]:.0f}" for count in CONNECTIONS),
            f"{most[own] / most[one]:.2f}",
            f"{1e3 * median(typical[one]):.2f}",
            f"{1e3 * median(slow[one]):.2f}",
        )
        for one in servers
    ]
    columns = [f"{count} conn." for count in CONNECTIONS]
    print(f"requests/s, medians of {repeats}; latencies at {half:.0f} requests/s\n")
    print(table(("", *columns, "trunkline's part", "p50 ms", "p99 ms"), rows))
    print()
    print(verdict("rate at saturation over the echo's", most[own] / most[echo], 0.7, at_least=True))
    added = 1e3 * (median(slow[own]) - median(slow[echo]))
    print(verdict("p99 that the server adds at half its rate [ms]", added, 3.0))
    if failed:
        print(f"WRONG: {failed} requests failed")
    return 1 if failed else 0


def hammer(
    server: Server, seconds: float, *, connections: int = 0, rate: float = 0.0
) -> tuple[list[float], int]:
    """Latencies and failures of one run of the client."""
    tensor = {
        "name": server.input_name(),
        "datatype": "FP32",
        "shape": [1, NUMBERS],
        "data": [0.5] * NUMBERS,
    }
    body = json.dumps({"parameters": {"timeout": 10_000_000}, "inputs": [tensor]})
    load = Load(server.port, server.target("noop")[0], body, seconds, connections, rate)
    paths = [server.terms.folder / name for name in ("load.json", "latencies.json")]
    paths[0].write_text(json.dumps(asdict(load)))
    command = [sys.executable, "-m", "benchmarks.servers.hammer", *map(str, paths)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    result = json.loads(paths[1].read_text())
    return result["latencies"], result["failed"]


def stock(folder: Path) -> Terms:
    """A store with the no-op model."""
    variant = Variant("noop", noop.__name__, "noop", InputSpec((NUMBERS,)))
    path = folder / "noop.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    source = open_factory(f"{noop.__name__}:noop", path, {}, variant.input)
    Store.open(folder / "store", create=True).add("noop", source)
    library = Library("noop", folder, (variant,), {"noop": MEMORY}, 4, (), {})
    return Terms(library, folder, folder, threads=1)


if __name__ == "__main__":
    sys.exit(main())
