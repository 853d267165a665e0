"""R1 to R4: what the rounded choices cost, and where they are feasible."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trunkline.pulling import Option, PullingProblem, Request, Site
from trunkline.pulling.assignment import Assignment
from trunkline.pulling.draws import draw, expected_cost, overflow_bound
from trunkline.pulling.expectations import derandomise
from trunkline.pulling.frequency import by_frequency, frequencies
from trunkline.pulling.reduced import DATA_CENTRE, reduce
from trunkline.pulling.relaxation import Relaxation, relax
from trunkline.pulling.thresholds import by_thresholds, phases
from trunkline.timing import TimeLimit

UNLIMITED = TimeLimit(None)


def test_expected_cost_by_hand():
    """Two requests that draw one block's model with 1/2 each pull it with probability 3/4."""
    option = Option("c", "m", ("b",), cost=1.0)
    problem = PullingProblem(
        {"b": 1.0},
        (Site("c", 1.0, 0.0, pull_cost={"b": 8.0}),),
        (Request("r", 5.0, (option,)), Request("s", 5.0, (option,))),
    )
    # 2 (1/2 1 + 1/2 5) + 3/4 8 = 12; with eta = 1/2 shares are 1/4: 2 (1/4 + 15/4) + 7/16 8 = 11.5
    reduced, x = reduce(problem), np.array([0.5, 0.5])
    assert expected_cost(reduced, x, 0.0) == pytest.approx(12.0)
    assert expected_cost(reduced, x, 0.5) == pytest.approx(11.5)


def test_expected_cost_is_the_mean_of_draws(make_problem):
    """The closed form agrees with 4,000 draws within five standard errors."""
    for seed in (2, 5, 9):
        reduced = reduce(make_problem(seed, sites=4, requests=8))
        x = fractional(reduced, seed)
        rng = np.random.default_rng(seed)
        costs = [Assignment(reduced, draw(reduced, x, rng, 0.2)).cost for _ in range(4000)]
        error = float(np.std(costs)) / math.sqrt(len(costs))
        assert error > 0
        assert abs(np.mean(costs) - expected_cost(reduced, x, 0.2)) <= 5 * error


def fractional(reduced, seed):
    """Shares of each request's options, at random, that leave something for the data centre."""
    x = np.random.default_rng(seed).random(reduced.option_cost.size)
    total = np.bincount(reduced.option_request, x, minlength=reduced.fallback.size)
    return x / (total + 0.5)[reduced.option_request]


def test_compute_overflows_no_more_often_than_the_bound():
    """Of 4,000 draws, no larger share passes a site's compute than Chernoff's bound says."""
    eta, most, requests = 0.5, 10.0, 40  # mean load (1 - eta) 10 = 5
    option = Option("c", "m", (), cost=0.0, compute=1.0)
    asked = tuple(Request(f"r{n}", 1.0, (option,)) for n in range(requests))
    reduced = reduce(PullingProblem({}, (Site("c", 0.0, most),), asked))
    x = np.full(requests, most / requests)
    rng = np.random.default_rng(1)
    loads = [(draw(reduced, x, rng, eta) != DATA_CENTRE).sum() for _ in range(4000)]
    bound = overflow_bound(most, 1.0, eta)
    assert bound == pytest.approx(math.exp(-10 * 0.25 / 1.5))  # 0.19
    assert 0 < np.mean(np.array(loads) > most) <= bound
    assert np.mean(loads) == pytest.approx((1 - eta) * most, abs=0.2)
    assert overflow_bound(1.0, 0.0, eta) == 0.0


def test_frequency_costs_at_most_f_times_the_relaxation(make_problem):
    """R2 costs at most f times the relaxation's solution, and loads at most f times its loads."""
    for seed in range(60):
        reduced = reduce(make_problem(seed, sites=4, requests=8))
        relaxed = relax(reduced, UNLIMITED)
        f = int(frequencies(reduced, relaxed.x).max(initial=1))
        plan = Assignment(reduced, by_frequency(reduced, relaxed.x))
        assert plan.cost <= f * relaxed.cost * (1 + 1e-6) + 1e-9
        assert (plan.stored <= f * reduced.storage * (1 + 1e-6)).all()
        assert (plan.load <= f * reduced.compute * (1 + 1e-6)).all()


def test_frequency_is_feasible_where_limits_were_divided_by_as_much(make_problem):
    """With limits divided by the most ways that a request has, R2 needs no repair."""
    served = 0
    for seed in range(60):
        reduced = reduce(make_problem(seed, sites=4, requests=8))
        ways = 1 + int(np.diff(reduced.request_options.starts).max(initial=0))
        relaxed = relax(reduced, UNLIMITED, scale=ways)
        plan = Assignment(reduced, by_frequency(reduced, relaxed.x))
        assert (plan.stored <= reduced.storage * (1 + 1e-6)).all()
        assert (plan.load <= reduced.compute * (1 + 1e-6)).all()
        served += int((plan.choice != DATA_CENTRE).sum())
    assert served > 0


def test_without_chance_never_costs_more_than_the_mean(make_problem):
    """R4 costs at most the expected cost of R1, for any shares and damping."""
    for seed in range(60):
        reduced = reduce(make_problem(seed, sites=4, requests=8))
        x = fractional(reduced, seed)
        for eta in (0.0, 0.1, 0.6):
            plan = Assignment(reduced, derandomise(reduced, x, eta))
            assert plan.cost <= expected_cost(reduced, x, eta) * (1 + 1e-9)


def test_thresholds_serve_all_within_their_phases(make_problem):
    """R3 leaves a request no more often than delta says, and every choice is one that it keeps."""
    left = runs = 0
    for seed in range(40):
        reduced = reduce(make_problem(seed, sites=4, requests=8))
        relaxed = relax(reduced, UNLIMITED)
        served = np.bincount(reduced.option_request, relaxed.x, minlength=reduced.fallback.size)
        mean = np.bincount(
            reduced.option_request,
            relaxed.x * reduced.option_cost,
            minlength=reduced.fallback.size,
        )
        most = 1.5 * (mean + (1 - served) * reduced.fallback)
        choice = by_thresholds(relaxed, np.random.default_rng(seed), 0.5)
        cost = Assignment(reduced, choice).request_cost
        kept = cost <= most * (1 + 1e-9)
        assert (kept | (choice == DATA_CENTRE)).all()
        left, runs = left + (not kept.all()), runs + 1
    assert left <= 0.1 * runs


def test_one_threshold_opens_shared_and_own_blocks_together():
    """With y = 1/2 for all of a site's blocks, they are all open in a phase or none is."""
    options = (Option("c", "m", ("a", "b"), cost=0.0),)
    twin = (Option("c", "n", ("a", "d"), cost=0.0),)
    problem = PullingProblem(
        dict.fromkeys("abd", 1.0),
        (Site("c", 3.0, 0.0, pull_cost=dict.fromkeys("abd", 1.0)),),
        (Request("r", 1.0, options), Request("s", 1.0, twin)),
    )
    reduced = reduce(problem)
    halves = Relaxation(reduced, np.full(2, 0.5), np.full(3, 0.5), 0.0)
    # eps = 3: most = 4 * 1/2 keeps the data centre, so that nobody waits; eps = .5: both wait
    assert (by_thresholds(halves, np.random.default_rng(1), 3.0) == DATA_CENTRE).all()
    for seed in range(20):
        choice = by_thresholds(halves, np.random.default_rng(seed), 0.5)
        assert (choice != DATA_CENTRE).all() or (choice == DATA_CENTRE).all()


def test_phases_by_hand():
    """kappa = 2 models at one site, eps = 1/2, |R| = 1, delta = .1: 2 * 3 * ln 10 = 13.8."""
    options = (
        Option("c", "m", ("a",), cost=0.0),
        Option("c", "n", ("b",), cost=0.5),
        Option("d", "m", ("a",), cost=0.0),
    )
    sites = (Site("c", 2.0, 0.0), Site("d", 2.0, 0.0))
    problem = PullingProblem(dict.fromkeys("ab", 1.0), sites, (Request("r", 1.0, options),))
    assert phases(reduce(problem)) == 14
    assert phases(reduce(PullingProblem({}, (), ()))) == 0
