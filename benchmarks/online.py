"""Requests as they come, under a virtual clock: our policy beside the usual ones.

    python -m benchmarks.online [--quick]

50 models on three backbones with the calibrated rates of set A (docs/reproduction.md), memory for
the two largest models, deadlines of 3 to 10 whole loads; requests for 12 s at 1 to 4.5 times the
rate that whole-model loading without batches could carry, Poisson or in bursts, models asked for
alike or by Zipf's law (0.9). The same traces for all.

It says who answers how much in time where nothing is uncertain: loads and forwards take what the
costs say, one batch at a time, no overlap. It does not say what a server on a real machine does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from statistics import mean, median
from typing import Literal

from benchmarks.measure import table, verdict
from trunkline.experiments.online import Replay, replay
from trunkline.experiments.scenario import paper_problem
from trunkline.experiments.traces import Arrival, draw_trace
from trunkline.loading.online import Costs, policy

LOADS = (1.0, 1.4, 1.8, 2.4, 3.0, 4.5)
WAYS = {
    "FCFS, whole models": ("fcfs", False),
    "EDF, whole models": ("edf", False),
    "EDF": ("edf", True),
    "greatest rate": ("greatest-rate", True),
    "urgency": ("urgency", True),
}
OURS = "urgency"


def settings(models: int, seeds: int) -> Iterator[tuple[str, float, Costs, tuple[Arrival, ...]]]:
    """Every trace, with a name for its kind, its load, and the costs."""
    kinds: tuple[Literal["poisson", "bursts"], ...] = ("poisson", "bursts")
    for seed in range(seeds):
        problem = paper_problem(models, 1, seed=seed)
        library, link = problem.library, problem.loading
        costs = Costs(library, link, problem.models, 2 * max(library.model_bytes))
        whole_s = [link.seconds(size) for size in library.model_bytes]
        alone_s = mean(load + costs.compute_seconds(model, 1) for model, load in enumerate(whole_s))
        for kind in kinds:
            for zipf in (0.0, 0.9):
                for load in LOADS:
                    trace = draw_trace(
                        whole_s, load / alone_s, 12.0, arrivals=kind, zipf=zipf, seed=seed
                    )
                    yield f"{kind}, Zipf {zipf:g}", load, costs, trace


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.online", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed")
    quick = parser.parse_args().quick
    found: dict[tuple[str, float], dict[str, list[Replay]]] = {}
    for kind, load, costs, trace in settings(50, 1 if quick else 4):
        whole = Costs(costs.library, costs.loading, costs.models, costs.memory_bytes, False)
        for way, (name, partial) in WAYS.items():
            done = replay(costs if partial else whole, trace, policy(name))
            found.setdefault((kind, load), {}).setdefault(way, []).append(done)
    rows = []
    for (kind, load), ways in found.items():
        percents = [f"{100 * mean(one.goodput for one in done):.1f}" for done in ways.values()]
        moved = (mean(one.bytes_moved for one in ways[way]) for way in (OURS, "FCFS, whole models"))
        ours, theirs = moved
        rows.append((kind, f"{load:g}", *percents, f"{ours / theirs:.2f}"))
    print("answered in time [%], and bytes moved against FCFS with whole models\n")
    print(table(("requests", "load", *WAYS, "bytes"), rows))
    took = [
        decision
        for ways in found.values()
        for one in ways[OURS]
        for decision in one.decisions_s.tolist()
    ]
    print(f"\na decision of {OURS} takes {1e3 * median(took):.3f} ms at the median here\n")
    for other, points in (("EDF", 5), ("FCFS, whole models", 15)):
        name = f"{OURS} over {other}, points, where that answers 50 to 90 %"
        print(verdict(name, gain(found, other), points, at_least=True))
    return 0


def gain(found: dict[tuple[str, float], dict[str, list[Replay]]], other: str) -> float:
    """Mean points by which ours is better than another, over the rows where that has 50 to 90 %."""
    points = []
    for ways in found.values():
        theirs = mean(one.goodput for one in ways[other])
        if 0.5 <= theirs <= 0.9:
            points.append(100 * (mean(one.goodput for one in ways[OURS]) - theirs))
    return mean(points) if points else float("nan")


if __name__ == "__main__":
    sys.exit(main())
