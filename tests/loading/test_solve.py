"""The methods by name."""

from __future__ import annotations

import pytest

import trunkline
from trunkline.errors import UnknownMethodError, UnsupportedProblemError
from trunkline.loading import METHODS


def test_unknown_methods_are_refused_with_the_known_ones(make_problem):
    """A misspelt method names those that exist."""
    with pytest.raises(UnknownMethodError, match=r"no method 'optimum'.*greedy.*optimal"):
        trunkline.plan(make_problem(1), "optimum")


def test_options_that_a_method_lacks_are_refused(make_problem):
    """An option of another method is an error, not ignored."""
    with pytest.raises(UnknownMethodError, match="'optimal' has no option 'slot_s'"):
        trunkline.plan(make_problem(1), "optimal", slot_s=0.1)


def test_exhaustive_refuses_what_it_cannot_finish():
    """Brute force says its limit instead of running for ever."""
    with pytest.raises(UnsupportedProblemError, match="at most 12 tasks, the problem has 13"):
        trunkline.plan(trunkline.load(TASKS), "exhaustive")


TASKS = {
    "format": "trunkline/loading-problem/1",
    "deadline_s": 1.0,
    "bandwidth_hz": 1.0,
    "loading": [],
    "blocks": {},
    "models": [
        {"id": "m", "blocks": [], "seconds_per_batch": 0, "seconds_per_task": 0, "max_batch": 1}
    ],
    "tasks": [
        {"id": f"u{k}", "model": "m", "upload_bits": 0, "bits_per_s_per_hz": 0} for k in range(13)
    ],
}


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("optimal", {"upload": "SUM"}, "upload: 'sum' or 'max', got 'SUM'"),
        ("paper", {"variant": "new"}, "variant: 'printed' or 'corrected', got 'new'"),
        ("paper", {"slot_s": 0.0}, "a slot takes a positive time"),
        ("greedy", {"slot_s": float("nan")}, "a slot takes a positive time"),
        ("paper", {"slot_s": 1e-9}, "over 100000 slots"),
    ],
)
def test_options_out_of_range_are_refused(make_problem, method, options, message):
    """A value that an option does not have is an error that names it."""
    with pytest.raises(trunkline.TrunklineError, match=message):
        trunkline.plan(make_problem(1), method, **options)


def test_the_checker_refuses_an_unknown_reading(make_problem):
    """`check` has the same two readings."""
    problem = make_problem(1)
    with pytest.raises(trunkline.TrunklineError, match="upload"):
        trunkline.check(problem, trunkline.plan(problem), upload="both")


def test_a_margin_ends_earlier_and_keeps_the_bound_honest(make_problem):
    """With a margin every batch ends that much before its deadline; the bound stays that of the
    problem as stated, so nothing is called proven that is not."""
    fewer = 0
    for seed in range(60):
        problem = make_problem(seed)
        best = trunkline.plan(problem)
        plan = trunkline.plan(problem, margin=0.3)
        assert plan.finish_s <= 0.7 * problem.deadline_s * (1 + 1e-9)
        assert (plan.bound, plan.proven) == (best.bound, plan.served == best.served)
        assert trunkline.check(problem, plan) == []
        fewer += plan.served < best.served
    assert fewer > 5


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_a_margin_is_a_share(make_problem, margin):
    """Below 0, 1 or more, and NaN are refused."""
    with pytest.raises(trunkline.TrunklineError, match="margin"):
        trunkline.plan(make_problem(1), margin=margin)


def test_greedy_comes_back_to_a_model():
    """In continuous time a model whose slow task was left is visited again."""
    document = {**TASKS, "loading": [{"overhead_s": 0, "bytes_per_s": 1}], "deadline_s": 1e9}
    costs = {"seconds_per_batch": 0, "seconds_per_task": 0, "max_batch": 9}
    document["blocks"] = {"a": 1, "b": 1}
    document["models"] = [{"id": m, "blocks": [m.lower()], **costs} for m in "AB"]
    document["tasks"] = [
        {"id": "quick", "model": "A", "upload_bits": 0, "bits_per_s_per_hz": 1},
        {"id": "slow", "model": "A", "upload_bits": 100, "bits_per_s_per_hz": 1},
        {"id": "other", "model": "B", "upload_bits": 0, "bits_per_s_per_hz": 1},
    ]
    problem = trunkline.load(document)
    plan = trunkline.plan(problem, "greedy")
    assert [b.tasks for b in plan.batches] == [("quick",), ("other",), ("slow",)]
    assert trunkline.check(problem, plan) == []


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_says_how_long_it_took(make_problem, method):
    """The plan carries its method's name and the seconds that planning took."""
    plan = trunkline.plan(make_problem(3), method)
    assert plan.method == method
    assert plan.solve_s > 0


def test_plans_round_trip_as_documents(make_problem):
    """A plan written as a document reads back as itself."""
    for method in sorted(METHODS):
        plan = trunkline.plan(make_problem(7), method)
        assert trunkline.load_plan(plan.to_dict()) == plan


def test_greedy_follows_the_rate():
    """Algorithm 3 takes the model of most tasks per second first, then goes on from there."""
    document = {**TASKS, "loading": [{"overhead_s": 0, "bytes_per_s": 1}], "deadline_s": 5.0}
    model = {"seconds_per_batch": 0, "seconds_per_task": 0, "max_batch": 9}
    document["blocks"] = {"s": 2, "x": 1, "y": 1, "z": 1.5}
    document["models"] = [
        {"id": "X", "blocks": ["s", "x"], **model},
        {"id": "Y", "blocks": ["s", "y"], **model},
        {"id": "Z", "blocks": ["z"], **model},
    ]
    asked = ["X"] * 2 + ["Y"] * 2 + ["Z"]
    document["tasks"] = [
        {"id": f"u{k}", "model": m, "upload_bits": 0, "bits_per_s_per_hz": 0}
        for k, m in enumerate(asked)
    ]
    # rates at the start: X and Y 2/3, Z 1/1.5 = 2/3: a tie, broken by the larger count: X (first).
    # Then Y lacks y alone: 2 tasks in 1 s. Then 1 s is left: Z (1.5 s) does not fit.
    plan = trunkline.plan(trunkline.load(document), "greedy")
    assert [(b.model, len(b.tasks)) for b in plan.batches] == [("X", 2), ("Y", 2)]


def test_a_stopped_brute_force_claims_nothing(make_problem):
    """Out of time, `exhaustive` returns a plan that holds and a bound that the optimum meets."""
    for seed in range(20):
        problem = make_problem(seed)
        plan = trunkline.plan(problem, "exhaustive", time_limit_s=0.0)
        assert trunkline.check(problem, plan) == []
        assert plan.served == 0
        assert plan.bound >= trunkline.plan(problem).served


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_time_limit_is_a_time(make_problem, seconds):
    """Negative seconds and NaN are refused."""
    with pytest.raises(trunkline.TrunklineError, match="time_limit_s: at least 0"):
        trunkline.plan(make_problem(1), "exhaustive", time_limit_s=seconds)
