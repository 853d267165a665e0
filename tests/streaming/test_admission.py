"""Provisioning and admission: by hand, and against brute force."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

import trunkline
from tests.streaming.problems import one_user, random_problem, with_shares, worth
from trunkline.errors import InputError, UnsupportedProblemError
from trunkline.streaming import METHODS, StreamingModel, check, solve

FIVE = (0.6, 0.3, 0.25, 0.2, 0.25)
"""Least shares: all but the first sum to exactly 1."""


def test_hand_case():
    """Four of five are served, first come first served two, equal parts three."""
    problem = with_shares(FIVE)
    plan = solve(problem)
    assert [user.id for user in plan.users] == ["u1", "u2", "u3", "u4"]
    assert plan.share == pytest.approx(1.0)
    # .6 + .3, then .25, .2 and .25 are too much each.
    assert [user.id for user in solve(problem, "fcfs").users] == ["u0", "u1"]
    # Three parts of a third suffice for .3, .25, .2, .25; four of a quarter for three users.
    assert solve(problem, "equal").served == 3
    assert solve(problem, "equal", channels=2).served == 2
    assert solve(problem, "equal", channels=5).served == 1
    for method in METHODS:
        assert check(problem, solve(problem, method)) == []


def test_resource_blocks_by_hand():
    """In ten blocks the five need 6, 3, 3, 2 and 3: three users; in twenty 12, 6, 5, 4 and 5."""
    assert solve(with_shares(FIVE, resource_blocks=10)).served == 3  # 2 + 3 + 3, 2 left
    plan = solve(with_shares(FIVE, resource_blocks=20))
    assert plan.served == 4
    assert sorted(round(20 * user.share) for user in plan.users) == [4, 5, 5, 6]


def test_a_share_that_is_whole_takes_no_extra_block():
    """Rounding errors of a least share of 3/10 don't round it up to 4 of 10 blocks."""
    assert solve(with_shares([0.1 + 0.2], resource_blocks=10)).users[0].share == 0.3


def test_models_of_one_share():
    """Of models that need the same share, the more accurate is taken, then the first by name."""
    base = one_user([8], [0.1])
    layers = base.models[0].layers
    models = tuple(
        StreamingModel(name, a, layers) for name, a in (("b", 0.7), ("c", 0.9), ("a", 0.9))
    )
    user = replace(base.users[0], models=("b", "c", "a"))
    problem = replace(base, models=models, users=(user,))
    assert solve(problem).users[0].model == "a"
    picky = replace(problem, users=(replace(user, models=("b", "c"), min_accuracy=0.8),))
    assert solve(picky).users[0].model == "c"
    none = replace(problem, users=(replace(user, min_accuracy=0.95),))
    assert solve(none).served == 0


@pytest.mark.parametrize("seed", range(24))
def test_optimal_is_exhaustive_and_never_below_a_baseline(seed):
    """`optimal` is worth as much as brute force finds (up to 8 users, 3 models), no method more,
    and the checker accepts every plan."""
    rng = random.Random(seed)
    problem = random_problem(
        seed, users=rng.randint(1, 8), energy=seed % 2 == 0, copying=seed % 3 == 0
    )
    if seed % 4 == 1:
        problem = replace(problem, resource_blocks=rng.randint(3, 20))
    if seed % 8 == 1:
        users = tuple(replace(u, weight=rng.choice([1.0, 2.0, 3.5])) for u in problem.users)
        problem = replace(problem, users=users)
    if seed % 8 == 5:
        users = tuple(
            replace(u, weight={m: rng.choice([1.0, 2.0, 3.5]) for m in u.models})
            for u in problem.users
        )
        problem = replace(problem, users=users)
    plans = {method: solve(problem, method) for method in METHODS}
    for method, plan in plans.items():
        assert check(problem, plan) == [], method
        assert worth(problem, plan) <= worth(problem, plans["optimal"]) + 1e-9, method
    assert worth(problem, plans["optimal"]) == pytest.approx(worth(problem, plans["exhaustive"]))
    assert plans["optimal"].proven


@pytest.mark.parametrize("seed", range(6))
def test_order_and_names_change_nothing(seed):
    """Users, models and the models of a user in another order give the same plan."""
    problem = random_problem(seed, users=12, energy=True)
    rng = random.Random(seed)
    users = [replace(u, models=tuple(rng.sample(u.models, len(u.models)))) for u in problem.users]
    rng.shuffle(users)
    models = rng.sample(problem.models, len(problem.models))
    mixed = replace(problem, users=tuple(users), models=tuple(models))
    for method in ("optimal", "download-first", "uniform-speed", "equal"):
        plans = [solve(problem, method), solve(mixed, method)]
        first, second = ({user.id: user for user in plan.users} for plan in plans)
        assert first == second, method


def test_margin_leaves_time():
    """With a margin of a tenth every answer is there at nine tenths of its deadline."""
    problem = one_user([8, 16, 16], [0.2, 0.3, 0.1], deadline_s=2.0)
    plan = trunkline.plan(problem, margin=0.1)
    assert plan.users[0].finish_s == pytest.approx(1.8)
    assert check(problem, plan) == []
    with pytest.raises(InputError, match="margin"):
        trunkline.plan(problem, margin=1.0)


def test_weights_need_resource_blocks():
    """Without resource blocks users that count differently are refused, and equal weights are no
    weights."""
    problem = with_shares(FIVE)
    users = tuple(replace(user, weight=2.0) for user in problem.users)
    assert solve(replace(problem, users=users)).served == 4
    users = (replace(users[0], weight=5.0), *users[1:])
    with pytest.raises(UnsupportedProblemError, match="give resource_blocks"):
        solve(replace(problem, users=users))


def test_a_heavy_user_displaces_several():
    """A user of weight 4 and share .6 is worth more than three of weight 1 beside .3."""
    # Ten blocks: 6 + 3 is worth 4 + 1; without the first, 3 + 3 + 2 is worth 3.
    problem = with_shares(FIVE, resource_blocks=10)
    heavy = replace(problem.users[0], weight=4.0)
    plan = solve(replace(problem, users=(heavy, *problem.users[1:])))
    assert len(plan.users) == 2
    assert plan.users[0].id == "u0"


def test_exhaustive_says_its_limits():
    """Brute force refuses what it would not end."""
    problem = with_shares([0.01] * 25)
    with pytest.raises(UnsupportedProblemError, match="the problem has 33,554,432"):
        solve(problem, "exhaustive")


def test_bad_options_are_refused():
    """No transfer and no channel are errors."""
    problem = with_shares(FIVE)
    with pytest.raises(InputError, match="transfers: at least 1, got 0"):
        solve(problem, "transfers", transfers=0)
    with pytest.raises(InputError, match="channels: at least 1, got 0"):
        solve(problem, "equal", channels=0)
