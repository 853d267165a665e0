"""EXP4-RC: its factorised weights against EXP4 over all experts, and its bound."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from trunkline.pulling.online.context import Cells, Context, Floats
from trunkline.pulling.online.exp4rc import Exp4RC
from trunkline.pulling.online.greedy import UCB1
from trunkline.pulling.online.learner import Round
from trunkline.pulling.online.play import play
from trunkline.pulling.online.regret import (
    best_in_hindsight,
    checkpoints,
    growth,
    regret_bound,
    regret_bound_before,
)
from trunkline.pulling.online.stationary import Stationary

TINY = [(Cells(3, 1), 3), (Cells(3, 2), 2), (Cells(2, 1, levels=3), 2), (Cells(2, 0), 3)]
"""(m, Q, K): (3, 2, 3), (3, 4, 2), (2, 3, 2), (1, 1, 3), so 27, 48, 16 and 3 experts."""


class AllExperts:
    """EXP4 with restricted context as it is defined: one weight for every expert (S, f)."""

    def __init__(self, cells: Cells, arms: int) -> None:
        policies = list(product(range(arms), repeat=cells.size))
        self.experts = list(product(range(cells.count), policies))
        self.losses = np.zeros(len(self.experts))
        self.shape = (cells.count, cells.size, arms)

    def distribution(self, rate: float) -> tuple[Floats, Floats]:
        """q(S) and p(a | S, z), summed over the experts."""
        weights = np.exp(-rate * self.losses)
        weights /= weights.sum()
        subsets, joint = np.zeros(self.shape[0]), np.zeros(self.shape)
        for weight, (subset, policy) in zip(weights, self.experts, strict=True):
            subsets[subset] += weight
            for cell, arm in enumerate(policy):
                joint[subset, cell, arm] += weight
        return subsets, joint / subsets[:, None, None]

    def pay(self, subset: int, cell: int, arm: int, estimate: float) -> None:
        """Every expert that would have read the subset and played the arm in the cell pays."""
        for n, (of, policy) in enumerate(self.experts):
            if of == subset and policy[cell] == arm:
                self.losses[n] += estimate


@pytest.mark.parametrize(("cells", "arms"), TINY)
@pytest.mark.parametrize("horizon", [60, None])
def test_equals_exp4_over_all_experts(cells: Cells, arms: int, horizon: int | None) -> None:
    """Every probability of every round is that of the enumerated experts."""
    generator = np.random.default_rng(3)
    learner = Exp4RC(cells, arms, generator, horizon=horizon, factor=3.0)
    reference = AllExperts(cells, arms)
    for number in range(1, 61):
        subsets, given = learner.distribution(number)
        expected = reference.distribution(learner.rate(number))
        assert subsets == pytest.approx(expected[0], abs=1e-12)
        assert given == pytest.approx(expected[1], abs=1e-9)
        levels = generator.integers(cells.levels, size=cells.features)
        context = Context(levels, cells.read)
        arm = learner.choose(Round(number, context))
        subset = cells.subsets.index(tuple(sorted(context.features_read)))
        cell = cells.cell(Context(levels, cells.features), subset)
        loss = float(generator.random())
        learner.learn(loss, None)
        chance = float(subsets[subset] * given[subset, cell, arm])
        reference.pay(subset, cell, arm, loss / chance)


@pytest.mark.parametrize(("cells", "arms"), TINY)
def test_the_estimate(cells: Cells, arms: int) -> None:
    """The two facts that the proof uses of the loss estimates, by enumeration of the draws: their
    mean is the loss, for every expert, and the weighted sum of their squares has mean <= m K."""
    generator = np.random.default_rng(5)
    learner = Exp4RC(cells, arms, generator, horizon=50)
    learner.estimates[:] = generator.exponential(20.0, learner.estimates.shape)
    subsets, given = learner.distribution(1)
    losses = generator.random(arms)
    cell = generator.integers(cells.size, size=cells.count)  # of each subset, in this round
    mean = np.zeros((cells.count, arms))
    square = 0.0
    for subset, arm in product(range(cells.count), range(arms)):
        share = given[subset, cell[subset], arm]
        chance = subsets[subset] * share
        estimate = losses[arm] / chance
        mean[subset, arm] += chance * estimate
        square += chance * (subsets[subset] * share) * estimate**2
    assert mean == pytest.approx(np.tile(losses, (cells.count, 1)))
    assert square == pytest.approx(cells.count * float((losses**2).sum()))
    assert square <= cells.count * arms


@pytest.mark.parametrize("horizon", [300, None])
@pytest.mark.parametrize("factor", [0.3, 1.0, 10.0])
def test_the_potential_on_every_path(horizon: int | None, factor: float) -> None:
    """Step (3) of the proof, which no chance is in: after every round the losses paid exceed the
    best expert's estimates by at most ln N/eta + sum of eta/2 loss^2/(q p)."""
    cells, arms, generator = Cells(3, 1), 3, np.random.default_rng(7)
    learner = Exp4RC(cells, arms, generator, horizon=horizon, factor=factor)
    logarithm = math.log(3) + 2 * math.log(3)
    paid = squares = 0.0
    for number in range(1, 301):
        levels = generator.integers(2, size=3)
        subsets, given = learner.distribution(number)
        context = Context(levels, 1)
        arm = learner.choose(Round(number, context))
        (subset,) = context.features_read
        chance = float(subsets[subset] * given[subset, levels[subset], arm])
        loss = float(generator.random() < (0.2 if arm == levels[1] else 0.8))
        learner.learn(loss, None)
        paid += loss
        squares += learner.rate(number) / 2 * loss**2 / chance
        least = learner.estimates.min(axis=2).sum(axis=1).min()
        assert paid - least <= logarithm / learner.rate(number) + squares + 1e-9


def test_the_bound_by_hand() -> None:
    """m = 6, Q = 4, K = 4, T = 20,000: sqrt(2 T 24 (ln 6 + 4 ln 4)) = sqrt(960,000 * 7.3369)."""
    cells = Cells(4, 2)
    assert regret_bound(cells, 4, 20_000) == pytest.approx(math.sqrt(960_000 * 7.336937), rel=1e-6)
    assert regret_bound(cells, 4, 20_000, anytime=True) == pytest.approx(
        math.sqrt(2) * regret_bound(cells, 4, 20_000)
    )
    assert regret_bound_before(cells, 4, 500, 500, 3.0) == pytest.approx(
        regret_bound(cells, 4, 500, factor=3.0)
    )


def test_the_rate_of_a_known_horizon() -> None:
    """eta = sqrt(2 ln N/(T m K)) in every round, and sqrt(ln N/(t m K)) if T is not known."""
    cells = Cells(3, 1)  # ln N = ln 3 + 2 ln 3 = 3.2958 with three arms, m K = 9
    fixed = Exp4RC(cells, 3, np.random.default_rng(0), horizon=100)
    assert fixed.rate(1) == fixed.rate(100) == pytest.approx(math.sqrt(2 * 3.295837 / 900))
    anytime = Exp4RC(cells, 3, np.random.default_rng(0))
    assert anytime.rate(25) == pytest.approx(math.sqrt(3.295837 / 225))


ROUNDS, SEEDS = 8000, 3


def regret(name: str) -> Floats:
    """The mean regret over seeds at the checkpoints, in the stationary environment."""
    cells, arms, found = Cells(4, 1), 3, []
    for seed in range(SEEDS):
        environment = Stationary(cells, arms, ROUNDS, np.random.default_rng(seed))
        horizon = ROUNDS if name == "exp4-rc" else None
        learner = (
            UCB1(arms)
            if name == "ucb1"
            else Exp4RC(cells, arms, np.random.default_rng([seed, 1]), horizon=horizon)
        )
        record = play(learner, environment)
        marks = checkpoints(ROUNDS)
        least = best_in_hindsight(cells, record.levels, record.losses, marks)
        found.append(record.loss.cumsum()[np.array(marks) - 1] - least)
    mean: Floats = np.mean(found, axis=0)
    return mean


@pytest.mark.parametrize("name", ["exp4-rc", "anytime"])
def test_regret_stays_under_the_bound(name: str) -> None:
    """At every checkpoint, and it grows with an exponent of at most .6 over the last decade."""
    found, marks = regret(name), checkpoints(ROUNDS)
    cells, arms = Cells(4, 1), 3
    bounds = [
        regret_bound(cells, arms, mark, anytime=True)
        if name == "anytime"
        else regret_bound_before(cells, arms, mark, ROUNDS)
        for mark in marks
    ]
    assert np.all(found <= bounds)
    assert found[-1] < 0.8 * bounds[-1]
    assert growth(marks, found) <= 0.6


def test_without_context_regret_is_linear() -> None:
    """UCB1 does not see what the losses depend on: its exponent is at least .85."""
    assert growth(checkpoints(ROUNDS), regret("ucb1")) >= 0.85


def test_the_bound_holds_against_a_changing_opponent() -> None:
    """Losses that are the worst for what the learner prefers, with contexts that turn the good arm
    around every 100 rounds, keep the mean regret below the bound (nothing is stationary here)."""
    cells, arms, rounds = Cells(3, 1), 2, 2000
    regrets = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        learner = Exp4RC(cells, arms, generator, horizon=rounds)
        levels = generator.integers(2, size=(rounds, 3))
        losses = np.zeros((rounds, arms))
        paid = 0.0
        for at in range(rounds):
            subsets, given = learner.distribution(at + 1)
            cell = cells.cells_of(levels[at : at + 1])[0]
            chances = subsets @ given[np.arange(3), cell]
            losses[at, int(np.argmax(chances))] = 0.9  # what it likes most
            losses[at, (levels[at, 1] + at // 100) % 2] += 0.1
            arm = learner.choose(Round(at + 1, Context(levels[at], 1)))
            learner.learn(float(losses[at, arm]), None)
            paid += losses[at, arm]
        least = best_in_hindsight(cells, levels, losses, [rounds])[0]
        regrets.append(paid - least)
    assert 0 < np.mean(regrets) <= regret_bound(cells, arms, rounds)
