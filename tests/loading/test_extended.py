"""Arrivals, own deadlines, a memory budget, and blocks resident at the start."""

from __future__ import annotations

from dataclasses import replace

import pytest

import trunkline
from trunkline.errors import UnsupportedProblemError
from trunkline.loading.document import problem_to_document
from trunkline.loading.extended import extended
from trunkline.loading.line import Line
from trunkline.loading.sequence import BatchSequence
from trunkline.loading.service import Reading


@pytest.mark.parametrize("upload", ["sum", "max"])
def test_equals_brute_force(make_extended, upload):
    """On tiny problems with any optional field `optimal` serves as many as brute force and proves
    it; every method's plan holds, and no bound is below the optimum."""
    for seed in range(150):
        problem = make_extended(seed, tasks=7)
        best = trunkline.plan(problem, "exhaustive", upload=upload)
        assert trunkline.check(problem, best, upload=upload) == [], seed
        plan = trunkline.plan(problem, upload=upload)
        assert (plan.served, plan.proven) == (best.served, True), seed
        for method in ("optimal", "greedy", "independent", "insertion"):
            plan = trunkline.plan(problem, method, upload=upload)
            assert trunkline.check(problem, plan, upload=upload) == [], (seed, method)
            assert plan.served <= best.served <= plan.bound, (seed, method)


def test_a_time_limit_is_used_to_prove(make_extended):
    """With time given the search goes on until it is proved (or the time is over)."""
    for seed in range(5):
        problem = make_extended(seed)
        plan = extended(problem, Reading(), lambda *_: [], time_limit_s=1.0)
        assert plan.served == trunkline.plan(problem, "exhaustive").served
        assert plan.proven
        hurried = extended(problem, Reading(), lambda *_: [], time_limit_s=0.0)
        assert hurried.served <= plan.served <= hurried.bound
        assert trunkline.check(problem, hurried) == []


def base(**changes: object) -> dict:
    """Two models of one block each, loads of 1 s, no upload, no compute."""
    model = {"seconds_per_batch": 0, "seconds_per_task": 0, "max_batch": 4}
    return {
        "format": "trunkline/loading-problem/1",
        "deadline_s": 100.0,
        "bandwidth_hz": 1.0,
        "loading": [{"overhead_s": 0, "bytes_per_s": 1}],
        "blocks": {"a": 1, "b": 1},
        "models": [{"id": "A", "blocks": ["a"], **model}, {"id": "B", "blocks": ["b"], **model}],
        "tasks": [],
        **changes,
    }


def task(name: str, model: str, **more: float) -> dict:
    """A task with nothing to upload."""
    return {"id": name, "model": model, "upload_bits": 0, "bits_per_s_per_hz": 0, **more}


def test_fields_that_change_nothing_cost_nothing(make_problem):
    """Own deadlines equal to the common one, and residents nobody asks for, leave the proof."""
    for seed in range(40):
        problem = make_problem(seed, "scattered" if seed % 2 else "prefix")
        document = problem_to_document(problem)
        for task_ in document["tasks"]:
            task_["deadline_s"] = document["deadline_s"]
        document["blocks"]["spare"] = 1
        document["resident"] = ["spare"]
        plan = trunkline.plan(trunkline.load(document))
        same = trunkline.plan(problem)
        assert (plan.served, plan.proven, plan.finish_s) == (same.served, True, same.finish_s)


@pytest.mark.parametrize("sharing", ["prefix", "scattered"])
def test_relaxing_never_serves_fewer_than_the_plain_optimum(make_problem, sharing):
    """Room for every block, or a later deadline for one task, serves no fewer."""
    for seed in range(80):
        problem = make_problem(seed, sharing, seed % 2 == 0)
        served = trunkline.plan(problem).served
        document = problem_to_document(problem)
        roomy = {**document, "memory_bytes": 1000}
        assert trunkline.plan(trunkline.load(roomy)).served >= served, seed
        if document["tasks"]:
            later = [dict(one) for one in document["tasks"]]
            later[0]["deadline_s"] = 2 * document["deadline_s"]
            relaxed = trunkline.load({**document, "tasks": later})
            assert trunkline.plan(relaxed).served >= served, seed


def test_known_sequences_evict_what_is_used_last():
    """When the order is known, the block that is used again soonest stays."""
    # room for two. Order A B A C: when C comes, A or B may go. Order A B C A: b goes, a stays.
    tasks = [task("a", "A"), task("b", "B"), task("a2", "A"), task("c", "C")]
    document = base(tasks=tasks, memory_bytes=2)
    document["blocks"]["c"] = 1
    document["models"].append({**document["models"][0], "id": "C", "blocks": ["c"]})
    line = Line(trunkline.load(document), Reading())
    sequence = BatchSequence(line, [(0, [0]), (1, [1]), (0, [2]), (2, [3])])
    batches = line.batches(sequence.groups, sequence.kept)
    assert [batch.load_bytes for batch in batches] == [1, 1, 0, 1]
    sequence = BatchSequence(line, [(0, [0]), (1, [1]), (2, [3]), (0, [2])])
    batches = line.batches(sequence.groups, sequence.kept)
    assert [batch.evicted for batch in batches] == [(), (), ("b",), ()]


def test_overlap_never_serves_fewer(make_extended):
    """What runs one after the other may run so when overlap is allowed."""
    more = 0
    for seed in range(80):
        problem = replace(make_extended(seed, tasks=6), overlap=False)
        served = trunkline.plan(problem).served
        overlapping = trunkline.plan(replace(problem, overlap=True))
        assert overlapping.proven, seed
        assert overlapping.served >= served, seed
        more += overlapping.served > served
    assert more > 5


def test_both_models_have_to_fit_to_be_loaded_ahead():
    """A and B of 1 byte each, loads and computations of 1: with room for both B is loaded while A
    computes, and ends at 3; with room for one its load waits for A, and it ends at 4."""
    model = {"seconds_per_batch": 1, "seconds_per_task": 0, "max_batch": 4}
    models = [{"id": "A", "blocks": ["a"], **model}, {"id": "B", "blocks": ["b"], **model}]
    tasks = [task("a", "A"), task("b", "B")]
    document = base(tasks=tasks, models=models, overlap=True)
    for budget, end in ((None, 3.0), (2, 3.0), (1, 4.0)):
        limits = {} if budget is None else {"memory_bytes": budget}
        problem = trunkline.load({**document, **limits, "deadline_s": end})
        for method in ("optimal", "insertion", "exhaustive", "greedy"):
            plan = trunkline.plan(problem, method)
            assert trunkline.check(problem, plan) == []
            assert (plan.served, plan.finish_s) == (2, end), (method, budget)
        late = trunkline.load({**document, **limits, "deadline_s": end - 0.5})
        assert trunkline.plan(late).served == 1


def test_a_budget_can_cost_what_overlap_gains():
    """No budget means that two models' blocks are held; a budget below both forbids that."""
    tasks = [task(name, model) for name, model in (("a", "A"), ("b", "B"))]
    model = {"seconds_per_batch": 1, "seconds_per_task": 0, "max_batch": 4}
    models = [{"id": "A", "blocks": ["a"], **model}, {"id": "B", "blocks": ["b"], **model}]
    document = base(tasks=tasks, models=models, overlap=True, deadline_s=3.0)
    assert trunkline.plan(trunkline.load(document)).served == 2
    assert trunkline.plan(trunkline.load({**document, "memory_bytes": 1.5})).served == 1


def test_one_visit_per_model_is_no_longer_optimal():
    """A due at 1, B at 2 and a late A that arrives at 3: only A, B, A serves all three."""
    tasks = [
        task("a1", "A", deadline_s=1),
        task("b", "B", deadline_s=2),
        task("a2", "A", arrival_s=3, deadline_s=4),
    ]
    problem = trunkline.load(base(tasks=tasks))
    plan = trunkline.plan(problem, "exhaustive")
    assert [batch.model for batch in plan.batches] == ["A", "B", "A"]
    assert plan.served == 3


def test_memory_for_two_models_spares_the_reload():
    """With room for both blocks the second visit to A is free; without, it takes a second."""
    tasks = [
        task("a1", "A", deadline_s=1),
        task("b", "B", deadline_s=2),
        task("a2", "A", arrival_s=1.5, deadline_s=2.5),
    ]
    tight = trunkline.plan(trunkline.load(base(tasks=tasks)), "exhaustive")
    roomy = trunkline.plan(trunkline.load(base(tasks=tasks, memory_bytes=2)), "exhaustive")
    assert (tight.served, roomy.served) == (2, 3)


def test_what_is_resident_at_the_start_is_not_loaded():
    """A model whose blocks are there already is served at once."""
    problem = trunkline.load(base(tasks=[task("a", "A", deadline_s=0)], resident=["a"]))
    for method in ("optimal", "greedy", "exhaustive"):
        assert trunkline.plan(problem, method).served == 1
    assert trunkline.plan(problem, "independent").served == 0


def test_a_model_larger_than_memory_is_never_served():
    """What cannot be resident cannot be served."""
    problem = trunkline.load(base(tasks=[task("a", "A")], memory_bytes=0.5))
    for method in ("optimal", "greedy", "independent", "exhaustive"):
        plan = trunkline.plan(problem, method)
        assert plan.served == 0
        assert trunkline.check(problem, plan) == []


def test_the_papers_method_refuses_other_problems():
    """Algorithm 2 is for one deadline and nothing resident; it says so."""
    problem = trunkline.load(base(tasks=[task("a", "A", arrival_s=1)]))
    with pytest.raises(UnsupportedProblemError, match="one deadline"):
        trunkline.plan(problem, "paper")
