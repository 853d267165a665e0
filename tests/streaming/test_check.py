"""The checker refuses whatever breaks a definition, and says what."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

import trunkline
from trunkline.errors import DocumentError, PlanningError
from trunkline.streaming import METHODS

USER = {
    "id": "u1",
    "models": ["m"],
    "bits_per_s_per_hz": 4.0,
    "deadline_s": 1.6,
    "samples": 1,
    "device": {"hz": 1e9, "cycles_per_flop": 1.0, "joule_per_cycle_hz2": 1e-27},
    "energy_j": 0.6,
}
PROBLEM = {
    "format": "trunkline/streaming-problem/1",
    "bandwidth_hz": 1e7,
    "resource_blocks": None,
    "models": [
        {
            "id": "m",
            "accuracy": 0.8,
            "layers": [
                {"bits": 8e6, "flop": 2e8, "block": "trunk"},
                {"bits": 16e6, "flop": 3e8},
                {"bits": 16e6, "flop": 1e8},
            ],
        },
        {"id": "n", "accuracy": 0.3, "layers": [{"bits": 0.0, "flop": 0.0}]},
    ],
    "users": [USER, {**USER, "id": "u2", "models": ["n"], "min_accuracy": 0.2}],
    "multicast": [{"id": "g", "users": ["u2"], "blocks": ["trunk"]}],
}
# At 40 Mbit/s and a share of 2/3 the layers arrive at .3, .9 and 1.5 s; at 1 GHz they take .2, .3
# and .1 s, so they end at .5, 1.2 and 1.6, and take 1e-27 * 6e8 * 1e18 = .6 J.
SERVED = {
    "id": "u1",
    "model": "m",
    "share": 2 / 3,
    "speeds": [1.0, 1.0, 1.0],
    "layer_finish_s": [0.5, 1.2, 1.6],
    "finish_s": 1.6,
    "energy_j": 0.6,
}
NOTHING = {
    "id": "u2",
    "model": "n",
    "share": 0.0,
    "speeds": [1.0],
    "layer_finish_s": [0.0],
    "finish_s": 0.0,
    "energy_j": 0.0,
}
PLAN = {
    "format": "trunkline/streaming-plan/1",
    "method": "by hand",
    "served": 2,
    "proven": False,
    "solve_s": 0.0,
    "users": [SERVED, NOTHING],
}


def test_a_plan_made_by_hand_holds():
    """The plan worked out in the comment has no violation."""
    assert trunkline.check(trunkline.load(PROBLEM), PLAN) == []


FIRST, SECOND = ("users", 0), ("users", 1)

TAMPERED = {
    "no user": ((*FIRST, "id"), "u9", "no user 'u9'"),
    "served twice": ((*SECOND, "id"), "u1", "user 'u1' is served 2 times"),
    "no model": ((*FIRST, "model"), "x", "no model 'x'"),
    "a model it does not take": ((*SECOND, "model"), "m", "does not take the model 'm'"),
    "share too small": ((*FIRST, "share"), 0.6, "layer_finish_s[0] is 0.5, recomputed 0.533"),
    "shares over 1": ((*SECOND, "share"), 0.34, "the shares sum to 1.00666666667, over 1"),
    "a speed of 0": ((*FIRST, "speeds", 1), 0.0, "speeds[1] is 0, not over 0"),
    "over the top speed": ((*FIRST, "speeds", 1), 1.1, "speeds[1] is 1.1, not over 0 and at"),
    "slower than told": ((*FIRST, "speeds", 2), 0.9, "layer_finish_s[2] is 1.6, recomputed 1.61"),
    "a speed too few": ((*FIRST, "speeds"), [1.0, 1.0], "give a speed and an end for each"),
    "ends too early": ((*FIRST, "layer_finish_s", 1), 1.1, "layer_finish_s[1] is 1.1, recomp"),
    "answers too early": ((*FIRST, "finish_s"), 1.5, "finish_s is 1.5, recomputed 1.6"),
    "takes more energy": ((*FIRST, "energy_j"), 0.5, "energy_j is 0.5, recomputed 0.6"),
    "waits for the whole": ((*FIRST, "transfers"), [3], "u1' has its answer at 2.1 s, after 1.6"),
    "transfers of too few": ((*FIRST, "transfers"), [1, 1], "have to sum to the 3 layers"),
    "no stream": ((*SECOND, "multicast"), "g", "no multicast stream 'g'"),
    "served": (("served",), 3, "served is 3, the plan has 2 users"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_plans_are_refused(name):
    """A changed value is found, with the place and the reason."""
    path, value, reason = TAMPERED[name]
    plan = copy.deepcopy(PLAN)
    place = plan
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert any(reason in fault for fault in trunkline.check(trunkline.load(PROBLEM), plan))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("deadline_s", 1.5, "has its answer at 1.6 s, after 1.5 s"),
        ("energy_j", 0.5, "takes 0.6 J, over 0.5 J"),
        ("fixed_j", 0.1, "takes 0.7 J, over 0.6 J"),
        ("tail_s", 0.1, "has its answer at 1.7 s, after 1.6 s"),
        ("copy_s", 0.2, "layer_finish_s[0] is 0.5, recomputed 0.7"),
        ("fixed_s", [0.1, 0, 0], "layer_finish_s[0] is 0.5, recomputed 0.6"),
        ("first_byte_s", 0.1, "layer_finish_s[0] is 0.5, recomputed 0.6"),
        ("ready_s", 0.4, "layer_finish_s[0] is 0.5, recomputed 0.6"),
        ("min_accuracy", 0.9, "model 'm' has accuracy 0.8, below 0.9"),
        ("cached", {"m": [True, False, False]}, "layer_finish_s[0] is 0.5, recomputed 0.2"),
    ],
)
def test_a_plan_for_another_problem_is_refused(field, value, reason):
    """Every field of a user has its say."""
    problem = copy.deepcopy(PROBLEM)
    problem["users"][0][field] = value
    assert any(reason in fault for fault in trunkline.check(trunkline.load(problem), PLAN))


def test_resource_blocks_are_whole():
    """Two thirds of the band are 6.67 of ten blocks, and 2 of three."""
    tens = trunkline.load({**PROBLEM, "resource_blocks": 10})
    assert any("is 6.66666667 resource blocks" in fault for fault in trunkline.check(tens, PLAN))
    assert trunkline.check(trunkline.load({**PROBLEM, "resource_blocks": 3}), PLAN) == []


def test_a_multicast_stream_has_to_reach_its_listeners():
    """A stream is for its group, at a rate that the weakest link carries, in its band."""
    problem = copy.deepcopy(PROBLEM)
    problem["multicast"][0]["users"] = ["u1"]
    # At a third of the band the stream sends the first layer in .6 s; at two thirds the others are
    # there at .6 and 1.2 s. They end at .6 + .2, .8 + .3 and 1.2 + .1.
    stream = {"id": "g", "share": 1 / 3, "bits_per_s_per_hz": 4.0}
    user = {**SERVED, "multicast": "g", "layer_finish_s": [0.8, 1.1, 1.3], "finish_s": 1.3}
    plan = {**PLAN, "users": [user, NOTHING], "multicast": [stream]}

    def faults(**changes):
        changed = {**plan, "multicast": [{**stream, **changes}]}
        return trunkline.check(trunkline.load(problem), changed)

    assert faults() == []
    assert any("user 'u1' has 4" in fault for fault in faults(bits_per_s_per_hz=4.1))
    assert any("the shares sum" in fault for fault in faults(share=0.4))
    assert any("no multicast group 'h'" in fault for fault in faults(id="h"))
    elsewhere = trunkline.check(trunkline.load(PROBLEM), plan)  # there u2 alone is in the group
    assert any("user 'u1' is not in the group 'g'" in fault for fault in elsewhere)


def test_figures_that_are_no_numbers_are_refused():
    """A plan object with a NaN is refused before anything else is judged."""
    plan = trunkline.load_plan(PLAN)
    broken = replace(plan, users=(replace(plan.users[0], share=float("nan")),))
    assert trunkline.check(trunkline.load(PROBLEM), broken) == [
        "users[0]: a figure is not a finite number"
    ]


def test_plans_of_other_problems_are_refused():
    """A loading plan is no answer to a streaming problem."""
    other = {"format": "trunkline/loading-plan/1", "method": "x", "served": 0, "tasks": 0,
             "bound": 0, "proven": True, "solve_s": 0, "finish_s": 0, "batches": []}  # fmt: skip
    with pytest.raises(PlanningError, match="a streaming problem takes a StreamingPlan"):
        trunkline.check(trunkline.load(PROBLEM), other)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "exhaustive"])
def test_plans_survive_their_document(method):
    """A plan written as a document and read again is the same plan."""
    plan = trunkline.plan(trunkline.load({**PROBLEM, "multicast": []}), method)
    assert trunkline.load_plan(plan.to_dict()) == plan


def test_multicast_plans_survive_their_document():
    """Streams and who hears them are in the plan document."""
    problem = copy.deepcopy(PROBLEM)
    more = [{**USER, "id": name, "energy_j": None, "deadline_s": 60.0} for name in "abc"]
    problem["users"] = more
    problem["bandwidth_hz"] = 4e5
    problem["multicast"] = [{"id": "g", "users": ["a", "b", "c"], "blocks": ["trunk"]}]
    plan = trunkline.plan(trunkline.load(problem))
    assert plan.multicast
    assert trunkline.load_plan(plan.to_dict()) == plan


def test_plan_documents_are_read_strictly():
    """A negative share is an error of the document, with its path."""
    plan = copy.deepcopy(PLAN)
    plan["users"][0]["share"] = -0.1
    with pytest.raises(DocumentError, match=r"\$\.users\[0\]\.share"):
        trunkline.load_plan(plan)
