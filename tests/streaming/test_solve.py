"""The methods by name, on problems with every kind of nothing in them."""

from __future__ import annotations

import random
import warnings

import pytest

import trunkline
from tests.streaming.problems import with_shares
from trunkline.errors import TrunklineError, UnknownMethodError
from trunkline.streaming import METHODS, StreamingProblem, check, solve


def test_unknown_methods_and_options_are_refused():
    """A misspelt method names those that exist, and so does an option."""
    problem = with_shares([0.5])
    with pytest.raises(UnknownMethodError, match=r"no method 'optimum'.*download-first.*fcfs"):
        solve(problem, "optimum")
    with pytest.raises(UnknownMethodError, match="'fcfs' has no option 'channels'; it has margin"):
        solve(problem, "fcfs", channels=2)


def test_a_problem_without_users_has_an_empty_plan():
    """Nobody to serve is served, whether or not there is a model."""
    for problem in (
        StreamingProblem(1.0, (), ()),
        StreamingProblem(0.0, with_shares([1.0]).models, ()),
    ):
        for method in METHODS:
            plan = solve(problem, method)
            assert (plan.served, plan.users, check(problem, plan)) == (0, (), [])


def odd_document(rng: random.Random) -> dict:
    """A problem in which any number may be 0: bits, work, rates, speeds' coefficients, times."""

    def some() -> float:
        return rng.choice([0.0, 1.0, rng.uniform(0, 3)])

    models = [
        {
            "id": f"m{i}",
            "accuracy": rng.random(),
            "layers": [{"bits": some(), "flop": some()} for _ in range(rng.randint(1, 4))],
        }
        for i in range(2)
    ]
    for n, layer in enumerate(models[0]["layers"]):
        layer["block"] = f"b{n}"
    users = [
        {
            "id": f"u{k}",
            "models": rng.choice([["m0"], ["m1"], ["m0", "m1"], []]),
            "bits_per_s_per_hz": some(),
            "deadline_s": rng.choice([0.0, rng.uniform(0, 20)]),
            "samples": rng.randint(1, 2),
            "device": {
                "hz": rng.uniform(0.1, 3),
                "cycles_per_flop": some(),
                "joule_per_cycle_hz2": some(),
            },
            "energy_j": rng.choice([None, some()]),
            "fixed_j": rng.choice([0.0, some()]),
            "fixed_s": rng.choice([0.0, some()]),
            "copy_s": rng.choice([0.0, some()]),
            "first_byte_s": rng.choice([0.0, some()]),
            "ready_s": rng.choice([0.0, some()]),
            "tail_s": rng.choice([0.0, some()]),
        }
        for k in range(rng.randint(0, 4))
    ]
    document = {
        "format": "trunkline/streaming-problem/1",
        "bandwidth_hz": some(),
        "resource_blocks": rng.choice([None, 1, 7]),
        "models": models,
        "users": users,
    }
    if rng.random() < 0.3:
        blocks = [layer["block"] for layer in models[0]["layers"]]
        document["multicast"] = [
            {"id": "g", "users": [user["id"] for user in users], "blocks": blocks}
        ]
    return document


@pytest.mark.parametrize("part", range(4))
def test_any_problem_is_planned_or_refused(part):
    """Every method answers with a plan that holds, or with one of our errors, without a warning;
    none serves more than `optimal`, which serves what brute force does."""
    for seed in range(100 * part, 100 * part + 100):
        problem = trunkline.load(odd_document(random.Random(seed)))
        served = {}
        for method in METHODS:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    plan = solve(problem, method)
            except TrunklineError:
                continue
            assert check(problem, plan) == [], (seed, method)
            assert trunkline.load_plan(plan.to_dict()) == plan
            served[method] = plan.served
        if "optimal" in served:
            assert max(served.values()) == served["optimal"], (seed, served)
            assert served.get("exhaustive", served["optimal"]) == served["optimal"], seed
