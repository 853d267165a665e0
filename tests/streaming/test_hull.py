"""Speeds of least energy: by hand, and against a general convex solver."""

from __future__ import annotations

import numpy as np
import pytest

from tests.streaming.problems import one_user, random_problem
from trunkline.streaming import Device, check, solve
from trunkline.streaming.demands import least_shares_of
from trunkline.streaming.energy import energy_and_slope
from trunkline.streaming.exhaustive import hull_speeds
from trunkline.streaming.hull import energy, lower_hull_speeds, releases
from trunkline.streaming.pairs import PairTable
from trunkline.streaming.recursion import arrivals, available, cumulative_bits
from trunkline.streaming.shares import least_share
from trunkline.streaming.uniform_speed import uniform_speed


def test_hand_case():
    """D = (1, 2, 5), w = (1, 1, 4), 7 s: speeds (.5, .5, 2), energy 16.5."""
    # Points (1, 0), (2, 1), (5, 2), (7, 6): the slope from (5, 2) is 2, from (1, 0) to (5, 2) .5,
    # and (2, 1) lies above. Energy .25 + .25 + 4 * 4. One speed: 4/2 = 2 for all, 6 * 4 = 24.
    release, work = np.array([[1.0, 2, 5]]), np.array([[1.0, 1, 4]])
    speeds = lower_hull_speeds(release, work, np.array([7.0]))
    assert speeds.tolist() == [[0.5, 0.5, 2.0]]
    assert energy(work, speeds).tolist() == [16.5]
    assert energy(work, np.full((1, 3), 2.0)).tolist() == [24.0]


def test_hand_case_with_fixed_times():
    """With V1 = (.5, .5, 0) and 8 s: speeds (2/3, 2/3, 4/3), F = (3, 5, 8), energy 8."""
    # r = (1, max(1, 2 - .5), max(.., 5 - 1)) = (1, 1.5, 4), Theta 7: from (4, 2) to (7, 6) 4/3,
    # from (1, 0) to (4, 2) 2/3. F: 1 + .5 + 1.5, + 2, max(5, 5) + 3. Energy 2 * 4/9 + 4 * 16/9.
    # 1, 1 and 3 Mbit at 1 Mbit/s arrive at 1, 2 and 5.
    problem = one_user(
        [1, 1, 3],
        [1, 1, 4],
        rate=1e6,
        deadline_s=8.0,
        fixed_s=(0.5, 0.5, 0.0),
        device=Device(4.0, 1.0, 1.0),
        energy_j=8.0,
    )
    plan = solve(problem)
    user = plan.users[0]
    assert user.share == pytest.approx(1.0)
    assert [4 * z for z in user.speeds] == pytest.approx([2 / 3, 2 / 3, 4 / 3])
    assert user.layer_finish_s == pytest.approx([3, 5, 8])
    assert user.energy_j == pytest.approx(8.0)
    assert check(problem, plan) == []


def test_uniform_speed_by_hand():
    """One speed for w = 6 within 6 J at eta 1: 1 Hz of the device's 2; with 30 J, its top."""
    problem = one_user([1], [6.0], device=Device(2.0, 1.0, 1.0), energy_j=6.0)
    pairs = PairTable(problem).take(slice(None))
    assert uniform_speed(pairs).tolist() == [0.5]
    problem = one_user([1], [6.0], device=Device(2.0, 1.0, 1.0), energy_j=30.0)
    assert uniform_speed(PairTable(problem).take(slice(None))).tolist() == [1.0]


def test_budgets_bind_without_a_link_too():
    """With nothing to download and no link, what the energy allows in time is still served."""
    # 1 cycle within 2 s at eta 1: at least .25 J at half a hertz; the device has 1 Hz (1 J).
    fields = {"rate": 0.0, "deadline_s": 2.0, "cached": {"m": (True,)}}
    for joules, served in ((0.3, 1), (0.2, 0)):
        problem = one_user([8], [1.0], device=Device(1.0, 1.0, 1.0), energy_j=joules, **fields)
        plan = solve(problem)
        assert plan.served == served
        assert check(problem, plan) == []


def random_points(count):
    """Releases and work of so many rows of 6 layers, some without work, and the times they end."""
    rng = np.random.default_rng(3)
    release = np.cumsum(rng.exponential(1.0, (count, 6)) * rng.integers(0, 2, (count, 6)), axis=1)
    work = rng.exponential(1.0, (count, 6)) * (rng.random((count, 6)) < 0.8)
    return release, work, release[:, -1] + rng.exponential(2.0, count) + 0.01


def test_wrapping_is_the_walk_over_the_points():
    """Both ways to the hull give the same speeds, and speeds never decrease along the layers."""
    release, work, end = random_points(300)
    speeds = lower_hull_speeds(release, work, end)
    assert (np.diff(speeds, axis=1) >= -1e-9 * speeds[:, 1:]).all()
    for row in range(300):
        walked = hull_speeds(release[row].tolist(), work[row].tolist(), float(end[row]))
        busy = work[row] > 0
        np.testing.assert_allclose(speeds[row][busy], np.array(walked)[busy], rtol=1e-9)


def test_hull_is_the_best_of_a_convex_solver():
    """No choice of seconds that a general solver finds takes less energy."""
    optimize = pytest.importorskip("scipy.optimize")
    release, work, end = random_points(12)
    work += 0.1
    for row in range(12):
        one = slice(row, row + 1)
        speeds = lower_hull_speeds(release[one], work[one], end[one])
        least = float(energy(work[one], speeds)[0])
        w, room = work[row], end[row] - release[row]
        left = {"type": "ineq", "fun": lambda t, room=room: room - np.cumsum(t[::-1])[::-1]}
        start = np.full(6, (end[row] - release[row, -1]) / 7)
        found = optimize.minimize(
            lambda t, w=w: np.sum(w**3 / t**2) / 1e2,
            start,
            jac=lambda t, w=w: -2 * w**3 / t**3 / 1e2,
            constraints=[left],
            bounds=[(1e-6, None)] * 6,
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        solved = 1e2 * found.fun
        assert least <= solved * (1 + 1e-6)
        if found.success:
            assert least == pytest.approx(solved, rel=1e-3)


@pytest.mark.parametrize("copying", [False, True])
def test_the_slope_of_the_energy_is_its_derivative(copying):
    """E'(u) of the envelope theorem agrees with a difference quotient; g = E^(-1/2) is concave."""
    compared = 0
    for seed in range(40):
        table = PairTable(random_problem(seed, copying=copying, least_layers=3))
        pairs = table.take(slice(None))
        bits = cumulative_bits(pairs.bits, pairs.layers)
        share = least_shares_of(pairs)
        usable = np.flatnonzero(np.isfinite(share) & (share > 0))
        pairs, bits = table.take(usable), bits[usable]
        u = 0.9 / (share[usable] * pairs.rate)
        step = 1e-6 * u
        values = [energy_and_slope(pairs, bits, u + k * step)[0] for k in (-1, 0, 1)]
        slope = energy_and_slope(pairs, bits, u)[1]
        quotient = (values[2] - values[0]) / (2 * step)
        g = [1 / np.sqrt(value) for value in values]
        smooth = np.abs(g[0] - 2 * g[1] + g[2]) < 1e-9 * g[1]  # not at a kink
        near = 1e-6 * (values[1] / u)[smooth].max(initial=0.0)
        np.testing.assert_allclose(slope[smooth], quotient[smooth], rtol=1e-3, atol=near)
        assert (g[0] - 2 * g[1] + g[2] <= 1e-9 * g[1]).all()
        compared += int(smooth.sum())
    assert compared > 100


def test_the_energy_at_the_least_share_is_the_budget():
    """Where the budget binds, the least share spends it to the last joule."""
    binding = 0
    for seed in range(40):
        problem = random_problem(seed, energy=True)
        pairs = PairTable(problem).take(slice(None))
        bits = cumulative_bits(pairs.bits, pairs.layers)
        share = least_shares_of(pairs)
        ok = np.flatnonzero((share > 0) & (share <= 1))
        ready = available(arrivals(bits, np.where(share > 0, share, 1.0), pairs), pairs.copy_s)
        release, end = releases(ready, pairs)
        spent = pairs.eta * energy(pairs.work, lower_hull_speeds(release, pairs.work, end))
        at_top_speed = least_share(pairs, bits, pairs.seconds)
        for row in ok.tolist():
            assert spent[row] <= pairs.energy_j[row] * (1 + 1e-9)
            if share[row] > at_top_speed[row] * (1 + 1e-9):
                assert spent[row] == pytest.approx(pairs.energy_j[row], rel=1e-8)
                binding += 1
    assert binding > 20
