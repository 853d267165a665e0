"""`rounding`: the linear relaxation, rounded in several ways and improved. [derived]

The relaxation (`relaxation`) gives the shares x, y and a bound. They are rounded by R2
(`frequency`), R4 (`expectations`), and some draws of R1 (`draws`) and R3 (`thresholds`). Each
result, and "all at the data centre", is made feasible and improved by R5 (`repair`, `improve`). The
best is improved by R6 (`ruin`). The plan is always feasible, and cost/bound is its certificate.

The problem contains minimum set cover, so no method has a constant ratio in general.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trunkline.errors import InputError
from trunkline.pulling.assignment import Assignment
from trunkline.pulling.costs import plan_of
from trunkline.pulling.draws import draw
from trunkline.pulling.expectations import derandomise
from trunkline.pulling.frequency import by_frequency
from trunkline.pulling.improve import improve
from trunkline.pulling.lists import Ints
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import PullingProblem
from trunkline.pulling.reduced import DATA_CENTRE, options_of, reduce
from trunkline.pulling.relaxation import Relaxation, relax
from trunkline.pulling.repair import repair
from trunkline.pulling.ruin import ruin_and_recreate
from trunkline.pulling.thresholds import by_thresholds
from trunkline.timing import TimeLimit

TIME_LIMIT_S = 50.0
"""How long it may take by default."""

SAMPLES = 4
"""Draws of R1, and of R3."""

ROUNDS_PER_REQUEST = 100
"""Rounds of R6, for each request."""

PROVED = 1e-7
"""The search ends at a cost that is above the bound by this share at most."""


def rounding(
    problem: PullingProblem,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    time_limit_s: float | None = TIME_LIMIT_S,
) -> PullingPlan:
    """The best plan found. The same seed gives the same plan, unless the limit ends it earlier.

    Args:
        samples: draws of R1, and of R3.
        seed: of all draws.
        time_limit_s: after so many seconds the best plan so far is returned; at most half of them
            go into the relaxation. None is no limit.

    Raises:
        InputError: samples or a seed below 0, or a limit that is not at least 0.
    """
    for name, value in (("samples", samples), ("seed", seed)):
        if value < 0:
            raise InputError(f"{name}: at least 0, got {value}")
    limit = TimeLimit(time_limit_s)
    reduced = reduce(problem)
    half = TimeLimit(None if time_limit_s is None else limit.left_s / 2)
    relaxation = relax(reduced, half)
    rng = np.random.default_rng(seed)
    best = Assignment(reduced)
    for choice in _rounded(relaxation, samples, rng):
        plan = Assignment(reduced, choice)
        repair(plan)
        improve(plan, limit)
        if plan.cost < best.cost:
            best = plan
        if limit.is_up:
            break
    enough = relaxation.bound * (1 + PROVED)
    rounds = ROUNDS_PER_REQUEST * len(problem.requests)
    best = ruin_and_recreate(best, rounds, rng, enough, limit)
    return plan_of(problem, "rounding", options_of(reduced, best.choice), bound=relaxation.bound)


def _rounded(relaxation: Relaxation, samples: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Choices (r), not yet feasible."""
    reduced, x = relaxation.reduced, relaxation.x
    yield derandomise(reduced, x)
    yield by_frequency(reduced, x)
    yield np.full(reduced.fallback.size, DATA_CENTRE, dtype=np.int64)
    for _ in range(samples):
        yield draw(reduced, x, rng)
        yield by_thresholds(relaxation, rng)
