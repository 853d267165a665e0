"""The other learners, each against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trunkline.errors import UnknownMethodError
from trunkline.pulling.online.context import Cells, Context
from trunkline.pulling.online.greedy import UCB1, EpsilonGreedy
from trunkline.pulling.online.learner import Facts, Learner, Round, draw
from trunkline.pulling.online.learners import KINDS, kind
from trunkline.pulling.online.linucb import LinUCB
from trunkline.pulling.online.loss import serving_loss
from trunkline.pulling.online.ondemand import NeverPull, OnDemand
from trunkline.pulling.online.play import Oracle, play
from trunkline.pulling.online.stationary import Stationary
from trunkline.pulling.online.tsrc import TSRC


def test_linucb_is_ridge_with_widths() -> None:
    """Its scores are theta . x - alpha sqrt(x^T A^-1 x) of each arm's ridge, solved directly."""
    generator = np.random.default_rng(0)
    cells, subset = Cells(4, 2), (1, 3)
    learner = LinUCB(cells, 3, subset, alpha=0.7)
    seen: list[tuple[int, np.ndarray, float]] = []
    for number in range(1, 41):
        levels = generator.integers(2, size=4)
        x = cells.values(Context(levels, 2), subset)
        expected = []
        for arm in range(3):
            xs = np.array([v for a, v, _ in seen if a == arm]).reshape(-1, 3)
            ys = np.array([y for a, _, y in seen if a == arm])
            matrix = np.eye(3) + xs.T @ xs
            width = math.sqrt(x @ np.linalg.solve(matrix, x))
            expected.append(x @ np.linalg.solve(matrix, xs.T @ ys) - 0.7 * width)
        assert learner.scores(x) == pytest.approx(np.array(expected), abs=1e-9)
        arm = learner.choose(Round(number, Context(levels, 2)))
        assert arm == int(np.argmin(expected))
        loss = float(generator.random())
        learner.learn(loss, None)
        seen.append((arm, x, loss))


class TwoFaced(Context):
    """All features that were not read turn to `hidden` as soon as two have been."""

    def __init__(self, levels: np.ndarray, hidden: int) -> None:
        super().__init__(list(levels), 2)
        self.hidden = hidden

    def read(self, feature: int) -> int:
        value = super().read(feature)
        if len(self.features_read) == 2:
            self._levels = [
                level if n in self.features_read else self.hidden
                for n, level in enumerate(self._levels)
            ]
        return value


def test_tsrc_never_uses_what_it_did_not_read() -> None:
    """Other levels of the features that it did not read change nothing of what it does."""

    def arms(hidden: int) -> list[int]:
        learner, found = TSRC(Cells(4, 2), 3, np.random.default_rng(1)), []
        generator = np.random.default_rng(2)
        for number in range(1, 101):
            levels = generator.integers(2, size=4)
            probe = TwoFaced(levels, hidden)
            arm = learner.choose(Round(number, probe))
            learner.learn(float(arm == 0) * 0.5 + 0.1 * levels[0], None)
            found.append(arm)
        return found

    assert arms(0) == arms(1)


def test_tsrc_reads_what_helps() -> None:
    """A feature that is read when losses are low is read more often than others."""
    learner, reads = TSRC(Cells(4, 1), 2, np.random.default_rng(0)), np.zeros(4)
    for number in range(1, 301):
        context = Context([0, 1, 0, 1], 1)
        learner.choose(Round(number, context))
        (feature,) = context.features_read
        reads[feature] += 1
        learner.learn(0.1 if feature == 2 else 0.9, None)
    assert reads[2] > 200


def test_ucb1_by_hand() -> None:
    """Arms 0 and 1 lost 1 and 0; in round 3 the bounds are 1 - w and 0 - w, so arm 1; it loses 1,
    and in round 4 they are 1 - sqrt(2 ln 4/1) = -.665 and .5 - sqrt(2 ln 4/2) = -.677: arm 1."""
    learner, played = UCB1(2), []
    for number, losses in enumerate([(1, 0), (1, 0), (1, 1), (1, 1)], start=1):
        arm = learner.choose(Round(number, Context([], 0)))
        played.append(arm)
        learner.learn(losses[arm], None)
    assert played == [0, 1, 1, 1]


def test_epsilon_greedy_by_hand() -> None:
    """Without exploring, it tries every arm of a cell once, then keeps the best of each cell."""
    learner = EpsilonGreedy(Cells(1, 1), 2, np.random.default_rng(0), epsilon=0.0)
    played = []
    for number in range(1, 9):
        level = number % 2
        arm = learner.choose(Round(number, Context([level], 1)))
        played.append((level, arm))
        learner.learn(0.2 if arm == level else 0.7, None)
    assert played == [(1, 0), (0, 0), (1, 1), (0, 1), (1, 1), (0, 0), (1, 1), (0, 0)]


def test_epsilon_greedy_leaves_a_bad_subset() -> None:
    """It ends up reading the feature that the losses depend on."""
    generator = np.random.default_rng(0)
    learner = EpsilonGreedy(Cells(3, 1), 2, generator, epsilon=0.1)
    reads = np.zeros(3)
    for number in range(1, 1001):
        context = Context(generator.integers(2, size=3), 3)
        truth = context.read(2)
        context = Context([0, 1, truth] if number % 2 else [1, 0, truth], 1)
        arm = learner.choose(Round(number, context))
        learner.learn(float(arm != truth), None)
        reads[list(context.features_read)] += number > 500
    assert reads[2] > 400


def _facts() -> Facts:
    """Arms: home A, home B, next A, the centre, reject; A is better in domain 0, B in domain 1."""
    accuracies = np.array([[0.9, 0.6], [0.5, 0.8], [0.95, 0.6], [0.7, 0.7], [0, 0]])
    local = (True, True, False, False, False)
    return Facts(Cells(2, 1), 5, 10, accuracies=accuracies, domain=1, local=local)


@pytest.mark.parametrize(("domain", "arm"), [(0, 0), (1, 1)])
def test_on_demand(domain: int, arm: int) -> None:
    """It takes the model that is best for the domain at home, though another site has a better."""
    assert OnDemand(_facts()).choose(Round(1, Context([1, domain], 1))) == arm


@pytest.mark.parametrize(
    ("missing", "domain", "arm"),
    [([0, 9, 9, 0, 0], 1, 3), ([0, 0, 9, 0, 0], 1, 1), ([9, 9, 9, 0, 0], 0, 3)],
)
def test_never_pull(missing: list[float], domain: int, arm: int) -> None:
    """It takes the most accurate arm for the domain whose blocks are there, or the data centre."""
    seen = Round(1, Context([0, domain], 1), missing_bytes=np.array(missing, dtype=float))
    assert NeverPull(_facts()).choose(seen) == arm


def test_draw() -> None:
    """Indices come as often as their probabilities say, and never one of probability 0."""
    generator = np.random.default_rng(0)
    found = [draw(np.array([0.0, 0.25, 0.75, 0.0]), generator) for _ in range(4000)]
    # 1000 of 4000, standard deviation sqrt(4000 .25 .75) = 27
    assert set(found) == {1, 2}
    assert abs(found.count(1) - 1000) < 5 * 27


def test_the_loss_by_hand() -> None:
    """xi = .25, accuracy e^-2, delay 1 of 4 s: .25 * 2 + .75 * .25 = .6875; and it is clipped."""
    assert serving_loss(math.exp(-2), 1.0, 0.25, 4.0) == pytest.approx(0.6875)
    assert serving_loss(0.0, 1.0, 0.25, 4.0) == 1.0
    assert serving_loss(1.0, 100.0, 0.25, 4.0) == 1.0
    assert serving_loss(1.0, 0.0, 0.25, 4.0) == 0.0


def test_no_such_learner() -> None:
    """An unknown name is refused with those that there are."""
    with pytest.raises(UnknownMethodError, match="no learner 'exp5'; there are exp4-rc"):
        kind("exp5")


def _losses(name: str, seed: int) -> np.ndarray:
    environment = Stationary(Cells(4, 1), 3, 300, np.random.default_rng(seed))
    chosen: Learner | Oracle = KINDS[name].build(
        environment.facts, np.random.default_rng(1), KINDS[name].candidates(environment.facts)[0]
    )
    return play(chosen, environment).loss


@pytest.mark.parametrize("name", [name for name, one in KINDS.items() if not one.pulls])
def test_same_seed_same_play(name: str) -> None:
    """Every learner does the same again with the same seeds, and never better than the oracle
    by more than chance."""
    first = _losses(name, 3)
    assert np.array_equal(first, _losses(name, 3))
    # 300 losses of 0 or 1: the mean of a difference has a standard deviation below .03
    assert first.mean() >= _losses("oracle", 3).mean() - 0.09
