"""R5 and R6: repair, small moves, and ruin and recreate."""

from __future__ import annotations

import numpy as np

from trunkline.pulling.assignment import Assignment
from trunkline.pulling.improve import improve
from trunkline.pulling.reduced import DATA_CENTRE, reduce
from trunkline.pulling.repair import repair
from trunkline.pulling.ruin import ruin_and_recreate
from trunkline.timing import TimeLimit

UNLIMITED = TimeLimit(None)


def any_choice(reduced, rng):
    """Choices at random, feasible or not."""
    every = range(reduced.fallback.size)
    ways = [[DATA_CENTRE, *reduced.request_options[request]] for request in every]
    return np.array([rng.choice(way) for way in ways], dtype=np.int64)


def test_the_assignment_keeps_its_sums(make_problem):
    """After any changes, users, stored bytes, loads and cost are those of the choices."""
    for seed in range(20):
        reduced, rng = reduce(make_problem(seed, sites=4, requests=8)), np.random.default_rng(seed)
        plan = Assignment(reduced)
        for request, option in enumerate([*any_choice(reduced, rng), *any_choice(reduced, rng)]):
            if reduced.fallback.size:
                plan.choose(request % reduced.fallback.size, int(option))
        again = Assignment(reduced, plan.choice)
        assert (plan.users == again.users).all()
        for name in ("stored", "load", "cost"):
            np.testing.assert_allclose(getattr(plan, name), getattr(again, name), atol=1e-9)


def test_repair_ends_feasible_and_only_sends_away(make_problem):
    """Every site's limits hold, each request keeps its option or goes to the data centre, and
    feasible choices stay."""
    repaired = 0
    for seed in range(100):
        reduced, rng = reduce(make_problem(seed, sites=4, requests=8)), np.random.default_rng(seed)
        before = Assignment(reduced, any_choice(reduced, rng))
        plan = before.copy()
        repair(plan)
        assert plan.is_feasible
        assert ((plan.choice == before.choice) | (plan.choice == DATA_CENTRE)).all()
        if before.is_feasible:
            assert (plan.choice == before.choice).all()
        repaired += not before.is_feasible
    assert repaired > 5


def test_improvement_never_worsens_and_stays_feasible(make_problem):
    """Neither the small moves nor ruin and recreate end above the cost they started from."""
    better = [0, 0]
    for seed in range(60):
        reduced, rng = reduce(make_problem(seed, sites=4, requests=8)), np.random.default_rng(seed)
        plan = Assignment(reduced, any_choice(reduced, rng))
        repair(plan)
        start = plan.cost
        improve(plan, UNLIMITED)
        assert plan.is_feasible
        assert plan.cost <= start
        again = ruin_and_recreate(plan, 20, rng, -np.inf, UNLIMITED)
        assert again.is_feasible
        assert again.cost <= plan.cost
        better[0] += plan.cost < start
        better[1] += again.cost < plan.cost - 1e-9
    assert better[0] > 20
    assert better[1] > 0


def test_small_moves_leave_no_single_move_that_gains(make_problem):
    """After improvement no request gains by another option, all else being the same."""
    for seed in range(40):
        reduced = reduce(make_problem(seed, sites=4, requests=6))
        plan = Assignment(reduced)
        improve(plan, UNLIMITED)
        for request in range(reduced.fallback.size):
            for option in [DATA_CENTRE, *reduced.request_options[request].tolist()]:
                other = plan.copy()
                other.choose(request, option)
                same_site = (
                    option != DATA_CENTRE
                    and plan.choice[request] != DATA_CENTRE
                    and reduced.option_site[option] == reduced.option_site[plan.choice[request]]
                )
                if other.is_feasible and not same_site:
                    assert other.cost >= plan.cost * (1 - 1e-8)
