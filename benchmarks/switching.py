"""Switching between two variants of a ResNet-50: Trunkline against the usual ways of loading.

    python -m benchmarks.switching [--repeats 15]

Two variants share 85 % of their 107 layers, either the bottom ones or layers anywhere. Everything
is in the page cache. Each other way takes turns with Trunkline, A B A B ..., so that what else the
machine does meets both; a ratio is between the medians of its two. The weights are random.

PyTorch's compute threads spin briefly here, for all ways alike, as `trunkline run` sets it (see
trunkline/runtime/threads.py; GOMP_SPINCOUNT=300000 is what they do by themselves). `load_file` maps
the file and reads nothing: with assign the bytes come later, at the first forward. Trunkline maps
most blocks, too, and brings their pages in before the switch ends; "trunkline --copy" copies them.
So that nothing is saved in the switch and paid afterwards, the last rows have a switch and the
first forward together.

Beside them the limits of the same run: the copy of as many bytes within memory, and one read of a
warm file of that size into a buffer that was touched before.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.measure import Times, Verdict, table, verdict
from trunkline.experiments.networks import layers, resnet50
from trunkline.experiments.variants import backbone_state
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.threads import SPIN_ROUNDS
from trunkline.store import Architecture, Store

USUAL = "load_file + load_state_dict"
BUILD = "build + load"
WARM_READ = "(limit) warm read"
COPYING = "trunkline --copy"
IMAGES = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
SHARE = 0.85
ARCHITECTURE = Architecture("factory", factory="trunkline.experiments.networks:resnet50")
State = dict[str, torch.Tensor]
Way = Callable[[str], object]


@dataclass(frozen=True)
class Pair:
    """Another way (or a limit) and Trunkline, in turn."""

    other: Times
    own: Times

    @property
    def ratio(self) -> float:
        """How many times faster Trunkline is."""
        return self.other.median / self.own.median


@dataclass(frozen=True)
class Report:
    """One position of the shared layers: what moved, and how long each way took."""

    position: str
    missing_bytes: int
    moved_bytes: int
    outputs_equal: bool
    pairs: Mapping[str, Pair]

    def verdicts(self) -> list[Verdict]:
        """What must be reached, and whether it is."""
        read = self.pairs[WARM_READ]
        allowed = 1.3 * read.other.median + 1e-3  # it reads as many bytes as are missing
        excess = abs(self.moved_bytes - self.missing_bytes)
        return [
            verdict("bytes moved beyond (or short of) the missing", excess, 0),
            verdict(f"times faster than {USUAL}", self.pairs[USUAL].ratio, 4, at_least=True),
            verdict(f"times faster than {BUILD}", self.pairs[BUILD].ratio, 10, at_least=True),
            verdict(
                "of 1.3 x (missing bytes / warm read rate) + 1 ms", read.own.median / allowed, 1
            ),
        ]


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
    runtime.switch("a")
    moved = runtime.switch("b").bytes_moved
    equal = _outputs_equal(runtime, states)
    copying = Runtime(store, copy=True)
    ways: dict[str, Way] = {COPYING: copying.switch}
    pairs = {
        name: _in_turn(way, runtime.switch, repeats)
        for name, way in (_peers(folder) | ways | _limits(folder, missing)).items()
    }
    own = _with_forward(runtime)
    pairs |= {
        f"{name}, forward": _in_turn(way, own, repeats)
        for name, way in (_peers_with_forward(folder) | {COPYING: _with_forward(copying)}).items()
    }
    runtime.close()
    copying.close()
    return Report(position, missing, moved, equal, pairs)


def _in_turn(way: Way, own: Way, repeats: int) -> Pair:
    """Time two ways in turn, each time with the other variant; two rounds before don't count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 2):
        for run, times in zip((way, own), seconds, strict=True):
            started = time.perf_counter()
            kept = run("ab"[repeat % 2])
            times.append(time.perf_counter() - started)
            del kept
    other, mine = (Times(tuple(times[2:])) for times in seconds)
    return Pair(other, mine)


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
        USUAL: usual,
        "load_file + assign": assign,
        "torch.load + load_state_dict": pickled,
        BUILD: build,
    }


def _with_forward(runtime: Runtime) -> Way:
    """A switch, and a forward of one image."""

    def both(name: str) -> object:
        runtime.switch(name)
        return runtime.infer(name, IMAGES)

    return both


def _peers_with_forward(folder: Path) -> dict[str, Way]:
    """The quickest two of the usual ways, and a forward of one image."""
    module = resnet50().eval()

    def one(assign: bool) -> Way:
        @torch.inference_mode()
        def both(name: str) -> object:
            module.load_state_dict(load_file(folder / f"{name}.safetensors"), assign=assign)
            return module(IMAGES)

        return both

    return {USUAL: one(False), "load_file + assign": one(True)}


def _limits(folder: Path, size: int) -> dict[str, Way]:
    """Copying and reading `size` bytes: what no way that copies them can beat by much."""
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

    name = f"(limit) {threads} warm reads at once"
    return {"(limit) memory copy": copy, WARM_READ: read, name: read_threads}


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


def show(report: Report) -> None:
    """Print a report."""
    print(
        f"\n85 % of the layers shared ({report.position}): {report.missing_bytes / 1e6:.1f} MB "
        f"missing, {report.moved_bytes / 1e6:.1f} MB moved, outputs "
        f"{'bit-equal' if report.outputs_equal else 'DIFFER'}\n"
    )
    rows = [
        (
            name,
            pair.other.spread(),
            pair.own.spread(),
            f"{pair.ratio:.2f}",
        )
        for name, pair in report.pairs.items()
    ]
    header = ("ms: median (quartiles)", "this way", "trunkline", "ratio")
    print(table(header, rows))
    print()
    for line in report.verdicts():
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if the wrong bytes moved or an output differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.switching", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args(arguments)
    if "GOMP_SPINCOUNT" not in os.environ:  # read when PyTorch was imported: start anew
        command = [sys.executable, "-m", "benchmarks.switching", *(arguments or sys.argv[1:])]
        environment = {**os.environ, "GOMP_SPINCOUNT": str(SPIN_ROUNDS)}
        return subprocess.run(command, env=environment, check=False).returncode
    print(
        f"ResNet-50, page cache warm, medians of {options.repeats}, in turn; PyTorch with "
        f"{torch.get_num_threads()} threads, spin count {os.environ['GOMP_SPINCOUNT']}"
    )
    right = True
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        for position in ("bottom", "anywhere"):
            report = measure(position, Path(folder), options.repeats)
            show(report)
            right &= report.outputs_equal and report.moved_bytes == report.missing_bytes
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
