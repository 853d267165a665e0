"""The methods by name, and what holds for all of them."""

from __future__ import annotations

import pytest

import trunkline
from trunkline.errors import UnknownMethodError, UnsupportedProblemError
from trunkline.pulling import METHODS, Option, PullingProblem, Request, Site
from trunkline.pulling.no_sharing import without_sharing


@pytest.mark.parametrize("method", METHODS)
def test_every_plan_holds_and_none_beats_the_optimum(make_problem, method):
    """Every method's plan passes the checker, its bound is one, and brute force is never above."""
    for seed in range(60):
        problem = make_problem(seed, accounting=("once", "paper")[seed % 2])
        plan = trunkline.plan(problem, method)
        least = trunkline.plan(problem, "exhaustive").cost
        assert trunkline.check(problem, plan) == []
        assert plan.method == method
        assert plan.bound <= least * (1 + 1e-6)
        assert plan.cost >= least * (1 - 1e-9)
        assert trunkline.plan(problem, method).choices == plan.choices  # the same again


@pytest.mark.parametrize("method", METHODS)
def test_every_method_plans_for_next_to_nothing(method):
    """No requests, no sites, no storage and a request that fits nowhere are planned for."""
    option = Option("c", "m", ("b",), 0.0, compute=1e12, accuracy=1.0, transmission_cost=0.0)
    giant = PullingProblem({"b": 1.0}, (Site("c", 0.0, 1.0),), (Request("r", 2.0, (option,)),))
    nobody = PullingProblem({}, (Site("c", 0.0, 0.0),), ())
    nowhere = PullingProblem({}, (), (Request("r", 2.0),))
    for problem, cost in ((giant, 2.0), (nobody, 0.0), (nowhere, 2.0)):
        plan = trunkline.plan(problem, method)
        assert (plan.cost, plan.pulls) == (cost, ())
        assert trunkline.check(problem, plan) == []


def test_unknown_methods_and_options_are_refused(make_problem):
    """A misspelt method names those that exist, and an option the method that lacks it."""
    problem = make_problem(1)
    with pytest.raises(UnknownMethodError, match=r"no method 'optimum' for pulling.*greedy"):
        trunkline.plan(problem, "optimum")
    with pytest.raises(UnknownMethodError, match="'greedy' has no option 'margin'; it has none"):
        trunkline.plan(problem, "greedy", margin=0.1)
    with pytest.raises(trunkline.TrunklineError, match="time_limit_s: at least 0, got -1"):
        trunkline.plan(problem, "optimal", time_limit_s=-1.0)


def test_the_default_depends_on_the_size():
    """Up to 1,000 options the integer programme is solved, beyond it is rounded."""
    option = Option("c", "m", (), 1.0)
    for count, method in ((1000, "optimal"), (1001, "rounding")):
        asked = tuple(Request(f"r{n}", 2.0, (option,)) for n in range(count))
        plan = trunkline.plan(PullingProblem({}, (Site("c", 0.0, 0.0),), asked))
        assert (plan.method, plan.cost, plan.proven) == (method, float(count), True)


def option(model: str, *, cost: float, accuracy: float, way: float) -> Option:
    """A model of one block at the one site, of compute 1."""
    return Option("c", model, (model,), cost, 1.0, accuracy, transmission_cost=way)


NEAR_AND_GOOD = PullingProblem(
    {"near": 1.0, "good": 1.0},
    (Site("c", 2.0, 1.0, pull_cost={"near": 1.0, "good": 1.0}),),
    (
        Request(
            "r1",
            0.5,
            (
                option("near", cost=5.0, accuracy=0.6, way=0.0),
                option("good", cost=3.0, accuracy=0.9, way=1.0),
            ),
        ),
        Request("r2", 7.0, (option("near", cost=1.0, accuracy=0.6, way=0.0),)),
    ),
)
"""Two requests, and compute for one of them."""


@pytest.mark.parametrize(
    ("method", "models", "cost"),
    [
        ("nearest", ["near", None], 5 + 1 + 7),  # though the data centre is cheaper for r1
        ("accuracy-first", ["good", None], 3 + 1 + 7),
        ("greedy", [None, "near"], 0.5 + 1 + 1),
        ("fallback", [None, None], 7.5),
        ("optimal", [None, "near"], 2.5),
    ],
)
def test_what_each_method_prefers(method, models, cost):
    """The one place goes to the first that asks, by way or by accuracy, or to who saves most."""
    plan = trunkline.plan(NEAR_AND_GOOD, method)
    assert ([choice.model for choice in plan.choices], plan.cost) == (models, cost)


@pytest.mark.parametrize(
    ("method", "field"), [("nearest", "transmission_cost"), ("accuracy-first", "accuracy")]
)
def test_methods_say_which_optional_field_they_need(method, field):
    """Without the field that it ranks by, a method does not guess."""
    bare = Request("r", 1.0, (Option("c", "m", (), 1.0),))
    problem = PullingProblem({}, (Site("c", 1.0, 1.0),), (bare,))
    with pytest.raises(UnsupportedProblemError, match=f"all say their {field}; request 'r'"):
        trunkline.plan(problem, method)


def variants(count: int, storage_bytes: float) -> PullingProblem:
    """Requests for models of one trunk (8 bytes, 4 to pull) and a head each (1 byte, .5)."""
    heads = [f"h{n}" for n in range(count)]
    site = Site("c", storage_bytes, 100.0, pull_cost={"trunk": 4.0, **dict.fromkeys(heads, 0.5)})
    requests = tuple(
        Request(f"r{n}", 4.0, (Option("c", f"m{n}", ("trunk", head), 1.0),))
        for n, head in enumerate(heads)
    )
    return PullingProblem({"trunk": 8.0, **dict.fromkeys(heads, 1.0)}, (site,), requests)


def test_no_sharing_sees_no_worth_in_what_only_sharing_makes_worth_it():
    """A model alone costs 1 + 4.5, over the 4 of the data centre; three together 3 + 4 + 1.5."""
    problem = variants(3, storage_bytes=100.0)
    assert trunkline.plan(problem, "optimal").cost == 8.5
    blind = trunkline.plan(problem, "no-sharing")
    assert (blind.cost, blind.pulls) == (12.0, ())


def test_no_sharing_reports_what_its_choices_really_pull():
    """With room for 18 bytes it stores two models of 9 and pulls their trunk once."""
    problem = variants(3, storage_bytes=18.0)
    dear = PullingProblem(
        problem.blocks,
        problem.sites,
        tuple(Request(r.id, 20.0, r.options) for r in problem.requests),
    )
    blind = trunkline.plan(dear, "no-sharing")
    assert blind.cost == 2 * 1.0 + 4.0 + 2 * 0.5 + 20.0
    assert len(blind.pulls) == 3
    assert trunkline.plan(without_sharing(dear), "optimal").cost == 2 * (1.0 + 4.5) + 20.0
    assert trunkline.plan(dear, "optimal").cost == 3 * 1.0 + 4.0 + 3 * 0.5  # 11 bytes


def test_without_sharing_never_costs_less(make_problem):
    """Taking blocks apart raises the least cost or leaves it, and residents stay resident."""
    for seed in range(60):
        problem = make_problem(seed)
        apart = without_sharing(problem)
        assert (
            trunkline.plan(apart, "optimal").cost >= trunkline.plan(problem, "optimal").cost - 1e-9
        )
        for one, other in zip(problem.requests, apart.requests, strict=True):
            for option, separate in zip(one.options, other.options, strict=True):
                assert len(problem.missing(option)) == len(apart.missing(separate))


def test_greedy_opens_for_a_group_what_no_request_is_worth_alone():
    """Three requests of one model pay the pull of 4.5 that saves each of them 3."""
    problem = variants(1, storage_bytes=9.0)
    three = tuple(Request(f"r{n}", 4.0, problem.requests[0].options) for n in range(3))
    together = PullingProblem(problem.blocks, problem.sites, three)
    assert trunkline.plan(problem, "greedy").pulls == ()
    assert trunkline.plan(together, "greedy").cost == 3 + 4.5
