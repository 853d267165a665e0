"""Requests as they come, under a virtual clock: our policy beside the usual ones.

    python -m benchmarks.online [--quick]

50 models on three backbones with the calibrated rates of set A (docs/reproduction.md), memory for
the two largest models, deadlines of 3 to 10 whole loads; requests for 12 s at 1 to 4.5 times the
rate that whole-model loading without batches could carry, Poisson or in bursts, models asked for
alike or by Zipf's law (0.9). The same traces for all, and under every policy the next batch's
blocks load beside the computing one. No policy answers more than the bound.

It says who answers how much in time where nothing is uncertain: loads and forwards take what the
costs say. It does not say what a server on a real machine does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from statistics import mean, median
from time import perf_counter
from typing import Literal

import numpy as np

from benchmarks.measure import table, verdict
from trunkline.experiments.clairvoyant import clairvoyant_bound
from trunkline.experiments.online import Replay, replay
from trunkline.experiments.scenario import paper_problem
from trunkline.experiments.traces import Arrival, draw_trace
from trunkline.loading.online import PARTS, Costs, Waiting
from trunkline.loading.policies import policy
from trunkline.loading.scheduler import Scheduler

LOADS = (1.0, 1.4, 1.8, 2.4, 3.0, 4.5)
WAYS = {
    "FCFS, whole models": ("fcfs", False),
    "EDF, whole models": ("edf", False),
    "EDF": ("edf", True),
    "greatest rate": ("greatest-rate", True),
    "urgency": ("urgency", True),
}
OURS = "urgency"
WAITING = 200
Found = dict[tuple[str, float], dict[str, list[Replay]]]


def settings(models: int, seeds: int) -> Iterator[tuple[str, float, Costs, tuple[Arrival, ...]]]:
    """Every trace, with a name for its kind, its load, and the costs."""
    kinds: tuple[Literal["poisson", "bursts"], ...] = ("poisson", "bursts")
    for seed in range(seeds):
        problem = paper_problem(models, 1, seed=seed)
        library, link = problem.library, problem.loading
        memory = 2 * max(library.model_bytes)
        costs = Costs(library, link, problem.models, memory, parts=PARTS)
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
    found: Found = {}
    bounds: dict[tuple[str, float], list[float]] = {}
    for kind, load, costs, trace in settings(50, 1 if quick else 4):
        whole = Costs(costs.library, costs.loading, costs.models, costs.memory_bytes, False)
        for way, (name, partial) in WAYS.items():
            done = replay(costs if partial else whole, trace, policy(name))
            found.setdefault((kind, load), {}).setdefault(way, []).append(done)
        share = clairvoyant_bound(costs, trace) / max(len(trace), 1)
        bounds.setdefault((kind, load), []).append(share)
    rows = []
    for key, ways in found.items():
        percents = [100 * mean(one.goodput for one in done) for done in ways.values()]
        bound = 100 * mean(bounds[key])
        gap = bound - percents[list(ways).index(OURS)]
        moved = (mean(one.bytes_moved for one in ways[way]) for way in (OURS, "FCFS, whole models"))
        ours, theirs = moved
        figures = [f"{one:.1f}" for one in (*percents, bound, gap)]
        rows.append((key[0], f"{key[1]:g}", *figures, f"{ours / theirs:.2f}"))
    print("answered in time [%], the bound and ours below it, bytes moved against FCFS with whole")
    print("models\n")
    print(table(("requests", "load", *WAYS, "bound", "gap", "bytes"), rows))
    print()
    for other, points in (("EDF", 5), ("FCFS, whole models", 15)):
        name = f"{OURS} over {other}, points, where that answers 50 to 90 %"
        print(verdict(name, gain(found, other), points, at_least=True))
    name = f"a batch of {WAITING} waiting requests is chosen in, ms at the median"
    print(verdict(name, 1e3 * decision_s(), 2))
    return 0


def decision_s(queues: int = 200) -> float:
    """What `next_batch` takes at the median with many requests waiting, a load just done."""
    problem = paper_problem(50, 1, seed=0)
    library = problem.library
    memory = 2 * max(library.model_bytes)
    costs = Costs(library, problem.loading, problem.models, memory, parts=PARTS)
    rng = np.random.default_rng(0)
    took = []
    for _ in range(queues):
        scheduler = Scheduler(costs)
        for key, model in enumerate(rng.integers(len(costs.models), size=WAITING).tolist()):
            scheduler.queue.add(Waiting(rng.uniform(0.5, 3.0), 0.0, key, model))
        load = scheduler.next_load(0.0)
        assert load is not None
        scheduler.loaded(load.end_s)
        begun = perf_counter()
        batch = scheduler.next_batch(load.end_s)
        took.append(perf_counter() - begun)
        assert batch is not None
    return median(took)


def gain(found: Found, other: str) -> float:
    """Mean points by which ours is better than another, over the rows where that has 50 to 90 %."""
    points = []
    for ways in found.values():
        theirs = mean(one.goodput for one in ways[other])
        if 0.5 <= theirs <= 0.9:
            points.append(100 * (mean(one.goodput for one in ways[OURS]) - theirs))
    return mean(points) if points else float("nan")


if __name__ == "__main__":
    sys.exit(main())
