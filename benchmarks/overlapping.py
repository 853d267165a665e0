"""Loading a model from the disk beside its forward, against one after the other.

    python -m benchmarks.overlapping [--repeats 9] [--threads 2]

A ResNet-50, a ViT and a GPT-2 with random weights, for one sample and for eight, nothing resident.
Warm: the files are in the page cache. Cold: they were dropped from it, where the system does that.
In turn: `switch` and then `infer`, and `infer_while_loading`. Shown are medians in ms: of loading
and of computing, one after the other; of their sum in each run; of both at once; and the limit, the
longer one of loading and computing. "gain" is what both at once saves of the sum, and "(limit)"
what the limit would. "began early" counts the runs whose forward began while the model was loaded:
where the runtime expects no gain, it loads first.

Targets: never more than 5 % slower than one after the other; cold and with one sample, at least
half of the limit's gain. Outputs have to be bit-equal.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Verdict, table, verdict
from trunkline.experiments.networks import resnet50
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.cache import drop_cached, warm_files
from trunkline.runtime.threads import SPIN_ROUNDS
from trunkline.store import Architecture, Store

Batch = torch.Tensor | Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Network:
    """A model of the store, and eight samples for it."""

    name: str
    samples: Batch

    def batch(self, size: int) -> Batch:
        """The first of its samples."""
        if isinstance(self.samples, torch.Tensor):
            return self.samples[:size]
        return {key: value[:size] for key, value in self.samples.items()}


@dataclass(frozen=True)
class Turn:
    """Seconds of loading, of computing after it, and of both at once."""

    load_s: float
    compute_s: float
    both_s: float
    began_early: bool


@dataclass(frozen=True)
class Row:
    """The turns of one network, batch and state of the cache."""

    network: str
    batch: int
    cache: str
    turns: Sequence[Turn]

    @property
    def load_s(self) -> float:
        return statistics.median(one.load_s for one in self.turns)

    @property
    def compute_s(self) -> float:
        return statistics.median(one.compute_s for one in self.turns)

    @property
    def sum_s(self) -> float:
        return statistics.median(one.load_s + one.compute_s for one in self.turns)

    @property
    def both_s(self) -> float:
        return statistics.median(one.both_s for one in self.turns)

    @property
    def limit_s(self) -> float:
        return max(self.load_s, self.compute_s)

    def cells(self) -> list[str]:
        times = (self.load_s, self.compute_s, self.sum_s, self.both_s, self.limit_s)
        early = sum(one.began_early for one in self.turns)
        return [
            *(self.network, str(self.batch), self.cache, *(f"{1e3 * one:.1f}" for one in times)),
            *(f"{1 - one / self.sum_s:.1%}" for one in (self.both_s, self.limit_s)),
            f"{early} of {len(self.turns)}",
        ]


def networks(store: Store) -> list[Network]:
    """Models of about 100 MB, added to a store."""
    import transformers

    torch.manual_seed(0)
    architecture = Architecture("factory", factory="trunkline.experiments.networks:resnet50")
    state = resnet50(1000).state_dict()
    architecture = Architecture(
        "factory", factory="trunkline.experiments.networks:resnet50", kwargs={"num_classes": 1000}
    )
    store.add("resnet50", state_dict_source(state, architecture=architecture))
    vit = transformers.ViTConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536
    )
    gpt2 = transformers.GPT2Config(
        **{"vocab_size": 8000, "n_embd": 512, "n_layer": 8, "n_head": 8},
        **{"bos_token_id": None, "eos_token_id": None},
    )
    images = torch.randn(8, 3, 224, 224)
    found = [Network("resnet50", images)]
    for name, kind, config, samples in (
        ("vit", "ViTForImageClassification", vit, {"pixel_values": images}),
        ("gpt2", "GPT2LMHeadModel", gpt2, {"input_ids": torch.randint(0, 8000, (8, 128))}),
    ):
        net = getattr(transformers, kind)(config)
        architecture = Architecture("huggingface", config=config.to_dict(), class_name=kind)
        store.add(name, state_dict_source(net.state_dict(), architecture=architecture))
        found.append(Network(name, samples))
    return found


def measure(runtime: Runtime, network: Network, size: int, cold: bool, repeats: int) -> Row:
    """Both ways in turn; the first turn of each does not count."""
    batch = network.batch(size)
    turns = [_turn(runtime, network.name, batch, cold) for _ in range(repeats + 1)][1:]
    return Row(network.name, size, "cold" if cold else "warm", turns)


def _turn(runtime: Runtime, name: str, batch: Any, cold: bool) -> Turn:
    _forget(runtime, name, cold)
    started = time.perf_counter()
    runtime.switch(name)
    loaded = time.perf_counter()
    wanted = _tensor(runtime.infer(name, batch))
    ended = time.perf_counter()
    _forget(runtime, name, cold)
    again = time.perf_counter()
    done = runtime.infer_while_loading(name, batch)
    both_s = time.perf_counter() - again
    if not torch.equal(_tensor(done.output), wanted):
        raise SystemExit(f"{name}: another output than after a switch")
    early = not done.overlap.download_first
    return Turn(loaded - started, ended - loaded, both_s, early)


def _forget(runtime: Runtime, name: str, cold: bool) -> None:
    runtime.clear()
    paths = [runtime.store.blob_path(block.digest) for block in runtime.store.model(name).blocks]
    if not cold:
        warm_files(paths)
    elif not drop_cached(paths):
        raise SystemExit("the system keeps the files cached")


def _tensor(output: Any) -> torch.Tensor:
    found: torch.Tensor = output if isinstance(output, torch.Tensor) else output.logits
    return found


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """The worst of each kind."""
    cold = [row for row in rows if row.cache == "cold" and row.batch == 1]
    shares = [(row.sum_s - row.both_s) / (row.sum_s - row.limit_s) for row in cold]
    return [
        verdict("both at once beside one after the other", _worst(rows), 1.05),
        verdict("cold, one sample: share of the limit's gain", min(shares), 0.5, at_least=True),
    ]


def _worst(rows: Sequence[Row]) -> float:
    return max(row.both_s / row.sum_s for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if an output differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overlapping", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    options = parser.parse_args(arguments)
    if "GOMP_SPINCOUNT" not in os.environ:  # read when PyTorch was imported: start anew
        command = [sys.executable, "-m", "benchmarks.overlapping", *(arguments or sys.argv[1:])]
        environment = {**os.environ, "GOMP_SPINCOUNT": str(SPIN_ROUNDS)}
        return subprocess.run(command, env=environment, check=False).returncode
    torch.set_num_threads(options.threads)
    rows = []
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        store = Store.open(Path(folder) / "store", create=True)
        with Runtime(store) as runtime:
            for network in networks(store):
                for size in (1, 8):
                    for cold in (False, True):
                        rows.append(measure(runtime, network, size, cold, options.repeats))
    header = ("network", "batch", "cache", "load", "compute", "sum", "at once", "(limit)")
    print(f"medians of {options.repeats} in ms, PyTorch with {options.threads} threads\n")
    print(table((*header, "gain", "(limit)", "began early"), [row.cells() for row in rows]))
    print()
    for line in verdicts(rows):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
