"""Pulling problems and plans as documents."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

import trunkline
from trunkline.errors import DocumentError
from trunkline.pulling.document import problem_to_document

PROBLEM = {
    "format": "trunkline/pulling-problem/1",
    "blocks": {"b1": 1000000, "b2": 5},
    "sites": [
        {"id": "c1", "storage_bytes": 8e9, "compute": 10.0, "resident": ["b1"],
         "pull_cost": {"b2": 0.4}},
    ],
    "requests": [
        {"id": "r1", "fallback_cost": 9.0, "options": [
            {"site": "c1", "model": "m1", "blocks": ["b1"], "cost": 1.5, "compute": 1.0},
            {"site": "c1", "model": "m2", "blocks": ["b1", "b2"], "cost": 1.0, "compute": 1.0,
             "accuracy": 0.9, "transmission_cost": 0.25},
        ]},
    ],
}  # fmt: skip


def test_a_document_comes_back_as_it_was():
    """Nothing is lost on the way to a problem and back."""
    assert problem_to_document(trunkline.load(PROBLEM)) == PROBLEM


def test_random_problems_and_plans_come_back_equal(make_problem):
    """A problem and its plan are the same after a way through JSON text."""
    for seed in range(30):
        problem = make_problem(seed)
        assert trunkline.load(json.loads(json.dumps(problem_to_document(problem)))) == problem
        plan = trunkline.plan(problem, "greedy")
        assert trunkline.load_plan(json.loads(json.dumps(plan.to_dict()))) == plan


def test_what_may_be_left_out():
    """A site without `resident` has none, one without `pull_cost` pulls for nothing."""
    document = deepcopy(PROBLEM)
    del document["sites"][0]["resident"], document["sites"][0]["pull_cost"]
    site = trunkline.load(document).sites[0]
    assert (site.resident, site.pull_cost) == (frozenset(), {})


OPTION = "$.requests[0].options[0]"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("blocks", "b1"), -1, "$.blocks.b1: a size in bytes must be between 0 and 1e+18, got -1"),
        (("blocks", "b1"), "big", "$.blocks.b1: expected a size in bytes, got 'big'"),
        (("blocks",), None, "$.blocks"),
        (("sites", 0, "storage_bytes"), -1, "$.sites[0].storage_bytes"),
        (("sites", 0, "storage_bytes"), float("nan"), "$.sites[0].storage_bytes: a number must be"),
        (("sites", 0, "compute"), float("inf"), "$.sites[0].compute: a number must be finite"),
        (("sites", 0, "resident"), ["b1", "z"], "$.sites[0].resident[1]: no block 'z'"),
        (("sites", 0, "pull_cost", "z"), 1, "$.sites[0].pull_cost: no block 'z'"),
        (("sites", 0, "pull_cost", "b2"), -1, "$.sites[0].pull_cost.b2: a cost must be between"),
        (("sites", 0, "pull_cost", "b2"), True, "$.sites[0].pull_cost.b2: expected a cost"),
        (("sites", 0, "speed"), 1, "unknown field `speed`"),
        (("sites", 0, "id"), "", "$.sites[0].id"),
        (("requests", 0, "fallback_cost"), None, "$.requests[0].fallback_cost"),
        (("requests", 0, "options", 0, "site"), "c9", f"{OPTION}.site: no site 'c9'"),
        (("requests", 0, "options", 0, "blocks"), ["z"], f"{OPTION}.blocks[0]: no block 'z'"),
        (("requests", 0, "options", 0, "model"), "m2", "'m2' are already those of"),
        (("requests", 0, "options", 0, "accuracy"), 1.5, f"{OPTION}.accuracy"),
        (("requests", 0, "options", 0, "transmission_cost"), -1, f"{OPTION}.transmission_cost"),
        (("format",), "trunkline/pulling-problem/2", "$.format: expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_by_its_path(path, value, said):
    """Dangling ids, numbers out of range, unknown fields and repetitions are errors."""
    document = deepcopy(PROBLEM)
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(DocumentError) as error:
        trunkline.load(document)
    assert said in str(error.value)


@pytest.mark.parametrize("list_name", ["sites", "requests"])
def test_ids_stand_once(list_name):
    """Two sites or requests of one id are an error."""
    document = deepcopy(PROBLEM)
    document[list_name].append(document[list_name][0])
    with pytest.raises(DocumentError, match=rf"\$\.{list_name}\[1\]\.id: the id"):
        trunkline.load(document)


def test_a_missing_field_is_an_error():
    """Costs and compute are always stated."""
    for name in ("site", "model", "blocks", "cost", "compute"):
        document = deepcopy(PROBLEM)
        del document["requests"][0]["options"][0][name]
        with pytest.raises(DocumentError, match=name):
            trunkline.load(document)


def test_half_a_choice_is_an_error():
    """A site without a model is neither an option nor the data centre."""
    plan = trunkline.plan(trunkline.load(PROBLEM), "fallback").to_dict()
    plan["choices"][0]["site"] = "c1"
    with pytest.raises(DocumentError, match=r"\$\.choices\[0\]: site and model are both null"):
        trunkline.load_plan(plan)


def test_the_format_chooses_the_planner():
    """A caller that takes loading problems only says so; one that takes any names them all."""
    from trunkline.loading import LoadingProblem

    with pytest.raises(DocumentError, match="expected 'trunkline/loading-problem/1', got"):
        trunkline.load(PROBLEM, LoadingProblem)
    with pytest.raises(DocumentError, match=r"loading-problem/1' or 'trunkline/pulling-problem/1"):
        trunkline.load({"format": "x"})
