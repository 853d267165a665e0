"""The checker: it accepts what holds, and names everything that does not."""

from __future__ import annotations

from copy import deepcopy

import pytest

import trunkline
from trunkline.errors import PlanningError

PROBLEM = {
    "format": "trunkline/pulling-problem/1",
    "blocks": {"trunk": 8, "a": 1, "b": 2, "held": 4},
    "sites": [
        {"id": "c1", "storage_bytes": 11, "compute": 3, "resident": ["held"],
         "pull_cost": {"trunk": 4, "a": 0.5}},
        {"id": "c2", "storage_bytes": 0, "compute": 0},
    ],
    "requests": [
        {"id": "r1", "fallback_cost": 9, "options": [
            {"site": "c1", "model": "m1", "blocks": ["held", "trunk", "a"], "cost": 1,
             "compute": 1},
        ]},
        {"id": "r2", "fallback_cost": 5, "options": [
            {"site": "c1", "model": "m2", "blocks": ["trunk", "b"], "cost": 1.5, "compute": 2},
        ]},
    ],
}  # fmt: skip
PLAN = {
    "format": "trunkline/pulling-plan/1",
    "method": "by hand",
    "cost": 7.0,  # 1 + 1.5 + 4 + 0.5
    "bound": 7.0,
    "proven": True,
    "solve_s": 0.0,
    "choices": [
        {"request": "r1", "site": "c1", "model": "m1"},
        {"request": "r2", "site": "c1", "model": "m2"},
    ],
    "pulls": [
        {"site": "c1", "block": "trunk"},
        {"site": "c1", "block": "a"},
        {"site": "c1", "block": "b"},
    ],
}


def violations(changes: dict | None = None, **problem: object) -> list[str]:
    """What the checker says of the plan with changes, for the problem with changes."""
    return trunkline.check(trunkline.load({**PROBLEM, **problem}), {**PLAN, **(changes or {})})


def test_a_plan_that_holds_has_no_violations():
    """Every choice can be made, every block is there, 11 bytes and a compute of 3 fit."""
    assert violations() == []


R1, R2 = PLAN["choices"]
TRUNK, A, B = PLAN["pulls"]
CENTRE = {"request": "r2", "site": None, "model": None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choices": [R1]}, "no choice for request 'r2'"),
        ({"choices": [R1, R2, R1]}, "choices[2]: request 'r1' is already that of choices[0]"),
        ({"choices": [R1, {**R2, "request": "r9"}]}, "choices[1]: no request 'r9'"),
        ({"choices": [R1, {**R2, "site": "c2"}]}, "'r2' has no option of site 'c2' and model 'm2'"),
        ({"choices": [R1, {**R2, "model": "m1"}]}, "has no option of site 'c1' and model 'm1'"),
        ({"pulls": [TRUNK, A]}, "choices[1]: block 'b' is neither at 'c1' nor pulled"),
        ({"pulls": [A, B]}, "choices[0]: block 'trunk' is neither at 'c1' nor pulled"),
        ({"pulls": [TRUNK, A, B, {"site": "c9", "block": "a"}]}, "pulls[3]: no site 'c9'"),
        ({"pulls": [TRUNK, A, B, {"site": "c1", "block": "z"}]}, "pulls[3]: no block 'z'"),
        ({"pulls": [TRUNK, A, B, A]}, "site 'c1': block 'a' is pulled 2 times"),
        ({"pulls": [TRUNK, A, B, {"site": "c1", "block": "held"}]},
         "block 'held' is pulled, but resident"),
        ({"pulls": [TRUNK, A, B, {"site": "c2", "block": "a"}]},
         "site 'c2': 1 bytes are pulled, over its storage of 0"),
        ({"cost": 11.0}, "cost is 11, recomputed 7"),  # the trunk paid twice
        ({"bound": 7.1}, "bound is 7.1, above the cost 7"),
        ({"bound": 6.9}, "proven, but bound 6.9 and cost 7 differ"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_named(changes, said):
    """Each rule that a plan breaks is a sentence with the place and the figures."""
    assert any(said in one for one in violations(changes)), violations(changes)


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("storage_bytes", 10.9, "site 'c1': 11 bytes are pulled, over its storage of 10.9"),
        ("compute", 2.9, "site 'c1': compute of 3, over its 2.9"),
    ],
)
def test_limits_are_summed_per_site(limit, value, said):
    """Two options that fit alone pass a limit together."""
    sites = deepcopy(PROBLEM["sites"])
    sites[0][limit] = value
    assert violations(sites=sites) == [said]


def test_a_plan_may_pull_more_than_it_must_and_pays_for_it():
    """A block that nobody needs is stored and paid for."""
    lazy = {"choices": [R1, CENTRE], "proven": False, "bound": 0.0}
    assert violations({**lazy, "cost": 1 + 4.5 + 5, "pulls": [TRUNK, A]}) == []
    assert violations({**lazy, "cost": 1 + 4.5 + 5}) == []  # 'b' has no price
    sites = deepcopy(PROBLEM["sites"])
    sites[0]["pull_cost"]["b"] = 2
    assert violations({**lazy, "cost": 10.5}, sites=sites) == ["cost is 10.5, recomputed 12.5"]


def test_a_plan_of_another_kind_is_refused():
    """A loading plan says nothing of a pulling problem."""
    loading = {
        "format": "trunkline/loading-plan/1", "method": "x", "served": 0, "tasks": 0, "bound": 0,
        "proven": False, "solve_s": 0, "finish_s": 0, "batches": [],
    }  # fmt: skip
    with pytest.raises(PlanningError, match="a pulling problem takes a PullingPlan"):
        trunkline.check(trunkline.load(PROBLEM), loading)
    with pytest.raises(PlanningError, match="takes no option 'upload'"):
        trunkline.check(trunkline.load(PROBLEM), PLAN, upload="sum")
