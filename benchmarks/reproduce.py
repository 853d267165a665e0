"""The paper's evaluation: time per solve against plain Algorithm 2, and of all figures.

The peer is Algorithm 2 written plainly in numpy from the printed listing
(`benchmarks.algorithm2`). Every method answers the same problems in turns, in one process; as
printed and corrected it must serve what the peer serves, and the exact optimum never fewer.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trunkline
from benchmarks.algorithm2 import algorithm_2
from benchmarks.measure import Times, table, take_turns, verdict
from trunkline.experiments.cells import Table
from trunkline.experiments.figures import FIGURES
from trunkline.experiments.preset import load_preset
from trunkline.experiments.scenario import paper_problem
from trunkline.experiments.sweep import PART, sweep
from trunkline.loading import LoadingProblem

SLOT_S = 0.01
PROBLEMS = 8
REPEATS = 3
RUNS = 1000
"""Realisations of the paper's figures."""

FIGS_6_TO_9 = ("6", "7", "8", "9")


def main() -> int:
    print("Figs. 6 to 9's default setting (calibrated set A): 50 models, 80 tasks, 700 ms\n")
    times = per_solve()
    print()
    gain = times["plain"].median / times["optimal"].median
    print(verdict("plain Algorithm 2 / exact optimum", gain, 200.0, at_least=True))
    print()
    minutes = all_figures() / 60
    print(verdict(f"Figs. 6 to 9 at {RUNS:,} realisations [min]", minutes, 10.0))
    return 0


def per_solve() -> dict[str, Times]:
    """A table of times and ratios; the times by method."""
    problems = [paper_problem(run=run) for run in range(PROBLEMS)]
    methods: dict[str, tuple[str, Callable[[LoadingProblem], int]]] = {
        "plain": ("Algorithm 2 as printed, plain numpy", lambda p: algorithm_2(p, SLOT_S)),
        "printed": (
            "Algorithm 2 as printed, `paper`",
            lambda p: trunkline.plan(p, "paper", variant="printed").served,
        ),
        "corrected": (
            "Algorithm 2 corrected, `paper`",
            lambda p: trunkline.plan(p, "paper").served,
        ),
        "optimal": ("the exact optimum, `optimal`", lambda p: trunkline.plan(p).served),
    }
    served = {name: [method(p) for p in problems] for name, (_, method) in methods.items()}
    if served["plain"] != served["printed"]:
        raise SystemExit(f"not the peer's numbers: {served}")
    if any(x > y for x, y in zip(served["corrected"], served["optimal"], strict=True)):
        raise SystemExit(f"slots serve more than the optimum: {served}")
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for problem in problems:
        runs = {name: bound(method, problem) for name, (_, method) in methods.items()}
        for name, found in take_turns(runs, REPEATS).items():
            seconds[name] += found.seconds
    times = {name: Times(tuple(values)) for name, values in seconds.items()}
    plain = times["plain"].median
    print(
        table(
            ("", "served of 80", "ms per solve", "plain / this"),
            [
                (
                    said,
                    f"{sum(served[name]) / PROBLEMS:.1f}",
                    times[name].spread(),
                    f"{plain / times[name].median:.0f}",
                )
                for name, (said, _) in methods.items()
            ],
        )
    )
    return times


def bound(method: Callable[[LoadingProblem], int], problem: LoadingProblem) -> Callable[[], int]:
    return lambda: method(problem)


def all_figures() -> float:
    """Seconds that all realisations take, extrapolated from some parts on every core."""
    preset = load_preset()
    cells = Table(c for f in FIGURES if f.name in FIGS_6_TO_9 for c in f.cells(preset))
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as place:
        sweep(cells, PART * cores, Path(place) / "first")  # processes start, code is imported
        started = time.perf_counter()
        runs = 2 * PART * cores
        sweep(cells, runs, Path(place) / "timed")
        taken = time.perf_counter() - started
    print(
        f"{len(cells.cells)} values a realisation; {runs} realisations on {cores} cores took "
        f"{taken:.1f} s"
    )
    return taken * RUNS / runs


if __name__ == "__main__":
    sys.exit(main())
