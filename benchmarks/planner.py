"""How long planning takes, and how many tasks it serves, beside the paper's algorithms.

Every method answers the same problems in one process, in turn, and every plan passes the one
checker. "new library" derives the sharing (components, tries) from the blocks within the solve;
"known library" has planned for these models before, as a server has.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace

import trunkline
from benchmarks.measure import Times, table, take_turns, verdict
from trunkline.experiments.scenario import paper_problem
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task

METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "optimal": ("optimal", {}),
    "Alg. 2 corrected": ("paper", {"variant": "corrected"}),
    "Alg. 2 printed": ("paper", {"variant": "printed"}),
    "Alg. 3 slotted": ("greedy", {"slot_s": 0.01}),
    "Alg. 3 continuous": ("greedy", {}),
    "whole models": ("independent", {}),
}


def main() -> int:
    print("Prefix sharing, 50 models on three backbones (calibrated set A, seeds 0-9), 80 tasks\n")
    missed = served_table()
    print("\nTime of `optimal` per solve, milliseconds: median (quartiles)\n")
    small = times("50 models, 80 tasks", lambda seed: paper_problem(50, 80, seed=seed), 10, 20)
    large = times("200 models, 1,600 tasks", lambda seed: deep_problem(200, 1600, seed), 3, 5)
    huge = times("1,000 models, 10,000 tasks", lambda seed: deep_problem(1000, 10_000, seed), 1, 3)
    print(table(("", "known library", "new library"), [row for row, _ in (small, large, huge)]))
    print()
    print(verdict("50 models, 80 tasks [ms]", small[1].median * 1e3, 1.0))
    print(verdict("200 models, 1,600 tasks, multi-level trie [ms]", large[1].median * 1e3, 100.0))
    never_below = verdict("problems where Algorithm 2 serves more than `optimal`", missed, 0)
    print(never_below)
    return 0 if never_below.reached else 1


def served_table() -> int:
    """Served tasks and time of each method; returns how often Algorithm 2 served more."""
    problems = [
        paper_problem(50, 80, deadline_s=deadline_s, seed=seed)
        for deadline_s in (0.3, 0.5, 0.7)
        for seed in range(10)
    ]
    served: dict[str, list[int]] = {name: [] for name in METHODS}
    for problem in problems:
        for name, (method, options) in METHODS.items():
            plan = trunkline.plan(problem, method, **options)
            if violations := trunkline.check(problem, plan):
                raise SystemExit(f"{name}: {violations[0]}")
            served[name].append(plan.served)
    runs = {name: solver(problems[0], *METHODS[name]) for name in METHODS}
    measured = take_turns(runs, repeats=15)
    print(
        table(
            ("method", "served of 80 at 300 ms", "500 ms", "700 ms", "time / optimal's"),
            [
                (
                    name,
                    *(f"{sum(served[name][i : i + 10]) / 10:.1f}" for i in (0, 10, 20)),
                    f"{measured[name].median / measured['optimal'].median:.2f}",
                )
                for name in METHODS
            ],
        )
    )
    rivals = ("Alg. 2 corrected", "Alg. 2 printed")
    return sum(
        served[rival][i] > served["optimal"][i] for rival in rivals for i in range(len(problems))
    )


def solver(
    problem: LoadingProblem, method: str, options: dict[str, object]
) -> Callable[[], object]:
    return lambda: trunkline.plan(problem, method, **options)


def times(
    name: str, make: Callable[[int], LoadingProblem], seeds: int, repeats: int
) -> tuple[tuple[str, str, str], Times]:
    """A row of the table, and the times with a known library."""
    known, new = [], []
    for seed in range(seeds):
        problem = make(seed)
        trunkline.plan(problem)
        for _ in range(repeats):
            again = replace(problem)  # the same library object, nothing else kept
            known.append(trunkline.plan(again).solve_s)
            library = ModelLibrary(problem.library.blocks, problem.library.models)
            new.append(trunkline.plan(replace(problem, library=library)).solve_s)
    measured = Times(tuple(known))
    return (name, measured.spread(), Times(tuple(new)).spread()), measured


def deep_problem(models: int, tasks: int, seed: int) -> LoadingProblem:
    """Ten backbones; on each a random trie of 2 to 6 levels; sizes and times as in set A."""
    rng = random.Random(seed)
    blocks: dict[str, float] = {}
    held = []
    for i in range(models):
        path, name = [], f"backbone{i % 10}"
        for _ in range(rng.randint(2, 6)):
            blocks.setdefault(name, rng.uniform(2e6, 40e6))
            path.append(name)
            name += f"/{rng.randrange(3)}"
        blocks[f"m{i}"] = rng.uniform(1e5, 1e7)
        held.append(Model(f"m{i}", (*path, f"m{i}")))
    return LoadingProblem(
        deadline_s=0.01 * models,
        bandwidth_hz=2e8,
        loading=Link((Stage(2.15e9),)),
        library=ModelLibrary(blocks, held),
        models=tuple(LoadingModel(m.id, 2e-3, 7.5e-5, 32) for m in held),
        tasks=tuple(
            Task(f"u{k}", f"m{rng.randrange(models)}", 786_432.0, rng.uniform(4.0, 20.0))
            for k in range(tasks)
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
