"""Demand regression: the forecaster against its formula and its bound, and the learner."""

import numpy as np
import pytest

from trunkline.pulling.online.context import Cells, Context
from trunkline.pulling.online.learner import Round
from trunkline.pulling.online.regret import forecast_bound
from trunkline.pulling.online.vaw import VAW, Forecaster


def test_the_forecaster_is_ridge_with_the_present_x() -> None:
    """Each forecast is x_t . (lambda I + sum up to t of x x^T)^-1 sum before t of y x, solved
    directly."""
    generator = np.random.default_rng(0)
    xs, ys = generator.standard_normal((40, 3)), generator.standard_normal(40)
    forecaster = Forecaster(3, ridge=2.0)
    for t in range(40):
        matrix = 2.0 * np.eye(3) + xs[: t + 1].T @ xs[: t + 1]
        expected = xs[t] @ np.linalg.solve(matrix, xs[:t].T @ ys[:t])
        assert forecaster.predict(xs[t]) == pytest.approx(expected, abs=1e-9)
        forecaster.learn(xs[t], float(ys[t]))
    u = np.linalg.solve(2.0 * np.eye(3) + xs.T @ xs, xs.T @ ys)
    penalised = ((xs @ u - ys) ** 2).sum() + 2.0 * (u @ u)
    assert forecaster.residual == pytest.approx(penalised / 40)


@pytest.mark.parametrize("seed", range(5))
def test_the_forecast_bound(seed: int) -> None:
    """For outcomes that follow no model, the excess squared error over the best u in hindsight is
    below lambda ||u||^2 + p Y^2 ln(1 + T X^2/(lambda p))."""
    generator = np.random.default_rng(seed)
    xs = generator.uniform(-1, 1, (300, 3))
    ys = np.sign(np.sin(np.arange(300) / (3 + seed)) + 0.5 * xs[:, 0])
    forecaster, error = Forecaster(3), 0.0
    for x, y in zip(xs, ys, strict=True):
        error += (forecaster.predict(x) - y) ** 2
        forecaster.learn(x, float(y))
    u = np.linalg.solve(np.eye(3) + xs.T @ xs, xs.T @ ys)
    excess = error - float(((xs @ u - ys) ** 2).sum())
    norms = float(np.linalg.norm(xs, axis=1).max())
    assert excess <= forecast_bound(300, 3, 1.0, norms, 1.0, float(np.linalg.norm(u)))


def _played(arms: int, rounds: int = 1500) -> float:
    """The regret of the learner against the arm that is best at the mean demand, per round; a
    loss is affine in the demand, every arm has another slope."""
    generator = np.random.default_rng(1)
    cells, slopes = Cells(3, 1), np.linspace(-0.1, 0.1, arms)
    learner, total = VAW(cells, np.random.default_rng(2)), 0.0
    for number in range(1, rounds + 1):
        levels = generator.integers(2, size=3)
        mean = 1.0 + 3.0 * levels[1]

        def at(demand: float) -> np.ndarray:
            return 0.5 + slopes * (demand - 2.5)

        arm = learner.choose(Round(number, Context(levels, 1), at))
        learner.learn(0.0, mean + float(generator.uniform(-1, 1)))
        total += float(at(mean)[arm] - at(mean).min())
    return total / rounds


def test_the_number_of_arms_does_not_matter() -> None:
    """It finds the feature that tells the demand, and loses no more with 50 arms than with 2."""
    few, many = _played(2), _played(50)
    # an arm chosen for the wrong demand costs .3 at most: 2/3 of the exploring rounds, half of the
    # time, are .3 * 77/3/1500 = .005; finding the feature adds some
    assert many <= 0.01
    assert many <= few + 1e-9


def test_rejecting_is_explored() -> None:
    """Where rejecting looks best, it still serves now and then, and less and less often."""
    learner = VAW(Cells(2, 1), np.random.default_rng(0), reject=1)
    served = []
    for number in range(1, 2001):
        arm = learner.choose(Round(number, Context([0, 1], 1), lambda _: np.array([0.9, 0.1])))
        learner.learn(0.1, None if arm == 1 else 3.0)
        served.append(arm == 0)
    # sum of t^(-1/2) up to 2000 is 88; 26 of it in the first 200 rounds, 27 in the last 1000
    assert 50 <= sum(served) <= 130
    assert sum(served[:200]) / 200 > 2 * sum(served[1000:]) / 1000


def test_it_needs_demand() -> None:
    """Where no demand is to be predicted, it says so."""
    with pytest.raises(ValueError, match="demand"):
        VAW(Cells(2, 1), np.random.default_rng(0)).choose(Round(1, Context([0, 1], 1)))
