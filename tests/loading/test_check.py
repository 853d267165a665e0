"""The checker refuses whatever breaks a definition, and says what."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

import trunkline
from trunkline.errors import DocumentError
from trunkline.loading.document import problem_to_document

PROBLEM = {
    "format": "trunkline/loading-problem/1",
    "deadline_s": 20.0,
    "bandwidth_hz": 2.0,
    "loading": [{"overhead_s": 1.0, "bytes_per_s": 2.0}],
    "blocks": {"a": 4, "b": 2, "c": 6},
    "models": [
        {
            "id": "m",
            "blocks": ["a", "b"],
            "seconds_per_batch": 0.5,
            "seconds_per_task": 0.25,
            "max_batch": 2,
        },
        {
            "id": "n",
            "blocks": ["a", "c"],
            "seconds_per_batch": 0.5,
            "seconds_per_task": 0.25,
            "max_batch": 2,
        },
    ],
    "tasks": [
        {"id": "u1", "model": "m", "upload_bits": 2, "bits_per_s_per_hz": 1.0},
        {"id": "u2", "model": "m", "upload_bits": 6, "bits_per_s_per_hz": 1.0},
        {"id": "u3", "model": "n", "upload_bits": 0, "bits_per_s_per_hz": 0.0},
    ],
}
# m first: uploads 2/2 = 1 s and 6/2 = 3 s of the whole band, so shares 1/4, 3/4 and 4 s in all;
# load 1 + 6/2 = 4 s; compute 2*.25 + .5 = 1 s: ends at 9. n after m lacks c: 1 + 6/2 = 4 s, no
# upload, compute .75 s: ends at 13.75.
PLAN = {
    "format": "trunkline/loading-plan/1",
    "method": "by hand",
    "served": 3,
    "tasks": 3,
    "bound": 3,
    "proven": True,
    "solve_s": 0.0,
    "finish_s": 13.75,
    "batches": [
        {
            "model": "m",
            "tasks": ["u1", "u2"],
            "shares": [0.25, 0.75],
            "load_bytes": 6,
            "upload_s": 4.0,
            "load_s": 4.0,
            "compute_s": 1.0,
            "start_s": 0.0,
            "finish_s": 9.0,
        },
        {
            "model": "n",
            "tasks": ["u3"],
            "shares": [0.0],
            "load_bytes": 6,
            "upload_s": 0.0,
            "load_s": 4.0,
            "compute_s": 0.75,
            "start_s": 9.0,
            "finish_s": 13.75,
        },
    ],
}


def broken(**changes: object) -> list[str]:
    """The violations of PLAN with dotted paths replaced (`__` for a dot)."""
    plan = copy.deepcopy(PLAN)
    problem = copy.deepcopy(PROBLEM)
    for path, value in changes.items():
        *steps, last = [int(s) if s.isdigit() else s for s in path.split("__")]
        place = problem if steps and steps[0] == "problem" else plan
        for step in steps[1:] if place is problem else steps:
            place = place[step]
        place[last] = value
    return trunkline.check(trunkline.load(problem), plan)


def test_a_plan_made_by_hand_holds():
    """The plan derived above holds."""
    assert broken() == []


def test_the_same_plan_is_found():
    """`optimal` finds a plan that ends as early as the one made by hand."""
    assert trunkline.plan(trunkline.load(PROBLEM)).finish_s == 13.75


VIOLATIONS = {
    "late": ({"problem__deadline_s": 13.0}, "after the deadline 13 s of task 'u3'"),
    "late for its own deadline": (
        {"problem__tasks__0__deadline_s": 8.0},
        "after the deadline 8 s of task 'u1'",
    ),
    "starts before an arrival": (
        {"problem__tasks__0__arrival_s": 1.0},
        "starts at 0 s, before 1 s",
    ),
    "overlaps": (
        {"batches__1__start_s": 8.0, "batches__1__finish_s": 12.75, "finish_s": 12.75},
        "before 9 s",
    ),
    "twice": ({"batches__1__tasks": ["u1"]}, "is already served in batches[0]"),
    "mixed models": ({"batches__1__tasks": ["u2"]}, "task 'u2' asks for 'm', not 'n'"),
    "too many": ({"problem__models__0__max_batch": 1}, "2 tasks, but 'm' takes at most 1"),
    "unknown task": ({"batches__1__tasks": ["u9"]}, "no task 'u9'"),
    "unknown model": ({"batches__1__model": "o"}, "no model 'o'"),
    "no task": ({"batches__1__tasks": [], "batches__1__shares": []}, "has no task"),
    "shares over 1": ({"batches__0__shares": [0.5, 0.75]}, "the shares sum to 1.25, over 1"),
    "shares too few": ({"batches__0__shares": [1.0]}, "1 shares for 2 tasks"),
    "upload too short": (
        {"batches__0__shares": [0.2, 0.8]},
        "upload_s is 4, recomputed 5",  # u1 with a fifth of the band: 1 / .2
    ),
    "load too small": ({"batches__0__load_bytes": 4, "batches__0__load_s": 3.0}, "lacks 6"),
    "load too large": ({"batches__0__load_bytes": 8, "batches__0__load_s": 5.0}, "the model has 6"),
    "load time wrong": ({"batches__1__load_s": 3.0}, "load_s is 3, recomputed 4"),
    "compute wrong": ({"batches__0__compute_s": 0.5}, "compute_s is 0.5, recomputed 1"),
    "finish wrong": ({"batches__1__finish_s": 13.0}, "finish_s is 13, recomputed 13.75"),
    "total wrong": ({"served": 2}, "served is 2, the batches have 3 tasks"),
    "tasks wrong": ({"tasks": 4}, "tasks is 4, the problem has 3"),
    "bound too low": ({"bound": 2}, "bound is 2, below the 3 served"),
    "proof without proof": ({"bound": 4}, "proven, but bound 4 and served 3 differ"),
    "over memory": ({"problem__memory_bytes": 10}, "12 bytes are resident, over the budget of 10"),
    "evicts without a budget": ({"batches__0__evicted": ["a"]}, "no memory budget"),
    "evicts what is not there": (
        {"problem__memory_bytes": 12, "batches__0__evicted": ["c"]},
        "evicts 'c', which is not resident",
    ),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_every_violation_is_found(case):
    """Each definition broken alone is found, with the figures."""
    changes, message = VIOLATIONS[case]
    assert any(message in violation for violation in broken(**changes)), broken(**changes)


def test_figures_that_are_no_numbers_are_found():
    """NaN agrees with nothing and is named, also in a plan that is no document."""
    problem = trunkline.load(PROBLEM)
    plan = trunkline.load_plan(PLAN)
    for name in ("load_bytes", "upload_s", "finish_s"):
        batch = replace(plan.batches[0], **{name: float("nan")})
        violations = trunkline.check(problem, replace(plan, batches=(batch, plan.batches[1])))
        assert violations == [f"batches[0]: {name} is nan"]


def test_tiny_units_cannot_be_cheated():
    """A plan whose times are all 0 does not hold, however short the true ones are."""
    document = {**PROBLEM, "deadline_s": 1e-13, "blocks": {"a": 1, "b": 1, "c": 1}}
    document["loading"] = [{"overhead_s": 0, "bytes_per_s": 1e13}]
    costs = {"seconds_per_batch": 0, "seconds_per_task": 0, "max_batch": 1}
    document["models"] = [{"id": "m", "blocks": ["a"], **costs}]
    document["tasks"] = [{"id": "u3", "model": "m", "upload_bits": 0, "bits_per_s_per_hz": 0}]
    batch = {**PLAN["batches"][1], "model": "m", "load_bytes": 1}
    batch.update(dict.fromkeys(("load_s", "compute_s", "start_s", "finish_s"), 0.0))
    plan = {**PLAN, "served": 1, "tasks": 1, "bound": 1, "finish_s": 0.0, "batches": [batch]}
    violations = trunkline.check(trunkline.load(document), plan)
    assert violations == ["batches[0]: load_s is 0, recomputed 1e-13"]


def test_reloading_what_is_resident_is_allowed():
    """A plan may load more than it must (whole-model loading does), at its cost."""
    changes = {"load_bytes": 10, "load_s": 6.0, "finish_s": 15.75}
    whole = {f"batches__1__{name}": value for name, value in changes.items()}
    assert broken(**whole, finish_s=15.75) == []


def test_memory_budget_keeps_what_was_loaded():
    """With room for everything, the third visit loads nothing; evictions make room when told."""
    problem = {**PROBLEM, "memory_bytes": 12, "deadline_s": 40.0}
    problem["tasks"] = [
        *PROBLEM["tasks"],
        {"id": "u4", "model": "m", "upload_bits": 0, "bits_per_s_per_hz": 0},
    ]
    again = {
        "model": "m",
        "tasks": ["u4"],
        "shares": [0.0],
        "load_bytes": 0,
        "upload_s": 0.0,
        "load_s": 0.0,
        "compute_s": 0.75,
        "start_s": 13.75,
        "finish_s": 14.5,
    }
    totals = {"served": 4, "tasks": 4, "bound": 4, "finish_s": 14.5}
    plan = {**PLAN, **totals, "batches": [*PLAN["batches"], again]}
    assert trunkline.check(trunkline.load(problem), plan) == []
    without = trunkline.load({k: v for k, v in problem.items() if k != "memory_bytes"})
    assert any("lacks 2" in v for v in trunkline.check(without, plan))  # b went when n came


def test_a_broken_plan_document_is_no_plan():
    """What is not a plan document is refused with its path, not judged."""
    with pytest.raises(DocumentError, match=r"\$\.batches\[0\]\.start_s"):
        broken(batches__0__start_s=-1.0)


def test_max_reading_is_charged_by_the_longest():
    """Under `upload=\"max\"` a batch's upload is its longest u_k with the whole band."""
    plan = copy.deepcopy(PLAN)
    for name, value in {"upload_s": 3.0, "finish_s": 8.0}.items():
        plan["batches"][0][name] = value
    for name, value in {"start_s": 8.0, "finish_s": 12.75}.items():
        plan["batches"][1][name] = value
    plan["finish_s"] = 12.75
    problem = trunkline.load(PROBLEM)
    assert trunkline.check(problem, plan, upload="max") == []
    assert any("upload_s is 3" in violation for violation in trunkline.check(problem, plan))


# The same plan with overlap: n's tasks upload in no time at 4, its load begins when m's is over, at
# 8, and ends at 12; m has ended at 9, so n computes from 12 to 12.75.
OVERLAPPING = {
    **PLAN,
    "finish_s": 12.75,
    "batches": [
        {**PLAN["batches"][0], "load_start_s": 4.0, "compute_start_s": 8.0},
        {
            **PLAN["batches"][1],
            "start_s": 4.0,
            "load_start_s": 8.0,
            "compute_start_s": 12.0,
            "finish_s": 12.75,
        },
    ],
}


def overlapping(number: int = 1, problem: dict | None = None, **changes: object) -> list[str]:
    """The violations of the overlapping plan with one batch changed."""
    plan = copy.deepcopy(OVERLAPPING)
    plan["batches"][number].update(changes)
    plan["finish_s"] = plan["batches"][1]["finish_s"]
    return trunkline.check(trunkline.load({**PROBLEM, "overlap": True, **(problem or {})}), plan)


def test_an_overlapping_plan_made_by_hand_holds():
    """It holds where overlap is allowed, so does the one without overlap, and neither is beaten."""
    assert overlapping() == []
    problem = trunkline.load({**PROBLEM, "overlap": True})
    assert trunkline.check(problem, PLAN) == []
    assert trunkline.plan(problem, "exhaustive").finish_s <= 12.75
    assert any(
        "does not allow it" in v for v in trunkline.check(trunkline.load(PROBLEM), OVERLAPPING)
    )


def moved(load: float, compute: float, start: float = 4.0) -> dict[str, float]:
    """The second batch with its steps begun at other times."""
    return {
        "start_s": start,
        "load_start_s": load,
        "compute_start_s": compute,
        "finish_s": compute + 0.75,
    }


def test_steps_that_overlap_too_much_are_found():
    """Uploads, loads and computations that begin too early, each alone."""
    assert overlapping(**moved(8.0, 12.0, start=3.0)) == ["batches[1]: starts at 3 s, before 4 s"]
    assert overlapping(**moved(7.0, 12.0)) == ["batches[1]: loads at 7 s, before 8 s"]
    assert overlapping(**moved(8.0, 11.0)) == ["batches[1]: computes at 11 s, before 12 s"]
    assert overlapping(finish_s=12.0) == ["batches[1]: finish_s is 12, recomputed 12.75"]
    arrives = {"tasks": [*PROBLEM["tasks"][:2], {**PROBLEM["tasks"][2], "arrival_s": 5.0}]}
    assert overlapping(problem=arrives) == ["batches[1]: starts at 4 s, before 5 s"]


def test_only_one_batch_is_loaded_ahead():
    """The third load waits until the first batch has ended."""
    tasks = [*PROBLEM["tasks"], {**PROBLEM["tasks"][2], "id": "u4"}]
    third = {
        **OVERLAPPING["batches"][1],
        "tasks": ["u4"],
        "load_bytes": 0,
        "load_s": 0.0,
        "load_start_s": 12.0,
        "compute_start_s": 19.75,
        "finish_s": 20.5,
    }
    first = {**OVERLAPPING["batches"][0], "compute_start_s": 18.0, "finish_s": 19.0}
    second = {**OVERLAPPING["batches"][1], "compute_start_s": 19.0, "finish_s": 19.75}
    totals = {"served": 4, "tasks": 4, "bound": 4, "finish_s": 20.5}
    plan = {**OVERLAPPING, **totals, "batches": [first, second, third]}
    problem = trunkline.load({**PROBLEM, "overlap": True, "tasks": tasks, "deadline_s": 30.0})
    assert trunkline.check(problem, plan) == ["batches[2]: loads at 12 s, before 19 s"]
    plan["batches"][2] = {**third, "load_start_s": 19.0}
    assert trunkline.check(problem, plan) == []


def test_blocks_in_use_are_not_evicted():
    """While m computes its block b cannot go; a load that waits for m's end may evict it."""
    budget = {"memory_bytes": 10}
    message = "batches[1]: evicts 'b' while the batch before it computes with it"
    assert overlapping(problem=budget, evicted=["b"]) == [message]
    assert overlapping(problem=budget, evicted=["b"], **moved(9.0, 13.0)) == []
    held = "batches[1]: 12 bytes are resident, over the budget of 10"
    assert overlapping(problem=budget, evicted=[]) == [held]


def test_half_an_overlap_is_no_document():
    """The two starts stand together, and moments are not negative."""
    plan = copy.deepcopy(OVERLAPPING)
    del plan["batches"][1]["compute_start_s"]
    with pytest.raises(DocumentError, match=r"\$\.batches\[1\]: .* stand together"):
        trunkline.load_plan(plan)
    plan["batches"][1]["compute_start_s"] = -1.0
    with pytest.raises(DocumentError, match=r"\$\.batches\[1\]\.compute_start_s"):
        trunkline.load_plan(plan)
    with pytest.raises(DocumentError, match=r"\$\.overlap"):
        trunkline.load({**PROBLEM, "overlap": "yes"})


def test_overlapping_plans_and_problems_round_trip():
    """Documents of both read back as themselves."""
    plan = trunkline.load_plan(OVERLAPPING)
    assert plan.overlaps
    assert trunkline.load_plan(plan.to_dict()) == plan
    assert not trunkline.load_plan(PLAN).overlaps
    problem = trunkline.load({**PROBLEM, "overlap": True})
    assert trunkline.load(problem_to_document(problem)).overlap
    assert "overlap" not in problem_to_document(trunkline.load(PROBLEM))
