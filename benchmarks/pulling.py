"""How near `rounding` comes to the least cost of pulling, beside HiGHS, and how long it takes.

Every plan passes the one checker. Problems are made in `benchmarks/pulling_problems.py`. Where the
optimum is proved, cost is a ratio to it. Where it is not, HiGHS gets the same programme (`optimal`,
from the plan of `greedy`), one thread, and the seconds that `rounding` took, then `LONGER_S`.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

import trunkline
from benchmarks.measure import Verdict, table, verdict
from benchmarks.pulling_problems import placed_problem
from trunkline.pulling import PullingPlan, PullingProblem

SMALL = 20
MEDIUM = 5
LARGE = 3
"""How many problems of each size."""

LONGER_S = 40.0


def main() -> int:
    verdicts = (*small(), *medium(), *large())
    print()
    for one in verdicts:
        print(one)
    return 0


def planned(problem: PullingProblem, method: str, **options: object) -> PullingPlan:
    plan = trunkline.plan(problem, method, **options)
    if violations := trunkline.check(problem, plan):
        raise SystemExit(f"{method}: {violations[0]}")
    return plan


def small() -> list[Verdict]:
    """Cost over the proved optimum."""
    print(f"12 requests, 4 sites, 6 models, tight storage: cost / optimum, {SMALL} problems\n")
    methods = ("rounding", "greedy", "nearest", "no-sharing", "fallback")
    ratios: dict[str, list[float]] = {method: [] for method in methods}
    seconds: dict[str, list[float]] = {method: [] for method in ("optimal", *methods)}
    for seed in range(SMALL):
        problem = placed_problem(12, 4, 6, seed, storage=1.5, suitable=3)
        best = planned(problem, "optimal", time_limit_s=300.0)
        if not best.proven:
            raise SystemExit(f"seed {seed}: no proved optimum in 300 s")
        seconds["optimal"].append(best.solve_s)
        for method in methods:
            plan = planned(problem, method)
            ratios[method].append(plan.cost / best.cost)
            seconds[method].append(plan.solve_s)
    rows = [("optimal", "1.000", "1.000", spread(seconds["optimal"]))]
    for method in methods:
        mean, worst = statistics.mean(ratios[method]), max(ratios[method])
        rows.append((method, f"{mean:.3f}", f"{worst:.3f}", spread(seconds[method])))
    print(table(("method", "mean", "worst", "seconds: median (quartiles)"), rows))
    return [verdict("small: mean cost / optimum", statistics.mean(ratios["rounding"]), 1.05)]


def medium() -> list[Verdict]:
    """Cost beside HiGHS's incumbent."""
    print("\n100 requests, 20 sites, 20 models, tight storage: cost\n")
    rows: list[tuple[str, ...]] = []
    worst = 0.0
    for seed in range(MEDIUM):
        problem = placed_problem(100, 20, 20, seed, storage=1.5)
        ours = planned(problem, "rounding")
        same = planned(problem, "optimal", time_limit_s=ours.solve_s)
        longer = planned(problem, "optimal", time_limit_s=LONGER_S)
        greedy = planned(problem, "greedy")
        worst = max(worst, ours.cost / same.cost)
        plans = (ours, same, longer, greedy)
        bounds = max(ours.bound, longer.bound)
        rows.append(
            (
                *(f"seed {seed}", f"{ours.solve_s:.1f}"),
                *(f"{plan.cost:.1f}" for plan in plans),
                *(f"{ours.bound:.1f}", f"{bounds:.1f}", f"{ours.certificate:.3f}"),
            )
        )
    head = ("", "rounding [s]", "rounding", "HiGHS, same s", f"HiGHS, {LONGER_S:g} s", "greedy")
    print(table((*head, "relaxation", "best bound", "certificate"), rows))
    return [verdict("medium: largest cost / HiGHS's in the same seconds", worst, 1.0)]


def large() -> list[Verdict]:
    """Seconds and certificate."""
    print("\n500 requests, 100 sites (the nearest 10 may serve a request), 20 models\n")
    rows, plans = [], []
    for seed in range(LARGE):
        problem = placed_problem(500, 100, 20, seed, storage=1.5, reach=10)
        ours, greedy = planned(problem, "rounding"), planned(problem, "greedy")
        plans.append(ours)
        figures = (f"{ours.solve_s:.1f}", f"{ours.cost:.1f}", f"{greedy.cost:.1f}")
        rows.append((f"seed {seed}", *figures, f"{ours.bound:.1f}", f"{ours.certificate:.3f}"))
    print(table(("", "seconds", "rounding", "greedy", "relaxation", "certificate"), rows))
    return [verdict("large: seconds", max(plan.solve_s for plan in plans), 60.0)]


def spread(seconds: Sequence[float]) -> str:
    low, _, high = statistics.quantiles(seconds, n=4)
    return f"{statistics.median(seconds):.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
