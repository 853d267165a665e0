"""Tables under a residency rule: against brute force, and where the paper's theorems end."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest

import trunkline
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task
from trunkline.loading.document import problem_to_document
from trunkline.loading.residency import ResidencyTable, TooManyStatesError
from trunkline.loading.service import Reading, service_of


def budgeted(make_problem, seed: int, sharing: str) -> LoadingProblem:
    """A tiny problem with a memory budget, residents, or both."""
    rng = random.Random(seed)
    document = problem_to_document(make_problem(seed, sharing, seed % 3 == 0))
    document["tasks"] = document["tasks"][:5]
    if rng.random() < 0.8:
        document["memory_bytes"] = rng.choice([3, 5, 8, 10, 13, 15, 20, 30])
    if rng.random() < 0.5:
        document["resident"] = [b for b in document["blocks"] if rng.random() < 0.4]
    return trunkline.load(document)


@pytest.mark.parametrize("upload", ["sum", "max"])
@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_equals_brute_force(make_problem, sharing, upload):
    """With a budget and residents `optimal` serves as many as brute force, and ends as early."""
    for seed in range(150):
        problem = budgeted(make_problem, seed, sharing)
        best = trunkline.plan(problem, "exhaustive", upload=upload)
        plan = trunkline.plan(problem, upload=upload)
        assert (plan.served, plan.proven) == (best.served, True), seed
        assert plan.finish_s == pytest.approx(best.finish_s, abs=1e-9), seed
        assert trunkline.check(problem, plan, upload=upload) == [], seed


def least_load_s(problem: LoadingProblem) -> float:
    """The least load time of any sequence of visits to all models, with any evictions at all."""
    library = problem.library
    least = {(frozenset[int](), problem.resident): 0.0}
    waiting = list(least)
    while waiting:
        state = waiting.pop()
        for model, needs in enumerate(library.block_sets):
            seconds = least[state] + problem.loading.seconds(library.bytes_of(needs - state[1]))
            others = sorted(state[1] - needs)
            for count in range(len(others) + 1):
                for stay in combinations(others, count):
                    after = (state[0] | {model}, needs.union(stay))
                    if library.bytes_of(after[1]) <= (problem.memory_bytes or 0) and (
                        after not in least or seconds < least[after]
                    ):
                        least[after] = seconds
                        waiting.append(after)
    return min(seconds for (seen, _), seconds in least.items() if len(seen) == len(library))


def visits_only(
    holds: dict[str, str], budget: float, *, overhead_s: float = 0.0, **sizes: float
) -> LoadingProblem:
    """One task a model, no upload, no compute; blocks of one byte unless said."""
    blocks = {b: sizes.get(b, 1.0) for held in holds.values() for b in held}
    return LoadingProblem(
        1e6,
        1.0,
        Link((Stage(1.0, overhead_s),)),
        ModelLibrary(blocks, [Model(m, tuple(held)) for m, held in holds.items()]),
        tuple(LoadingModel(m, 0.0, 0.0, 8) for m in holds),
        tuple(Task(m.lower(), m) for m in holds),
        memory_bytes=budget,
    )


def tables(problem: LoadingProblem) -> ResidencyTable:
    """The table of all models together."""
    service = service_of(problem, Reading())
    models = range(len(problem.models))
    return ResidencyTable(problem, models, service.tables, service.limit_s)


@pytest.mark.parametrize("overhead_s", [0.0, 2.0])
def test_loads_are_least_over_all_sequences(overhead_s):
    """Visiting every model costs no more than the best sequence of any length with any evictions
    (also such that drop more than need be)."""
    rng = random.Random(1)
    for _ in range(60):
        names = "abcde"[: rng.randint(2, 5)]
        holds = {f"M{n}": "".join(b for b in names if rng.random() < 0.6) for n in range(3)}
        sizes = {b: rng.choice([1.0, 2.0, 3.0]) for b in names}
        largest = max(sum(sizes[b] for b in held) for held in holds.values())
        problem = visits_only(holds, largest + rng.randint(0, 3), overhead_s=overhead_s, **sizes)
        table = tables(problem)
        assert table.below is table.table
        assert table.table[3] == pytest.approx(least_load_s(problem))


def test_a_cycle_of_overlaps_gains_from_memory():
    """AB, BC, CD, DA of unit blocks: with room for one model five loads, with room for a third
    block four."""
    ring = {"M1": "ab", "M2": "bc", "M3": "cd", "M4": "da"}
    assert tables(visits_only(ring, 2.0)).table[4] == 5.0  # a is gone when M4 comes
    assert tables(visits_only(ring, 3.0)).table[4] == 4.0  # a stays: every block is loaded once


def test_a_budget_gains_nothing_for_a_burst_of_prefix_sharing(make_problem):
    """One deadline, a trie, nothing resident: room for one model is as good as room for all."""
    for seed in range(60):
        problem = make_problem(seed, "prefix", seed % 2 == 0)
        room = max(problem.library.model_bytes, default=0.0)
        document = problem_to_document(problem)
        tight = trunkline.plan(trunkline.load({**document, "memory_bytes": room}))
        roomy = trunkline.plan(trunkline.load({**document, "memory_bytes": 1e6}))
        served = trunkline.plan(problem).served
        assert (tight.served, roomy.served) == (served, served), seed
        assert (tight.proven, roomy.proven) == (True, True), seed


def test_with_room_for_two_models_no_fewer_are_served_than_without(make_problem):
    """A budget of the two largest models is at least the previous-model rule; so is one of the
    largest; and more budget never serves fewer."""
    for seed in range(80):
        problem = make_problem(seed, "scattered", seed % 2 == 0)
        sizes = sorted(problem.library.model_bytes, reverse=True)
        document = problem_to_document(problem)
        served = trunkline.plan(problem).served
        for budget in (sizes[0], sizes[0] + 1, sum(sizes[:2]), sum(sizes)):
            plan = trunkline.plan(trunkline.load({**document, "memory_bytes": budget}))
            assert plan.proven, seed
            assert plan.served >= served, (seed, budget)
            served = plan.served


def test_with_overhead_one_visit_is_not_enough():
    """Theorem 2.1 ends where a budget meets an overhead: a second visit to A gathers three blocks
    in one load. (The smallest case that we found: seven models, twelve blocks, room for five.)"""
    holds = {"A": "abc", "K": "klmno", "M": "opqrs", "C": "ak", "D": "bp", "E": "cl", "F": "cq"}
    problem = visits_only(holds, 5.0, overhead_s=100.0)
    table = tables(problem)
    assert table.below[7] < table.table[7] - 50.0
    # with a second task for A, and a deadline that only the sequence with two visits meets
    due = float(table.table[7] + table.below[7]) / 2
    twice = replace(problem, deadline_s=due, tasks=(*problem.tasks, Task("a2", "A")))
    assert tables(twice).table.size - 1 < 8
    plan = trunkline.plan(twice)
    assert trunkline.check(twice, plan) == []
    assert (plan.served, plan.proven) == (8, True)
    assert [batch.model for batch in plan.batches].count("A") == 2


def test_splitting_a_block_is_no_longer_indifferent():
    """Half of a block can stay where the whole cannot: merging blocks that the same models hold
    changes what a budget allows."""
    # a ring of blocks of 2 bytes and room for 5: beside the second model 1 byte is left
    whole = visits_only({"M1": "st", "M2": "tu", "M3": "us"}, 5.0, s=2, t=2, u=2)
    halves = visits_only({"M1": "sStT", "M2": "tTuU", "M3": "uUsS"}, 5.0)
    assert tables(whole).table[3] == 4 + 2 + 2  # s goes for u
    assert tables(halves).table[3] == 4 + 2 + 1  # half of s stays


def test_residents_couple_components():
    """Blocks that wait for their turn stand in another component's way: solved together."""
    # Apart, both components could start with their resident; together one has to give way.
    holds = {"A": "as", "B": "psq", "C": "bt", "D": "utv"}
    rng = random.Random(0)
    coupled = 0
    for _ in range(40):
        sizes = {b: float(rng.choice([1, 2, 3, 4])) for b in "aspqbtuv"}
        largest = max(sum(sizes[b] for b in held) for held in holds.values())
        problem = visits_only(holds, largest + rng.randint(0, 2), **sizes)
        document = {**problem_to_document(problem), "resident": ["a", "b"]}
        joint = trunkline.load(document)
        best = trunkline.plan(joint, "exhaustive")
        plan = trunkline.plan(joint)
        assert (plan.served, plan.proven) == (best.served, True)
        assert plan.finish_s == pytest.approx(best.finish_s)
        whole = sum(sizes.values())
        coupled += plan.finish_s > whole - sizes["a"] - sizes["b"] + 1e-9
    assert coupled > 0


def test_too_many_states_are_given_up():
    """Twelve models over many blocks are not begun, or given up, and planned otherwise."""
    rng = random.Random(0)
    names = [chr(ord("a") + n) for n in range(20)]
    holds = {f"M{n}": "".join(b for b in names if rng.random() < 0.5) for n in range(12)}
    sizes = {b: float(rng.randint(1, 99)) for b in names}
    problem = visits_only(
        holds, 1.3 * max(sum(sizes[b] for b in h) for h in holds.values()), **sizes
    )
    with pytest.raises(TooManyStatesError):
        tables(problem)
    plan = trunkline.plan(trunkline.load({**problem_to_document(problem), "deadline_s": 700.0}))
    assert (
        trunkline.check(trunkline.load({**problem_to_document(problem), "deadline_s": 700.0}), plan)
        == []
    )
    assert plan.bound >= plan.served > 0
