"""`optimal` against brute force, hand cases, and the invariants of the problem."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

import trunkline
from trunkline.library import Component, Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import METHODS, LoadingModel, LoadingProblem, Task
from trunkline.loading.document import problem_to_document
from trunkline.loading.ordered import OrderedTable
from trunkline.loading.parts import line_of
from trunkline.loading.service import Reading, service_of
from trunkline.loading.subsets import SubsetTable
from trunkline.loading.tables import combine
from trunkline.loading.trie import TrieTable


def tiny(
    holds: dict[str, str],
    tasks: dict[str, int],
    deadline_s: float,
    *,
    overhead_s: float = 0.0,
    **sizes: float,
) -> LoadingProblem:
    """One byte a second, no upload and no compute time: only the load counts."""
    blocks = {b: sizes.get(b, 1.0) for held in holds.values() for b in held}
    return LoadingProblem(
        deadline_s,
        1.0,
        Link((Stage(1.0, overhead_s),)),
        ModelLibrary(blocks, [Model(m, tuple(held)) for m, held in holds.items()]),
        tuple(LoadingModel(m, 0.0, 0.0, 8) for m in holds),
        tuple(Task(f"{m}-{k}", m) for m, count in tasks.items() for k in range(count)),
    )


@pytest.mark.parametrize("upload", ["sum", "max"])
@pytest.mark.parametrize("overhead", [False, True])
@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_equals_brute_force(make_problem, sharing, overhead, upload):
    """On hundreds of tiny problems `optimal` serves as many as brute force, and ends as early."""
    for seed in range(100):
        problem = make_problem(seed, sharing, overhead)
        best = trunkline.plan(problem, "exhaustive", upload=upload)
        plan = trunkline.plan(problem, upload=upload)
        assert (plan.served, plan.proven) == (best.served, True), seed
        assert plan.finish_s == pytest.approx(best.finish_s, abs=1e-9), seed
        assert trunkline.check(problem, plan, upload=upload) == [], seed


def test_prefix_order_by_hand():
    """Three models on a two-level trie load each block once, in any subset that pays."""
    # a=10 shared by all, b=5 by m1 and m2; own x=1, y=2, z=4: all together 10+5+1+2+4 = 22
    problem = tiny(
        {"m1": "abx", "m2": "aby", "m3": "az"},
        {"m1": 1, "m2": 1, "m3": 1},
        22.0,
        a=10,
        b=5,
        x=1,
        y=2,
        z=4,
    )
    plan = trunkline.plan(problem)
    assert (plan.served, plan.finish_s, plan.proven) == (3, 22.0, True)
    # one second less: two of them, the cheapest two: m1 after m3 or before, 10 + 4 + 5 + 1 = 20;
    # m1 and m2: 10 + 5 + 1 + 2 = 18
    late = trunkline.plan(replace(problem, deadline_s=21.9))
    assert (late.served, late.finish_s) == (2, 18.0)


def test_a_model_inside_another_comes_after_it_when_loads_have_overhead():
    """A model whose blocks another one holds loads nothing, if it follows that one."""
    # inner = a, outer = a + b; overhead 3: outer then inner costs 3 + 2, the other order 3+1+3+1
    problem = tiny({"inner": "a", "outer": "ab"}, {"inner": 1, "outer": 1}, 5.0, overhead_s=3.0)
    plan = trunkline.plan(problem)
    assert [batch.model for batch in plan.batches] == ["outer", "inner"]
    assert plan.finish_s == 5.0
    assert trunkline.plan(replace(problem, deadline_s=4.9)).served == 1


def test_scattered_order_by_hand():
    """A path of overlaps m1 - m2 - m3 is walked along, whatever the names' order."""
    # m1 = p + x, m2 = p + q, m3 = q + z, all of 4 bytes but x = z = 1: m1 m2 m3 is 5 + 4 + 1
    problem = tiny(
        {"m3": "qz", "m1": "px", "m2": "pqr", "m0": "rw"},
        {"m1": 1, "m2": 1, "m3": 1},
        12.0,
        p=4,
        q=4,
        x=1,
        z=1,
        r=2,
    )
    plan = trunkline.plan(problem)
    # m1 (5), then m2 lacks q and r (6), then m3 lacks z (1); from the other end it is the same
    assert (plan.served, plan.finish_s, plan.proven) == (3, 12.0, True)


def test_slots_are_not_needed():
    """Two clusters of one 5 ms job each fit into 10 ms; slots of 10 ms serve one."""
    problem = tiny({"m1": "a", "m2": "b"}, {"m1": 1, "m2": 1}, 0.010, a=0.005, b=0.005)
    assert trunkline.plan(problem).served == 2
    assert trunkline.plan(problem, "paper", slot_s=0.010).served == 1


def test_max_reading_fills_the_batches_of_slow_uploads():
    """Charged by the longest upload, 1, 2, 10 in batches of two cost 1 + 10, not 2 + 10."""
    problem = tiny({"m": "a"}, {"m": 3}, 11.0, a=0)
    tasks = tuple(Task(f"u{u}", "m", float(u), 1.0) for u in (2, 10, 1))
    problem = replace(problem, tasks=tasks, models=(LoadingModel("m", 0.0, 0.0, 2),))
    plan = trunkline.plan(problem, upload="max")
    assert [batch.tasks for batch in plan.batches] == [("u1",), ("u2", "u10")]
    assert (plan.served, plan.finish_s) == (3, 11.0)


@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_never_below_any_other_method(make_problem, sharing):
    """No method serves more, and every plan of every method passes the checker."""
    for seed in range(150):
        problem = make_problem(seed, sharing, seed % 2 == 0)
        best = trunkline.plan(problem)
        for method in ("search", "greedy", "independent", "equal"):
            plan = trunkline.plan(problem, method)
            assert plan.served <= best.served <= plan.bound, (seed, method)
            assert trunkline.check(problem, plan) == [], (seed, method)
        sums = trunkline.plan(problem, "greedy", slot_s=0.5)
        assert sums.served <= best.served


def test_names_and_order_do_not_matter(make_problem):
    """Renaming and shuffling models, tasks and blocks changes neither count nor finish."""
    for seed in range(60):
        document = problem_to_document(make_problem(seed, "scattered" if seed % 2 else "prefix"))
        plan = trunkline.plan(trunkline.load(document))
        other = trunkline.plan(trunkline.load(renamed(document, random.Random(seed))))
        assert (plan.served, plan.bound) == (other.served, other.bound), seed
        assert plan.finish_s == pytest.approx(other.finish_s, rel=1e-12), seed


def renamed(document: dict, rng: random.Random) -> dict:
    """The same problem under other names, in another order."""
    new = {name: f"x{rng.random()}" for name in document["blocks"]}
    models = {model["id"]: f"y{rng.random()}" for model in document["models"]}
    document = {
        **document,
        "blocks": {new[b]: size for b, size in document["blocks"].items()},
        "models": [
            {
                **m,
                "id": models[m["id"]],
                "blocks": rng.sample([new[b] for b in m["blocks"]], len(m["blocks"])),
            }
            for m in document["models"]
        ],
        "tasks": [
            {**t, "id": f"z{rng.random()}", "model": models[t["model"]]} for t in document["tasks"]
        ],
    }
    rng.shuffle(document["models"])
    rng.shuffle(document["tasks"])
    return document


def test_splitting_a_block_changes_nothing(make_problem):
    """A block cut in two that always stand together leaves the optimum where it was."""
    for seed in range(60):
        problem = make_problem(seed, "scattered", True)
        document = problem_to_document(problem)
        halves = {f"{b}/{h}": size / 2 for b, size in document["blocks"].items() for h in "12"}
        models = [
            {**m, "blocks": [f"{b}/{h}" for b in m["blocks"] for h in "12"]}
            for m in document["models"]
        ]
        other = trunkline.plan(trunkline.load({**document, "blocks": halves, "models": models}))
        plan = trunkline.plan(problem)
        assert (plan.served, plan.finish_s) == (other.served, pytest.approx(other.finish_s)), seed


@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_more_of_anything_never_serves_fewer(make_problem, sharing):
    """More time, bandwidth, link rate, batch size or sharing: never fewer."""
    for seed in range(80):
        problem = make_problem(seed, sharing, True)
        served = trunkline.plan(problem).served
        fewer_blocks = dict(problem.library.blocks)
        if fewer_blocks:
            fewer_blocks[min(fewer_blocks)] = 0.0  # as good as shared by all
        faster = tuple(Stage(2 * s.bytes_per_s, s.overhead_s / 2) for s in problem.loading.stages)
        for better in (
            replace(problem, deadline_s=1.5 * problem.deadline_s),
            replace(problem, bandwidth_hz=2 * problem.bandwidth_hz),
            replace(problem, loading=Link(faster)),
            replace(problem, models=tuple(replace(m, max_batch=9) for m in problem.models)),
            replace(problem, library=ModelLibrary(fewer_blocks, problem.library.models)),
        ):
            assert trunkline.plan(better).served >= served, seed


def test_the_same_problem_gives_the_same_plan(make_problem):
    """Planning is deterministic, to the byte."""
    for seed in range(20):
        plans = [trunkline.plan(make_problem(seed)).to_dict() for _ in "ab"]
        for plan in plans:
            del plan["solve_s"]
        assert plans[0] == plans[1]


DEGENERATE = {
    "no tasks": ({"m": "a"}, {}, 5.0, 0),
    "no models": ({}, {}, 5.0, 0),
    "a model no one asks for": ({"m": "a", "n": "ab"}, {"m": 1}, 1.0, 1),
    "deadline 0": ({"m": "a"}, {"m": 1}, 0.0, 0),
    "deadline 0, nothing to load": ({"m": ""}, {"m": 2}, 0.0, 2),
    "a model with no blocks beside others": ({"m": "", "n": "a"}, {"m": 1, "n": 1}, 1.0, 2),
    "two models of the same blocks": ({"m": "ab", "n": "ba"}, {"m": 1, "n": 1}, 2.0, 2),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize(
    "method",
    ["optimal", "search", "milp", "greedy", "independent", "equal", "exhaustive", "paper"],
)
def test_degenerate_problems(case, method):
    """Empty and extreme problems have plans that hold; the optimum is as counted by hand."""
    holds, tasks, deadline_s, most = DEGENERATE[case]
    problem = tiny(holds, tasks, deadline_s)
    plan = trunkline.plan(problem, method)
    assert trunkline.check(problem, plan) == []
    assert plan.served <= most
    if method in ("optimal", "milp", "exhaustive"):
        assert (plan.served, plan.proven) == (most, True)


@pytest.mark.parametrize("fault", ["bandwidth", "link"])
def test_no_band_or_no_link_is_never_served(fault):
    """A task that cannot upload is left out; one with nothing to upload is served all the same."""
    problem = tiny({"m": "a"}, {"m": 1}, 5.0)
    tasks = (Task("mute", "m", 8.0, 0.0 if fault == "link" else 1.0), Task("local", "m"))
    band = 0.0 if fault == "bandwidth" else 1.0
    problem = replace(problem, tasks=tasks, bandwidth_hz=band)
    for method in METHODS:
        plan = trunkline.plan(problem, method)
        assert [batch.tasks for batch in plan.batches] == [("local",)], method


@pytest.mark.parametrize("method", ["optimal", "search", "milp", "greedy", "independent"])
def test_a_link_that_moves_nothing_serves_models_without_blocks(method, monkeypatch):
    """Where no byte can be loaded, only models that need none are served, scattered or not."""
    monkeypatch.setattr("trunkline.loading.parts.fits", lambda tasks: False)
    holds = {"none": "", "s1": "pq", "s2": "qr", "s3": "rp", "inside": "p"}
    problem = replace(tiny(holds, dict.fromkeys(holds, 1), 9.0), loading=Link((Stage(0.0),)))
    plan = trunkline.plan(problem, method)
    assert [batch.model for batch in plan.batches] == ["none"]


def test_components_of_both_kinds_combine():
    """A trie, a scattered component and a lone model are solved apart and combined exactly."""
    holds = {"t1": "ax", "t2": "ay", "s1": "pq", "s2": "qr", "s3": "rp", "lone": "z"}
    for deadline in range(0, 14):
        problem = tiny(holds, dict.fromkeys(holds, 1), float(deadline))
        best = trunkline.plan(problem, "exhaustive")
        plan = trunkline.plan(problem)
        assert (plan.served, plan.finish_s, plan.proven) == (best.served, best.finish_s, True)


def test_trie_and_subset_tables_agree(make_problem):
    """Two exact methods that share no step give one table on prefix sharing."""
    for seed in range(60):
        problem = make_problem(seed, "prefix", True)
        service = service_of(problem, Reading())
        for component in problem.library.components:
            args = (problem.library, problem.loading, service.limit_s)
            trie = TrieTable(component.trie, service.tables, problem.loading, service.limit_s)
            subsets = SubsetTable(component.models, service.tables, *args)
            assert trie.table == pytest.approx(subsets.table), seed


def test_deep_chains_do_not_overflow():
    """A thousand levels of sharing are no problem."""
    holds, blocks = [], {}
    for level in range(1000):
        blocks[f"s{level}"] = 1.0
        holds.append(Model(f"m{level}", tuple(f"s{k}" for k in range(level + 1))))
    problem = LoadingProblem(
        1000.0,
        1.0,
        Link((Stage(1.0),)),
        ModelLibrary(blocks, holds),
        tuple(LoadingModel(m.id, 0.0, 0.0, 1) for m in holds),
        tuple(Task(m.id, m.id) for m in holds),
    )
    plan = trunkline.plan(problem)
    assert (plan.served, plan.finish_s) == (1000, 1000.0)


def large_scattered(models: int, tasks: int, seed: int) -> LoadingProblem:
    """A component too large for the subset tables."""
    rng = random.Random(seed)
    blocks = {f"b{b}": float(rng.randint(1, 9)) for b in range(60)}
    held = [Model(f"m{i}", tuple(rng.sample(sorted(blocks), 25))) for i in range(models)]
    return LoadingProblem(
        40.0 * models * rng.uniform(0.2, 0.7),
        1.0,
        Link((Stage(1.0),)),
        ModelLibrary(blocks, held),
        tuple(LoadingModel(m.id, 0.5, 0.1, 4) for m in held),
        tuple(Task(f"u{k}", f"m{rng.randrange(models)}", 1.0, 2.0) for k in range(tasks)),
    )


def test_what_is_not_proven_is_said():
    """Out of time, a large scattered component gets a plan that holds, and a bound that the optimum
    meets; in time, it is proven, and no method serves more."""
    for seed in range(6):
        problem = large_scattered(24, 120, seed)
        best = trunkline.plan(problem)
        assert best.proven
        for method in ("greedy", "independent", "search"):
            assert trunkline.plan(problem, method).served <= best.served
        for time_limit_s in (0.0, 0.02):
            plan = trunkline.plan(problem, time_limit_s=time_limit_s)
            assert trunkline.check(problem, plan) == []
            assert plan.served <= best.served <= plan.bound
            assert plan.proven == (plan.served == plan.bound)


@pytest.mark.parametrize("overhead", [False, True])
@pytest.mark.parametrize("upload", ["sum", "max"])
@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_the_branch_and_cut_equals_brute_force(
    make_problem, monkeypatch, sharing, overhead, upload
):
    """With all tables shut, the search and the proof find what brute force does, and prove it."""
    monkeypatch.setattr("trunkline.loading.parts.fits", lambda tasks: False)
    monkeypatch.setattr("trunkline.loading.parts.line_of", lambda *arguments: None)
    monkeypatch.setattr(Component, "trie", None)
    for seed in range(100):
        problem = make_problem(seed, sharing, overhead)
        best = trunkline.plan(problem, "exhaustive", upload=upload).served
        plan = trunkline.plan(problem, upload=upload)
        assert trunkline.check(problem, plan, upload=upload) == [], seed
        assert (plan.served, plan.bound) == (best, best), seed


def test_the_order_of_models_does_not_show():
    """Shuffling the models of a large scattered component leaves count and bound as they were."""
    for seed in range(4):
        problem = large_scattered(24, 120, seed)
        order = list(range(24))
        random.Random(seed).shuffle(order)
        library = ModelLibrary(problem.library.blocks, [problem.library.models[i] for i in order])
        other = replace(problem, library=library, models=tuple(problem.models[i] for i in order))
        one, two = trunkline.plan(problem), trunkline.plan(other)
        assert (one.served, one.bound) == (two.served, two.bound), seed


def test_a_large_ring_with_dear_batches():
    """23 models in a ring, each sharing a block with its neighbours, and batches of 5 s: every plan
    holds (a visit's first task is charged as much as any other)."""
    models = [Model(f"m{i}", (f"b{i}", f"b{(i + 1) % 23}")) for i in range(23)]
    problem = LoadingProblem(
        20.0,
        1.0,
        Link((Stage(1.0),)),
        ModelLibrary({f"b{i}": 1.0 for i in range(23)}, models),
        tuple(LoadingModel(m.id, 5.0, 0.0, 1) for m in models),
        tuple(Task(f"u{i}", f"m{i}") for i in range(23)),
    )
    plan = trunkline.plan(problem)
    assert trunkline.check(problem, plan) == []
    # 2 + 5 s for the first, 1 + 5 for each neighbour after it: three end at 19 s
    assert (plan.served, plan.finish_s) == (3, 19.0)


def test_combination_of_tables_by_hand():
    """min-plus: the k-th entry is the least sum of entries whose counts add up to k."""
    # (0, 1, 5) and (0, 2, 3): 1 task min(1, 2); 2 tasks min(5, 1+2, 3); 3 tasks min(5+2, 1+3); 4: 8
    found = combine(np.array([0.0, 1, 5]), np.array([0.0, 2, 3]), 100.0)
    assert found.tolist() == [0, 1, 3, 4, 8]
    assert combine(np.array([0.0, 1, 5]), np.array([0.0, 2, 3]), 3.5).tolist() == [0, 1, 3]
    # one that must serve a task: its first entry counts too
    assert combine(np.array([0.0, 1, 5]), np.array([2.0, 3]), 100.0).tolist() == [2, 3, 4, 8]
    assert combine(np.array([0.0, 1]), np.array([2.0]), 100.0).tolist() == [2, 3]


def interval_problem(seed: int, overhead_s: float, models: int = 7) -> LoadingProblem:
    """Every block is held by some models that stand together in a hidden order."""
    rng = random.Random(seed)
    hidden = rng.sample(range(models), models)
    holds: list[list[str]] = [[] for _ in range(models)]
    blocks = {}
    for b in range(2 * models):
        first = rng.randrange(models)
        blocks[f"b{b}"] = rng.uniform(0.5, 3.0)
        for i in hidden[first : first + rng.randint(1, 4)]:
            holds[i].append(f"b{b}")
    if seed % 2:  # no model inside another
        for i, held in enumerate(holds):
            blocks[f"own{i}"] = 0.5
            held.append(f"own{i}")
    return LoadingProblem(
        rng.uniform(0.2, 0.9) * sum(blocks.values()),
        1.0,
        Link((Stage(1.0, overhead_s),)),
        ModelLibrary(blocks, [Model(f"m{i}", tuple(held)) for i, held in enumerate(holds)]),
        tuple(LoadingModel(f"m{i}", 0.2, 0.1, 2) for i in range(models)),
        tuple(Task(f"u{k}", f"m{rng.randrange(models)}", 0.3, 1.0) for k in range(3 * models)),
    )


@pytest.mark.parametrize("overhead_s", [0.0, 0.5])
def test_consecutive_ones_orders_are_exact(overhead_s):
    """Where every block's models stand together in one order, planning along it is exact: as many
    as by subsets, and as early."""
    lines = 0
    for seed in range(80):
        problem = interval_problem(seed, overhead_s)
        service = service_of(problem, Reading())
        args = (service.tables, problem.library, problem.loading, service.limit_s)
        for component in problem.library.components:
            asked = [i for i in component.models if service.tables[i].size > 1]
            for part in component.restricted(asked):
                order = line_of(part, service, problem.loading)
                if order is not None:
                    line, subsets = OrderedTable(order, *args), SubsetTable(part.models, *args)
                    assert line.table == pytest.approx(subsets.table), seed
                    lines += part.trie is None
    assert lines > 20


def test_nested_models_and_overhead_have_no_best_order():
    """Blocks a, b, c of one byte, an overhead of 2 s, models i = a, j = ab, k = bc, l = c. In line
    i, j, k and l, or l, k, j and i, take 3 + 3 + 3 + 0 s. But k, l, j, i take 4 + 0 + 4 + 0: b is
    loaded twice, and two visits are free. So the line is not used with overhead."""
    holds = {"i": "a", "j": "ab", "k": "bc", "l": "c"}
    problem = tiny(holds, dict.fromkeys(holds, 1), 11.0, overhead_s=2.0)
    service = service_of(problem, Reading())
    component = problem.library.components[0]
    assert line_of(component, service, problem.loading) is None
    without = replace(problem, loading=Link((Stage(1.0),)))
    assert line_of(component, service_of(without, Reading()), without.loading) is not None
    plan = trunkline.plan(problem)
    best = trunkline.plan(problem, "exhaustive")
    assert (plan.served, plan.finish_s) == (best.served, best.finish_s) == (4, 8.0)
