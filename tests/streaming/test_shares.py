"""The least share: by hand, feasible, tight and monotone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.streaming.problems import one_user, random_problem
from trunkline.streaming import Device, StreamingProblem, check, solve
from trunkline.streaming.demands import least_shares, least_shares_of
from trunkline.streaming.exhaustive import least_share_by_bisection
from trunkline.streaming.pairs import PairTable

THREE = ([8, 16, 16], [0.2, 0.3, 0.1])
"""Megabits and seconds of the case below; the user's link has 40 Mbit/s."""


def test_hand_case():
    """S = (8, 16, 16) Mbit, T = (.2, .3, .1) s, 1.6 s at 40 Mbit/s: two thirds, DAI all."""
    # C_l / (r (Tbar - A_l)): 8/40/1.0 = .2, 24/40/1.2 = .5, 40/40/1.5 = 2/3. DAI: 1/(1.6 - .6).
    problem = one_user(*THREE, deadline_s=1.6)
    user = solve(problem).users[0]
    assert user.share == pytest.approx(2 / 3)
    # 8 Mbit at 26.7 Mbit/s: .3 s; ends .5. Layer 2 at .9, ends 1.2. Layer 3 at 1.5, ends 1.6.
    assert user.layer_finish_s == pytest.approx((0.5, 1.2, 1.6))
    assert solve(problem, "download-first").users[0].share == pytest.approx(1.0)


def test_hand_case_with_a_layer_there():
    """With the first layer on the device, 32 Mbit in 1.5 s: 32/40/1.5 = .5333."""
    problem = one_user(*THREE, deadline_s=1.6, cached={"m": (True, False, False)})
    assert solve(problem).users[0].share == pytest.approx(0.8 / 1.5)


def test_hand_case_with_a_tail():
    """With .2 s after the last layer, 1/(1.5 - .2) = .769231."""
    problem = one_user(*THREE, deadline_s=1.6, tail_s=0.2)
    user = solve(problem).users[0]
    assert user.share == pytest.approx(1 / 1.3)
    assert user.finish_s == pytest.approx(1.6)


def test_what_no_share_saves():
    """Infinite where computing alone is too long, the device is ready too late, or no link is
    there; nothing where nothing is to be downloaded."""

    def share(**user):
        return float(least_shares(PairTable(one_user(*THREE, **user)))[0])

    assert share(deadline_s=0.6) == math.inf  # A_1 = .6, and the first layer needs some time
    assert share(deadline_s=1.6, ready_s=1.1) == math.inf  # 1.1 + .6 > 1.6
    assert share(deadline_s=1.6, first_byte_s=1.0) == math.inf  # 1.0 + .6
    assert share(deadline_s=1.6, tail_s=2.0) == math.inf
    assert share(deadline_s=1.6, rate=0.0) == math.inf
    held = {"m": (True, True, True)}
    assert share(deadline_s=0.6, rate=0.0, cached=held) == 0.0
    assert share(deadline_s=0.5, rate=0.0, cached=held) == math.inf


def test_copying_by_hand():
    """Copying .5 s a layer, one after the other, while others compute."""
    # 40 Mbit/s, layers of 40 Mbit, computing .1 s: at y = 1 they arrive at 1 and 2, are copied at
    # 1.5 and 2.5, and end at 1.6 and 2.6.
    problem = one_user([40, 40], [0.1, 0.1], deadline_s=2.6, copy_s=0.5)
    user = solve(problem).users[0]
    assert user.share == pytest.approx(1.0)
    assert user.layer_finish_s == pytest.approx((1.6, 2.6))


@pytest.mark.parametrize("energy", [False, True])
@pytest.mark.parametrize("copying", [False, True])
def test_least_share_is_that_of_bisection_on_the_recursion(energy, copying):
    """The least share is feasible and tight: what a bisection finds that simulates every share."""
    finite = 0
    for seed in range(40):
        problem = random_problem(seed, energy=energy, copying=copying)
        table = PairTable(problem)
        for row, share in enumerate(least_shares(table).tolist()):
            user, model = problem.users[table.users[row]], problem.models[table.models[row]]
            slow = least_share_by_bisection(problem, user, model)
            assert (
                min(share, 2.0) == pytest.approx(min(slow, 2.0), rel=1e-8)
                or min(share, slow) > 1 - 1e-8
            )
            finite += slow <= 1
    assert finite > 100  # the cases are not all hopeless


def _shares(problem: StreamingProblem) -> np.ndarray:
    table = PairTable(problem)
    shares = np.concatenate([least_shares_of(pairs) for _, pairs in table.chunks()])
    return np.where(shares > 1, np.inf, shares)  # over 1, what the energy takes is not known


CHANGES = {
    "deadline": lambda u: replace(u, deadline_s=1.1 * u.deadline_s),
    "link": lambda u: replace(u, bits_per_s_per_hz=1.1 * u.bits_per_s_per_hz),
    "device": lambda u: replace(u, device=replace(u.device, hz=1.1 * u.device.hz)),
    "energy": lambda u: u if u.energy_j is None else replace(u, energy_j=1.1 * u.energy_j),
}


@pytest.mark.parametrize("change", CHANGES)
def test_more_never_needs_more_share(change):
    """More time, a better link, a faster device or more energy never raise a least share."""
    fell = 0
    for seed in range(30):
        problem = random_problem(seed, energy=True)
        eased = replace(problem, users=tuple(map(CHANGES[change], problem.users)))
        before, after = _shares(problem), _shares(eased)
        assert (after <= before * (1 + 1e-8)).all()
        fell += int((after < before * (1 - 1e-6)).sum())
    assert fell > 0


@pytest.mark.parametrize("part", ["bits", "flop"])
def test_larger_layers_never_need_less_share(part):
    """More bits or more work a layer never lower a least share; more bandwidth never raises it."""
    for seed in range(30):
        problem = random_problem(seed, energy=True)
        models = tuple(
            replace(
                model,
                layers=tuple(replace(x, **{part: 1.1 * getattr(x, part)}) for x in model.layers),
            )
            for model in problem.models
        )
        small, large = _shares(problem), _shares(replace(problem, models=models))
        assert (large >= small * (1 - 1e-8)).all()
        wide = _shares(replace(problem, bandwidth_hz=2 * problem.bandwidth_hz))
        assert (wide <= small * (1 + 1e-8)).all()


def test_scaling_changes_nothing():
    """Twice the bits over twice the band, and all times and the work doubled at half the power,
    need the same shares."""
    for seed in range(20):
        problem = random_problem(seed, energy=True)
        base = _shares(problem)
        layers = [
            tuple(replace(x, bits=4 * x.bits, flop=2 * x.flop) for x in model.layers)
            for model in problem.models
        ]
        users = tuple(
            replace(
                user,
                deadline_s=2 * user.deadline_s,
                first_byte_s=2 * user.first_byte_s,
                ready_s=2 * user.ready_s,
                tail_s=2 * user.tail_s,
                fixed_s={m: tuple(2 * t for t in ts) for m, ts in user.fixed_s.items()}
                if isinstance(user.fixed_s, dict)
                else 2 * user.fixed_s,
                device=replace(user.device, joule_per_cycle_hz2=5e-28),
            )
            for user in problem.users
        )
        scaled = replace(
            problem,
            bandwidth_hz=2 * problem.bandwidth_hz,
            models=tuple(
                replace(m, layers=ls) for m, ls in zip(problem.models, layers, strict=True)
            ),
            users=users,
        )
        np.testing.assert_allclose(_shares(scaled), base, rtol=1e-9)


def test_a_little_less_than_the_least_share_misses_the_deadline():
    """The checker refuses a plan at 0.999 of a least share, for its times."""
    problem = one_user(*THREE, deadline_s=1.6)
    plan = solve(problem)
    less = replace(plan.users[0], share=0.999 * plan.users[0].share)
    assert any("after 1.6 s" in fault for fault in check(problem, replace(plan, users=(less,))))


def test_a_device_without_work_needs_only_the_download():
    """Layers of no work and a device without energy coefficients are no special case."""
    problem = one_user([40], [0.0], deadline_s=2.0, device=Device(1.0, 0.0), energy_j=0.0)
    assert solve(problem).users[0].share == pytest.approx(0.5)
