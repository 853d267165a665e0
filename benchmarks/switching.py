"""Switching between two variants of a ResNet-50: Trunkline against the usual ways of loading.

    python -m benchmarks.switching [--repeats 15] [--json]

Two variants share 85 % of their 107 layers, either the bottom ones or layers anywhere. Everything
is in the page cache. In every repeat all ways are measured once, in a new random order, so that a
busy machine disturbs them alike; ratios are between medians of one run. The weights are random.

PyTorch's compute threads spin briefly here, for all ways alike, as `trunkline run` sets it (see
trunkline/runtime/threads.py; GOMP_SPINCOUNT=300000 is what they do by themselves). `load_file` maps
the file and reads nothing: with assign the bytes come later, at the first forward.

Beside them the limits of the same run: the copy of as many bytes within memory, and one read of a
warm file of that size into a buffer that was touched before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file

from trunkline.experiments.networks import layers, resnet50
from trunkline.experiments.variants import backbone_state
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.threads import SPIN_ROUNDS
from trunkline.store import Architecture, Store

SHARE = 0.85
ARCHITECTURE = Architecture("factory", factory="trunkline.experiments.networks:resnet50")
State = dict[str, torch.Tensor]
Way = Callable[[str], object]


@dataclass(frozen=True)
class Timing:
    """Seconds of one way: the median, and the quartiles as spread."""

    way: str
    median_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True)
class Report:
    """One position of the shared layers: what moved, and how long each way took."""

    position: str
    missing_bytes: int
    moved_bytes: int
    outputs_equal: bool
    timings: tuple[Timing, ...]
    limits: tuple[Timing, ...]
    read_bytes_per_s: float
    read_threads_bytes_per_s: float

    def median(self, way: str) -> float:
        """Median seconds of a way."""
        return next(one.median_s for one in self.timings if one.way == way)

    @property
    def targets(self) -> dict[str, tuple[float, str, bool]]:
        """What must be reached: name -> (value, demand, whether it is)."""
        own = self.median("trunkline")
        usual = self.median("load_file + load_state_dict") / own
        build = self.median("build + load") / own
        allowed = 1.3 * self.missing_bytes / self.read_bytes_per_s + 1e-3
        excess = self.moved_bytes - self.missing_bytes
        return {
            "bytes moved beyond the missing": (excess, "0", excess == 0),
            "times faster than load_file + load_state_dict": (usual, ">= 4", usual >= 4),
            "times faster than build + load": (build, ">= 10", build >= 10),
            "of (1.3 x missing bytes / read rate + 1 ms)": (own / allowed, "<= 1", own <= allowed),
        }


def variants(position: str, seed: int = 0) -> tuple[State, State]:
    """Two variants that share 85 % of their layers: the bottom ones, or layers anywhere."""
    first = backbone_state("resnet50", seed=seed)
    other = backbone_state("resnet50", seed=seed + 1)
    with torch.device("meta"):
        names = list(layers(resnet50()))
    kept = round(SHARE * len(names))
    chosen = names[:kept] if position == "bottom" else random.Random(seed).sample(names, kept)
    shared = set(chosen)
    second = {k: first[k] if k.rpartition(".")[0] in shared else v for k, v in other.items()}
    return first, second


def measure(position: str, folder: Path, repeats: int) -> Report:
    """Measure all ways side by side."""
    states = dict(zip("ab", variants(position), strict=True))
    store = Store.open(folder / f"store-{position}", create=True)
    for name, state in states.items():
        store.add(name, state_dict_source(state, architecture=ARCHITECTURE))
        save_file(state, folder / f"{name}.safetensors")
        torch.save(state, folder / f"{name}.pt")
    runtime = Runtime(store)
    blocks = {n: {b.digest: b.bytes for b in store.model(n).blocks} for n in "ab"}
    missing = sum(size for digest, size in blocks["b"].items() if digest not in blocks["a"])
    ways = {"trunkline": runtime.switch, **_peers(folder)}
    limits, rates = _limits(folder, missing)
    runtime.switch("a")
    moved = runtime.switch("b").bytes_moved
    equal = _outputs_equal(runtime, states)
    order = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, *limits)}
    for repeat in range(repeats + 2):
        name = "ab"[repeat % 2]
        for way, run in order.sample(list({**ways, **limits}.items()), len(ways) + len(limits)):
            started = time.perf_counter()
            kept = run(name)
            seconds[way].append(time.perf_counter() - started)
            del kept
    timings = {way: _timing(way, times[2:]) for way, times in seconds.items()}  # 2 to warm up
    runtime.close()
    return Report(
        position,
        missing,
        moved,
        equal,
        tuple(timings[way] for way in ways),
        tuple(timings[way] for way in limits),
        *(missing / timings[rate].median_s for rate in rates),
    )


def _peers(folder: Path) -> dict[str, Way]:
    """The usual ways, each into a module that is there already unless it says build."""
    module = resnet50().eval()
    assigned = resnet50().eval()

    def usual(name: str) -> None:
        module.load_state_dict(load_file(folder / f"{name}.safetensors"))

    def assign(name: str) -> None:
        assigned.load_state_dict(load_file(folder / f"{name}.safetensors"), assign=True)

    def build(name: str) -> torch.nn.Module:
        fresh = resnet50().eval()
        fresh.load_state_dict(load_file(folder / f"{name}.safetensors"))
        return fresh

    def pickled(name: str) -> None:
        module.load_state_dict(torch.load(folder / f"{name}.pt", weights_only=True))

    return {
        "load_file + load_state_dict": usual,
        "load_file + assign": assign,
        "torch.load + load_state_dict": pickled,
        "build + load": build,
    }


def _limits(folder: Path, size: int) -> tuple[dict[str, Way], tuple[str, str]]:
    """Copying and reading `size` bytes: what no way of loading them can beat by much."""
    path = folder / "warm.bin"
    path.write_bytes(os.urandom(size))
    source, target = torch.ones(size, dtype=torch.uint8), torch.zeros(size, dtype=torch.uint8)
    view = memoryview(target.numpy())  # type: ignore[arg-type]
    have = memoryview(source.numpy())  # type: ignore[arg-type]
    threads = min(4, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(threads)
    step = -(-size // (4 * threads))
    fd = os.open(path, os.O_RDONLY)

    def copy(_: str) -> None:
        view[:] = have

    def read(_: str) -> None:
        os.preadv(fd, [view], 0)

    def part(begin: int) -> None:
        os.preadv(fd, [view[begin : begin + step]], begin)

    def read_threads(_: str) -> None:
        list(pool.map(part, range(0, size, step)))

    names = ("warm read", f"warm read, {threads} threads")
    return {"memory copy": copy, names[0]: read, names[1]: read_threads}, names


def _outputs_equal(runtime: Runtime, states: dict[str, State]) -> bool:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    equal = True
    for name in "ab":
        module = resnet50().eval()
        module.load_state_dict(states[name])
        runtime.switch(name)
        with torch.inference_mode():
            equal &= torch.equal(module(images), runtime.infer(name, images))
    return equal


def _timing(way: str, times: list[float]) -> Timing:
    low, median, high = statistics.quantiles(times, n=4)
    return Timing(way, median, low, high)


def show(report: Report, console: Console) -> None:
    """Print a report as two tables."""
    own = report.median("trunkline")
    table = Table(
        title=f"ResNet-50, two variants share 85 % of the layers ({report.position}): "
        f"{report.missing_bytes / 1e6:.1f} MB missing, {report.moved_bytes / 1e6:.1f} MB moved, "
        f"outputs {'equal' if report.outputs_equal else 'DIFFER'}",
        title_justify="left",
    )
    for column in ("way", "median ms", "quartiles ms", "x trunkline", "GB/s of the missing"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for one in (*report.timings, *report.limits):
        table.add_row(
            one.way,
            f"{one.median_s * 1e3:.2f}",
            f"{one.low_s * 1e3:.2f} - {one.high_s * 1e3:.2f}",
            f"{one.median_s / own:.2f}",
            f"{report.missing_bytes / one.median_s / 1e9:.1f}",
            end_section=one is report.timings[-1],
        )
    console.print(table)
    for name, (value, demand, met) in report.targets.items():
        console.print(f"  {'met ' if met else 'MISSED'} {value:8.3g} {name} ({demand})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; 0 where every target is met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.switching", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON only")
    options = parser.parse_args(arguments)
    if "GOMP_SPINCOUNT" not in os.environ:  # read when PyTorch was imported: start anew
        command = [sys.executable, "-m", "benchmarks.switching", *(arguments or sys.argv[1:])]
        environment = {**os.environ, "GOMP_SPINCOUNT": str(SPIN_ROUNDS)}
        return subprocess.run(command, env=environment, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        reports = [
            measure(position, Path(folder), options.repeats) for position in ("bottom", "anywhere")
        ]
    if options.json:
        sys.stdout.write(json.dumps([asdict(one) for one in reports], indent=1) + "\n")
    else:
        console = Console(width=120)
        console.print(
            f"{platform.machine()}, {os.cpu_count()} CPUs, PyTorch {torch.__version__}, "
            f"{torch.get_num_threads()} threads (spin {os.environ['GOMP_SPINCOUNT']}); page cache "
            f"warm; medians of {options.repeats}"
        )
        for one in reports:
            show(one, console)
    met = all(met for one in reports for _, _, met in one.targets.values())
    return 0 if met and all(one.outputs_equal for one in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
