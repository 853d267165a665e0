"""Streaming problems as documents: round trips, and errors that name the path."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

import trunkline
from tests.streaming.problems import multicast_problem, random_problem, with_shares
from tests.streaming.test_check import PROBLEM
from trunkline.errors import DocumentError
from trunkline.streaming import Layer, MulticastGroup, StreamingModel, User
from trunkline.streaming.document import problem_to_document


@pytest.mark.parametrize("seed", range(6))
def test_problems_survive_their_document(seed):
    """A problem written as a document and read again is the same problem."""
    problems = [random_problem(seed, energy=True, copying=True), multicast_problem(seed)]
    users = tuple(replace(u, weight=dict.fromkeys(u.models, 2.0)) for u in problems[0].users)
    problems.append(replace(problems[0], users=users, resource_blocks=7))
    for problem in problems:
        assert trunkline.load(problem_to_document(problem)) == problem


def test_optional_fields_have_their_defaults():
    """What a document leaves out is no limit, zero, and nothing cached."""
    document = copy.deepcopy(PROBLEM)
    document["users"] = [{k: v for k, v in PROBLEM["users"][0].items() if k != "energy_j"}]
    document["multicast"] = []
    del document["resource_blocks"]
    user = trunkline.load(document).users[0]
    assert (user.energy_j, user.fixed_s, user.copy_s, user.cached) == (None, 0.0, 0.0, {})
    assert (user.first_byte_s, user.ready_s, user.tail_s, user.min_accuracy) == (0, 0, 0, 0)
    assert user.weight == 1.0


def wrong(path, value):
    """The document with one value replaced."""
    document = copy.deepcopy(PROBLEM)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


USER_0 = ("users", 0)


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (("models", 0, "layers"), [], r"\$\.models\[0\]\.layers"),
        (("models", 0, "accuracy"), 1.2, r"\$\.models\[0\]\.accuracy"),
        (("models", 0, "layers", 1, "bits"), -1.0, r"\$\.models\[0\]\.layers\[1\]\.bits"),
        (("models", 0, "layers", 1, "block"), "trunk", "the model has 'trunk' already"),
        (("models", 1, "layers", 0, "block"), "trunk", r"bits: 0, but block 'trunk' has 8e\+06"),
        (("models", 1, "id"), "m", r"\$\.models\[1\]\.id: the id 'm' is already"),
        (("users", 1, "id"), "u1", r"\$\.users\[1\]\.id: the id 'u1' is already"),
        ((*USER_0, "models"), ["x"], r"\$\.users\[0\]\.models\[0\]: no model 'x'"),
        ((*USER_0, "models"), ["m", "m"], r"\$\.users\[0\]\.models\[1\]: 'm' stands twice"),
        ((*USER_0, "samples"), 0, r"\$\.users\[0\]\.samples"),
        ((*USER_0, "device", "hz"), 0.0, r"\$\.users\[0\]\.device\.hz"),
        ((*USER_0, "fixed_s"), [0.1], r"fixed_s: 1 values, but model 'm' has 3 layers"),
        ((*USER_0, "fixed_s"), {"x": [0.1]}, r"\$\.users\[0\]\.fixed_s\.x: no model 'x'"),
        ((*USER_0, "copy_s"), {"m": [0.1]}, r"copy_s\.m: 1 values, but model 'm' has 3"),
        ((*USER_0, "cached"), {"m": [True]}, r"\$\.users\[0\]\.cached\.m: 1 values"),
        ((*USER_0, "weight"), {"n": 1.0}, r"weight: no weight with model 'm'"),
        ((*USER_0, "weight"), {"m": 1.0, "x": 1.0}, r"weight: no model 'x'"),
        ((*USER_0, "colour"), "red", r"\$\.users\[0\].*colour"),
        (("resource_blocks",), 0, r"\$\.resource_blocks"),
        (("bandwidth_hz",), float("nan"), r"\$\.bandwidth_hz: a number must be finite"),
        (("multicast", 0, "users"), ["u9"], r"\$\.multicast\[0\]\.users\[0\]: no user 'u9'"),
        (("multicast", 0, "users"), ["u1", "u1"], r"users\[1\]: user 'u1' is in a group already"),
        (("multicast", 0, "blocks"), ["x"], r"\$\.multicast\[0\]\.blocks\[0\]: no block 'x'"),
        (("multicast", 0, "blocks"), ["trunk", "trunk"], r"blocks\[1\]: 'trunk' stands twice"),
    ],
)
def test_documents_that_cannot_be_used(path, value, error):
    """Each error names the path and what is wrong there."""
    with pytest.raises(DocumentError, match=error):
        trunkline.load(wrong(path, value))


MODEL = StreamingModel("m", 0.8, (Layer(1.0, 1.0, "a"),))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"resource_blocks": 0}, "resource_blocks: at least 1"),
        ({"bandwidth_hz": float("inf")}, "bandwidth_hz: at least 0 and finite"),
        ({"models": (MODEL, MODEL)}, "two models have one id"),
        ({"models": (StreamingModel("m", 0.8, ()),)}, "has no layer"),
        ({"models": (StreamingModel("m", 2.0, MODEL.layers),)}, "accuracy is between 0 and 1"),
        ({"models": (StreamingModel("m", 0.8, MODEL.layers * 2),)}, "has a block twice"),
        ({"models": (StreamingModel("m", 0.8, (Layer(-1.0, 0.0),)),)}, "bits and flop"),
        (
            {"models": (MODEL, StreamingModel("n", 0.8, (Layer(2.0, 1.0, "a"),)))},
            "block 'a' has two sizes",
        ),
        ({"multicast": (MulticastGroup("g", ("u9",), ()),)}, "no user 'u9'"),
        ({"multicast": (MulticastGroup("g", (), ("x",)),)}, "no block 'x'"),
    ],
)
def test_problems_in_python_are_checked_too(changes, error):
    """A problem that is made without a document is refused for the same reasons."""
    with pytest.raises(ValueError, match=error):
        replace(with_shares([0.5]), **changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"models": ("x",)}, "no model 'x'"),
        ({"models": ("m", "m")}, "names a model twice"),
        ({"deadline_s": float("nan")}, "numbers are at least 0 and finite"),
        ({"fixed_s": (0.1, 0.2)}, "give one value a layer"),
        ({"fixed_s": -1.0}, "numbers are at least 0"),
        ({"samples": 0}, "samples at least 1"),
        ({"weight": {}}, "no weight with model 'm'"),
        ({"cached": {"m": (True, False)}}, "give one value a layer"),
    ],
)
def test_users_in_python_are_checked_too(changes, error):
    """So is a user."""
    problem = with_shares([0.5])
    user: User = replace(problem.users[0], **changes)
    with pytest.raises(ValueError, match=error):
        replace(problem, users=(user,))
