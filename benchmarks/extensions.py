"""Problems with optional fields: how far the fast method is from the exact one, and how long
planning takes.

Small problems (6 models, 14 tasks; drawn as in the general case of PartialLoading's Section VII,
calibrated set A) are solved exactly, and every plan passes the checker. Large ones (25 models, 80
tasks) have no exact method: their bound is printed beside what is served.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace

import trunkline
from benchmarks.measure import Times, table, verdict
from trunkline.experiments.scenario import paper_problem
from trunkline.loading import LoadingPlan, LoadingProblem
from trunkline.loading.evictions import keep_best, loads
from trunkline.loading.insertion import greedy_groups, improve
from trunkline.loading.line import Line
from trunkline.loading.service import Reading

SMALL, MEDIUM, LARGE = 60, 20, 10
"""Problems of each kind."""


def budget(problem: LoadingProblem, models: float) -> LoadingProblem:
    """With room for the blocks of so many of the largest model."""
    return replace(problem, memory_bytes=models * max(problem.library.model_bytes))


def stream(problem: LoadingProblem, spread_s: float, due_s: float, seed: int) -> LoadingProblem:
    """With tasks that arrive at random over a while, each due some time after its arrival."""
    rng = random.Random(seed)
    tasks = []
    for task in problem.tasks:
        arrival_s = rng.uniform(0.0, spread_s)
        deadline_s = arrival_s + due_s * rng.uniform(0.4, 1.6)
        tasks.append(replace(task, arrival_s=arrival_s, deadline_s=deadline_s))
    return replace(problem, deadline_s=spread_s + 2 * due_s, tasks=tuple(tasks))


def resident(problem: LoadingProblem, seed: int) -> LoadingProblem:
    """With a third of the blocks resident at the start."""
    rng = random.Random(seed)
    blocks = sorted(problem.library.blocks)
    return replace(problem, resident=frozenset(b for b in blocks if rng.random() < 1 / 3))


Make = Callable[[LoadingProblem, float, float, int], LoadingProblem]

KINDS: dict[str, Make] = {
    "one deadline, budget 1.25": lambda p, spread, due, seed: replace(
        budget(p, 1.25), deadline_s=(spread + due) / 2
    ),
    "the same, residents": lambda p, spread, due, seed: replace(
        resident(budget(p, 1.25), seed), deadline_s=(spread + due) / 3
    ),
    "own deadlines": lambda p, spread, due, seed: replace(
        stream(p, spread, due, seed),
        tasks=tuple(replace(t, arrival_s=0.0) for t in stream(p, spread, due, seed).tasks),
    ),
    "arrivals, own deadlines": stream,
    "the same, budget 1.5": lambda p, spread, due, seed: budget(stream(p, spread, due, seed), 1.5),
    "the same, budget 2": lambda p, spread, due, seed: budget(stream(p, spread, due, seed), 2.0),
    "arrivals, overlap": lambda p, spread, due, seed: replace(
        stream(p, spread, due, seed), overlap=True
    ),
    "the same, budget 2.5": lambda p, spread, due, seed: replace(
        budget(stream(p, spread, due, seed), 2.5), overlap=True
    ),
}


def small(kind: str, seed: int) -> LoadingProblem:
    drawn = paper_problem(6, 14, sharing="general", run=seed)
    return KINDS[kind](drawn, 0.12, 0.06, seed)


def medium(kind: str, seed: int) -> LoadingProblem:
    drawn = paper_problem(8, 20, sharing="general", run=seed)
    return KINDS[kind](drawn, 0.16, 0.07, seed)


def large(kind: str, seed: int) -> LoadingProblem:
    drawn = paper_problem(25, 80, sharing="general", run=seed)
    return KINDS[kind](drawn, 0.6, 0.1, seed)


def checked(problem: LoadingProblem, method: str) -> LoadingPlan:
    plan = trunkline.plan(problem, method)
    if violations := trunkline.check(problem, plan):
        raise SystemExit(f"{method}: {violations[0]}")
    return plan


def main() -> int:
    print(f"{SMALL} problems of 6 models and 14 tasks of each kind, solved exactly\n")
    worst = gaps()
    print(f"\n{MEDIUM} problems of 8 models and 20 tasks of each kind: how many are proven\n")
    proofs()
    print("\nServed with a budget, by the exact method: room for two models' blocks against the")
    print("previous-model rule\n")
    fewer = against_previous_model()
    print(f"\n{LARGE} problems of 25 models and 80 tasks of each kind\n")
    slowest = times()
    print(
        "\nEvictions in a known order (the plans above, budget 1.5): load seconds over the least\n"
    )
    evictions()
    print()
    print(verdict("mean gap of `insertion`, worst kind [%]", worst, 2.0))
    print(verdict("problems where two models' room serves fewer", fewer, 0))
    print(verdict("`optimal` on 80 tasks, median of the slowest kind [ms]", slowest * 1e3, 1000.0))
    return 0


def gaps() -> float:
    """How many tasks each method serves; returns the greatest mean gap of `insertion`, in %."""
    rows, worst = [], 0.0
    for kind in KINDS:
        found: dict[str, list[LoadingPlan]] = {m: [] for m in ("optimal", "insertion", "greedy")}
        for seed in range(SMALL):
            problem = small(kind, seed)
            for method, plans in found.items():
                plans.append(checked(problem, method))
        served = {method: sum(p.served for p in plans) for method, plans in found.items()}
        pairs = list(zip(found["optimal"], found["insertion"], strict=True))
        gap = 100 * (1 - served["insertion"] / served["optimal"])
        worst = max(worst, gap)
        rows.append(
            (
                kind,
                f"{100 * statistics.fmean(p.proven for p in found['optimal']):.0f} %",
                f"{served['optimal'] / SMALL:.2f}",
                f"{gap:.2f}",
                max(exact.served - fast.served for exact, fast in pairs),
                f"{100 * statistics.fmean(e.served == f.served for e, f in pairs):.0f} %",
                f"{100 * (1 - served['greedy'] / served['optimal']):.1f}",
                *(
                    Times(tuple(p.solve_s for p in found[m])).spread()
                    for m in found
                    if m != "greedy"
                ),
            )
        )
    header = (
        "", "proven", "served", "gap %", "worst", "met", "greedy's gap %", "optimal ms",
        "insertion ms",
    )  # fmt: skip
    print(table(header, rows))
    print("gap: tasks that `insertion` serves fewer, of all that `optimal` serves; worst: in one")
    print("problem; met: problems where both serve as many")
    return worst


def proofs() -> None:
    """How many larger problems are proven by default, and how long that takes."""
    rows = []
    for kind in KINDS:
        plans = [checked(medium(kind, seed), "optimal") for seed in range(MEDIUM)]
        served, bound = (
            statistics.fmean(numbers)
            for numbers in ([p.served for p in plans], [p.bound for p in plans])
        )
        proven = f"{100 * statistics.fmean(plan.proven for plan in plans):.0f} %"
        spread = Times(tuple(plan.solve_s for plan in plans)).spread()
        rows.append((kind, proven, f"{served:.2f}", f"{bound:.2f}", spread))
    print(table(("", "proven", "served", "bound", "optimal ms"), rows))


def against_previous_model() -> int:
    """How often a budget of two models serves fewer than none; both proven."""
    rows, fewer = [], 0
    for kind in ("one deadline, budget 1.25", "arrivals, own deadlines"):
        without, with_two = [], []
        for seed in range(SMALL):
            problem = replace(small(kind, seed), memory_bytes=None)
            without.append(checked(problem, "optimal").served)
            with_two.append(checked(budget(problem, 2.0), "optimal").served)
        fewer += sum(two < one for one, two in zip(without, with_two, strict=True))
        rows.append(
            (kind.partition(", budget")[0], statistics.fmean(without), statistics.fmean(with_two))
        )
    print(
        table(
            ("", "previous model", "two models"), [(k, f"{a:.2f}", f"{b:.2f}") for k, a, b in rows]
        )
    )
    return fewer


def times() -> float:
    """How long planning takes; returns the greatest median of `optimal`."""
    rows, slowest = [], 0.0
    for kind in KINDS:
        plans = [checked(large(kind, seed), "optimal") for seed in range(LARGE)]
        greedy = [checked(large(kind, seed), "greedy") for seed in range(LARGE)]
        measured = Times(tuple(plan.solve_s for plan in plans))
        slowest = max(slowest, measured.median)
        rows.append(
            (
                kind,
                f"{statistics.fmean(plan.served for plan in plans):.1f}",
                f"{statistics.fmean(plan.bound for plan in plans):.1f}",
                f"{statistics.fmean(plan.served for plan in greedy):.1f}",
                measured.spread(),
                Times(tuple(plan.solve_s for plan in greedy)).spread(),
            )
        )
    print(table(("", "served", "bound", "greedy", "optimal ms", "greedy ms"), rows))
    return slowest


def evictions() -> None:
    """What keeping the blocks needed soonest loads more than the integer programme."""
    more, exact, given_up = [], 0, 0
    for seed in range(LARGE):
        problem = large("the same, budget 1.5", seed)
        line = Line(problem, Reading())
        found = improve(line, [greedy_groups(line)])
        needs = [line.needs[model] for model, _ in found.groups]
        budget_bytes, link = line.budget or 0.0, problem.loading
        best = keep_best(needs, line.masks, budget_bytes, line.resident, link, time_limit_s=10.0)
        given_up += best is None
        if best is not None:
            soonest_s, best_s = (
                sum(line.load_s(missing) for missing in loads(needs, kept, line.resident))
                for kept in (found.kept, best)
            )
            more.append(100 * (soonest_s / best_s - 1))
            exact += soonest_s <= best_s * (1 + 1e-9)
    print(f"needed soonest: {statistics.fmean(more):.2f} % more on average, {max(more):.2f} % at")
    print(f"most, least in {exact} of {len(more)}; programmes not solved in 10 s: {given_up}")


if __name__ == "__main__":
    sys.exit(main())
