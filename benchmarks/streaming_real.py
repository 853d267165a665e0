"""Streaming for real: models over a paced link, beside the recursion and beside downloading first.

    python -m benchmarks.streaming_real [--repeats 3] [--deadline-runs 20]

`trunkline serve --link RATE` in a process of its own on loopback; the client in this one, computing
on one thread, into an empty store each time. Three networks with random weights, three rates. For
each the client runs as it does and with `download_first`, in turn. Shown are the medians of: the
measured end; how far it is from the recursion fed with the run's own arrivals and layer times; the
same of the time in which the device stands still, as a share of the end; what overlapping saves of
downloading first, measured (between the two) and predicted (from the overlapped run alone); and
rho, the share of the end that is computing.

Then one network gets a link of 1.05 and of 0.95 times the least rate for a deadline,

    r_min = max_l C_l / (deadline - t0 - A_l),

with C_l the bytes up to layer l, A_l the computing from it on, and t0 the time to the first byte,
as the runs before measured them (derived, see docs/streaming.md); the deadline is 0.9 times what
the median run took at the middle rate.

Targets: ends within 5 % of the recursion; standing still within 5 % of the end; the saving within 3
points of the prediction; at least 19 of 20 runs in time with 1.05, and late with 0.95.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import table, verdict
from trunkline.device import StreamClient
from trunkline.device.report import StreamReport
from trunkline.experiments.networks import digits_net, resnet18
from trunkline.runtime import state_dict_source
from trunkline.store import Architecture, InputSpec, Store

RATES_MBIT = (20, 60, 200)
FACTORY = "trunkline.experiments.networks"

Stream = Callable[..., tuple[StreamReport, Any]]
"""Streams a network; gives the report and the output."""


@dataclass(frozen=True)
class Network:
    """A model of the server, and a batch for it."""

    name: str
    batch: Any
    loaded: Callable[[], Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--deadline-runs", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        networks = bench.networks()
        verdicts, runs = bench.compare(networks, arguments.repeats)
        if arguments.deadline_runs:
            verdicts += bench.meet_deadlines(networks[0], runs, arguments.deadline_runs)
    for one in verdicts:
        print(one)
    return 0


class Bench:
    """A store to serve, and runs against it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = Store.open(folder / "server", create=True)
        self._stores = 0

    def networks(self) -> list[Network]:
        """Those that are streamed; and one for the server to serve, which is small."""
        torch.manual_seed(0)
        tiny = Architecture("factory", factory=f"{FACTORY}:digits_net")
        state = digits_net().state_dict()
        spec = InputSpec((1, 8, 8))
        self._store.add("tiny", state_dict_source(state, architecture=tiny, input=spec))
        net = resnet18().eval()
        architecture = Architecture("factory", factory=f"{FACTORY}:resnet18")
        self._store.add("resnet18", state_dict_source(net.state_dict(), architecture=architecture))
        images = torch.randn(8, 3, 224, 224)
        return [*self._hugging_face(), Network("resnet18", images, lambda: net(images))]

    def _hugging_face(self) -> list[Network]:
        import transformers

        vit = transformers.ViTConfig(
            hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768
        )
        gpt2 = transformers.GPT2Config(
            vocab_size=8000,
            n_embd=256,
            n_layer=6,
            n_head=4,
            bos_token_id=None,
            eos_token_id=None,
        )
        images = {"pixel_values": torch.randn(8, 3, 224, 224)}
        tokens = {"input_ids": torch.randint(0, 8000, (4, 256))}
        found = []
        for name, kind, config, batch in (
            ("vit", "ViTForImageClassification", vit, images),
            ("gpt2", "GPT2LMHeadModel", gpt2, tokens),
        ):
            net = getattr(transformers, kind)(config).eval()
            architecture = Architecture("huggingface", config=config.to_dict(), class_name=kind)
            source = state_dict_source(net.state_dict(), architecture=architecture)
            self._store.add(name, source)
            found.append(Network(name, batch, lambda net=net, batch=batch: net(**batch).logits))
        return found

    @contextmanager
    def serving(self, mbit: float) -> Iterator[str]:
        """The address of a server with such a link."""
        command = [sys.executable, "-m", "trunkline", "serve", "--store", str(self._store.path)]
        command += ["--port", "0", "--link", f"{mbit:.6f}Mbit"]
        quiet = subprocess.DEVNULL  # its log
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
            try:
                lines = iter(process.stdout or ())
                urls = (re.search(r"https?://[^\s/]+", line) for line in lines)
                found = next((url for url in urls if url is not None), None)
                if found is None:
                    raise SystemExit("the server did not start")
                yield found[0]
            finally:
                process.terminate()

    @contextmanager
    def client(self, url: str) -> Iterator[Stream]:
        """What streams a network into an empty store; the second time its module is built."""
        self._stores += 1
        store = Store.open(self._folder / f"device-{self._stores}", create=True)
        with StreamClient(url, store) as client:

            def stream(network: Network, **asked: Any) -> tuple[StreamReport, Any]:
                done = client.infer(network.name, network.batch, **asked)
                store.remove(network.name)
                store.gc()
                whole = isinstance(done.output, torch.Tensor)
                return done.report, done.output if whole else done.output.logits

            yield stream

    def compare(
        self, networks: Sequence[Network], repeats: int
    ) -> tuple[list[Any], dict[tuple[str, int], list[StreamReport]]]:
        """All networks at all rates; prints the table."""
        rows, runs = [], {}
        worst = dict.fromkeys(("end", "still", "saving"), 0.0)
        for mbit in RATES_MBIT:
            with self.serving(mbit) as url, self.client(url) as stream:
                for network in networks:
                    pairs = [_pair(stream, network) for _ in range(repeats + 1)][1:]
                    runs[network.name, mbit] = [one for one, _ in pairs]
                    row, off = _row(network.name, mbit, pairs)
                    rows.append(row)
                    worst = {key: max(worst[key], off[key]) for key in worst}
        header = ("network", "Mbit/s", "MB", "end s", "off", "still s", "off", "rho")
        print(table((*header, "saving", "predicted"), rows))
        return [
            verdict("largest distance of an end from the recursion, %", 100 * worst["end"], 5),
            verdict("the same of standing still, % of the end", 100 * worst["still"], 5),
            verdict("saving beside its prediction, points", 100 * worst["saving"], 3),
        ], runs

    def meet_deadlines(
        self, network: Network, runs: dict[tuple[str, int], list[StreamReport]], count: int
    ) -> list[Any]:
        """How often a deadline is met with a little more, and missed with a little less."""
        before = runs[network.name, RATES_MBIT[-1]]
        deadline_s = 0.9 * statistics.median(
            one.overlap.ended_s for one in runs[network.name, RATES_MBIT[1]]
        )
        least = statistics.median(least_rate(one, deadline_s) for one in before)
        print(f"\n{network.name}: {least * 8e-6:.1f} Mbit/s for a deadline of {deadline_s:.2f} s")
        verdicts = []
        for factor, name in ((1.05, "in time"), (0.95, "late")):
            with self.serving(least * factor * 8e-6) as url, self.client(url) as stream:
                ends = [stream(network)[0].overlap.ended_s for _ in range(count + 1)][1:]
                late = [end_s > deadline_s for end_s in ends]
            good = late.count(factor < 1)
            print(f"{factor:g} times the least rate: {good} of {count} {name}")
            verdicts.append(
                verdict(f"{name} with {factor:g} times", good / count, 0.95, at_least=True)
            )
        return verdicts


def _pair(stream: Stream, network: Network) -> tuple[StreamReport, StreamReport]:
    """A run that overlaps, and one that downloads first."""
    with torch.inference_mode():
        wanted = network.loaded()
    reports = []
    for first in (False, True):
        report, output = stream(network, download_first=first)
        if not torch.equal(output, wanted):
            raise SystemExit(f"{network.name}: another output than the loaded model's")
        reports.append(report)
    return reports[0], reports[1]


def least_rate(report: StreamReport, deadline_s: float) -> float:
    """r_min in bytes/s (see above); the stream's header counts to the first layer."""
    layers = report.overlap.layers
    extra = report.received_bytes - sum(layer.sent_bytes for layer in layers)
    sent = sorted(layers, key=lambda layer: layer.arrived_s)
    pace = report.rate_bytes_per_s or 0.0
    t0 = max(0.0, sent[-1].arrived_s - report.received_bytes / pace) if pace else 0.0
    left, total, least = report.compute_s, float(extra), 0.0
    for layer in layers:
        total += layer.sent_bytes
        least = max(least, total / (deadline_s - t0 - left))
        left -= layer.compute_s
    return least


def _row(
    name: str, mbit: int, pairs: Sequence[tuple[StreamReport, StreamReport]]
) -> tuple[list[str], dict[str, float]]:
    """A row of the table, and the distances that have targets."""

    def median(of: Callable[[StreamReport, StreamReport], float]) -> float:
        return statistics.median(of(one, other) for one, other in pairs)

    end = median(lambda one, _: one.overlap.ended_s)
    off = median(lambda one, _: abs(one.overlap.ended_s / one.overlap.predicted_s - 1))
    still = median(lambda one, _: one.overlap.waited_s)
    still_off = median(
        lambda one, _: (
            abs(one.overlap.waited_s - one.overlap.predicted_wait_s) / one.overlap.ended_s
        )
    )
    rho = median(lambda one, _: one.compute_s / one.overlap.ended_s)
    saving = median(lambda one, other: 1 - one.overlap.ended_s / other.overlap.ended_s)
    predicted = median(lambda one, _: 1 - one.overlap.predicted_s / one.overlap.download_first_s)
    row = [name, str(mbit), f"{pairs[0][0].bytes / 1e6:.1f}", f"{end:.3f}", f"{off:.2%}"]
    row += [f"{still:.3f}", f"{still_off:.2%}", f"{rho:.2f}", f"{saving:.1%}", f"{predicted:.1%}"]
    return row, {"end": off, "still": still_off, "saving": abs(saving - predicted)}


if __name__ == "__main__":
    sys.exit(main())
