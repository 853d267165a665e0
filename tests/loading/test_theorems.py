"""Where the paper's theorems end: the smallest cases that we know, each against every sequence of
batches that keeps the theorem's form.

The brute force here tries all sequences of batches (no memory budget: what stays is then no choice)
and computes the times itself. Its best plan overall must be what `exhaustive` and `optimal` serve;
its best plan of a form shows what the form costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

import pytest

import trunkline
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task
from trunkline.loading.document import problem_to_document

Plan = list[tuple[str, tuple[Task, ...]]]
"""Batches: a model and its tasks."""


def problem(
    models: dict[str, tuple[str, float, float, int]],
    tasks: list[tuple[str, float, float, float]],
    **more: object,
) -> LoadingProblem:
    """Models as (blocks of one byte, beta, mu, b_max), tasks as (model, upload, arrival, deadline);
    one byte loads and one bit uploads in a second."""
    blocks = {b: 1.0 for held, *_ in models.values() for b in held}
    return LoadingProblem(
        deadline_s=max(deadline for *_, deadline in tasks),
        bandwidth_hz=1.0,
        loading=Link((Stage(1.0),)),
        library=ModelLibrary(blocks, [Model(m, tuple(held)) for m, (held, *_) in models.items()]),
        models=tuple(LoadingModel(m, *costs) for m, (_, *costs) in models.items()),
        tasks=tuple(
            Task(f"u{k}", model, upload, 1.0, arrival, deadline)
            for k, (model, upload, arrival, deadline) in enumerate(tasks)
        ),
        **more,
    )


def end_s(asked: LoadingProblem, plan: Plan) -> float:
    """When the last batch ends; infinite if any task is late."""
    uploaded = loaded = clock = last_but_one = 0.0
    resident = asked.resident
    for name, members in plan:
        needs = frozenset(asked.library[name].blocks)
        costs = asked.models[asked.model_index[name]]
        free = uploaded if asked.overlap else clock
        begin = max([free, *(task.arrival_s for task in members)])
        compute = costs.seconds_per_batch + costs.seconds_per_task * len(members)
        load = asked.loading.seconds(asked.library.bytes_of(needs - resident))
        uploaded = begin + sum(task.upload_bits for task in members)
        loaded = max(uploaded, loaded, last_but_one) + load
        clock, last_but_one = max(loaded, clock) + compute, clock
        resident = needs
        if any(clock > asked.deadline_of(task) for task in members):
            return float("inf")
    return clock


def plans(asked: LoadingProblem) -> Iterator[Plan]:
    """Every sequence of batches in which all are in time."""
    pending: list[Plan] = [[]]
    while pending:
        plan = pending.pop()
        yield plan
        done = {task for _, members in plan for task in members}
        for model in asked.models:
            left = [t for t in asked.tasks if t.model == model.id and t not in done]
            for size in range(1, min(len(left), model.max_batch) + 1):
                for members in combinations(left, size):
                    longer = [*plan, (model.id, members)]
                    if end_s(asked, longer) < float("inf"):
                        pending.append(longer)


def visits(plan: Plan) -> list[str]:
    """The models in order, consecutive batches of one as one."""
    names = [name for name, _ in plan]
    return [name for place, name in enumerate(names) if not place or names[place - 1] != name]


def one_visit(asked: LoadingProblem, plan: Plan) -> bool:
    """Theorem 2.1: the batches of a model are consecutive."""
    return len(visits(plan)) == len(set(visits(plan)))


def ascending(asked: LoadingProblem, plan: Plan) -> bool:
    """Theorem 2.1: the tasks of a model are served in ascending order of upload."""
    for model in asked.models:
        batches = [[t.upload_bits for t in members] for name, members in plan if name == model.id]
        if any(max(first) > min(second) for first, second in pairwise(batches)):
            return False
    return True


def full(asked: LoadingProblem, plan: Plan) -> bool:
    """Theorem 2.2: of consecutive batches of a model all but the last are full."""
    return all(
        first != second or len(members) == asked.models[asked.model_index[first]].max_batch
        for (first, members), (second, _) in pairwise(plan)
    )


def quickest(asked: LoadingProblem, plan: Plan) -> bool:
    """What the theorems imply: of a model's tasks those of the shortest uploads are served."""
    done = {task for _, members in plan for task in members}
    return not any(
        left.model == task.model and left.upload_bits < task.upload_bits
        for task in done
        for left in asked.tasks
        if left not in done
    )


def clusters(asked: LoadingProblem, plan: Plan) -> bool:
    """Theorem 3: the batches of a cluster (here: a component) are consecutive."""
    cluster = {
        asked.models[i].id: number
        for number, component in enumerate(asked.library.components)
        for i in component.models
    }
    numbers = [cluster[name] for name, _ in plan]
    runs = [n for place, n in enumerate(numbers) if not place or numbers[place - 1] != n]
    return len(runs) == len(set(runs))


Form = Callable[[LoadingProblem, Plan], bool]


def most(asked: LoadingProblem, form: Form | None = None) -> int:
    """The most tasks served by a plan of a form, or by any."""
    return max(
        sum(len(members) for _, members in plan)
        for plan in plans(asked)
        if form is None or form(asked, plan)
    )


FREE = ("", 0.0, 0.0, 4)  # nothing to load or compute

CASES: dict[str, tuple[LoadingProblem, dict[Form, int], int]] = {
    # u = 1 due at 10, u = 2 due at 2: the slow one first, 2 and 3; in ascending order it ends at 3
    "own deadlines: slow uploads first": (
        problem({"A": FREE}, [("A", 1, 0, 10), ("A", 2, 0, 2)]),
        {ascending: 1, full: 1, one_visit: 2},
        2,
    ),
    # u = 1 and u = 1 due at 1 and 2: one batch of both ends at 2
    "own deadlines: batches that are not full": (
        problem({"A": FREE}, [("A", 1, 0, 1), ("A", 1, 0, 2)]),
        {full: 1, ascending: 2, one_visit: 2},
        2,
    ),
    # u = 1 due at 0.5 cannot be served, u = 2 can
    "own deadlines: not the quickest": (
        problem({"A": FREE}, [("A", 1, 0, 0.5), ("A", 2, 0, 2)]),
        {quickest: 0},
        1,
    ),
    # loads and computations of 1: A ends at 2, B at 4, A again at 6
    "own deadlines: a model twice": (
        problem(
            {"A": ("a", 0, 1, 4), "B": ("b", 0, 1, 4)},
            [("A", 0, 0, 2), ("B", 0, 0, 4), ("A", 0, 0, 100)],
        ),
        {one_visit: 2, clusters: 2},
        3,
    ),
    # the quick one arrives at 2, when the slow one is done
    "arrivals: slow uploads first": (
        problem({"A": FREE}, [("A", 0, 2, 2), ("A", 1, 0, 2)]),
        {ascending: 1, full: 1},
        2,
    ),
    # B uploads from 0 to 1, A from 1 to 2, and at 2 the other task of B arrives
    "arrivals: a model twice": (
        problem({"A": FREE, "B": FREE}, [("A", 1, 1, 2), ("B", 1, 0, 2), ("B", 0, 2, 2)]),
        {one_visit: 2, clusters: 2},
        3,
    ),
}


OVERLAPS: dict[str, tuple[LoadingProblem, dict[Form, int], int]] = {
    # one batch: 1 + 2 = 3. Two: the second uploads while the first computes, which ends at 1; 2
    "overlap: batches that are not full": (
        problem({"A": ("", 0, 1, 2)}, [("A", 0, 0, 2), ("A", 1, 0, 2)], overlap=True),
        {full: 1, one_visit: 2, ascending: 2},
        2,
    ),
    # B 0-1, A uploads 0-1 and computes 1-3, the other B uploads 1-3 and computes 3-4
    "overlap: a model twice": (
        problem(
            {"A": ("", 0, 2, 3), "B": ("", 0, 1, 3)},
            [("B", 2, 0, 4), ("A", 1, 0, 4), ("B", 0, 0, 4)],
            overlap=True,
        ),
        {one_visit: 2, clusters: 2, ascending: 3, quickest: 3},
        3,
    ),
}
CASES |= OVERLAPS


@pytest.mark.parametrize("case", CASES)
def test_a_theorem_ends_here(case):
    """No plan of the theorem's form serves as many as the best plan."""
    asked, forms, best = CASES[case]
    assert {form: most(asked, form) for form in forms} == forms
    assert most(asked) == best
    for method in ("exhaustive", "optimal"):
        plan = trunkline.plan(asked, method)
        assert (plan.served, plan.proven) == (best, True)
        assert trunkline.check(asked, plan) == []


def test_ascending_uploads_stay_optimal_when_batches_overlap(make_problem):
    """Exchanging two tasks of a model makes the earlier upload shorter by as much as the later one
    becomes longer: with one deadline and no arrivals nothing ends later."""

    def both(asked: LoadingProblem, plan: Plan) -> bool:
        return ascending(asked, plan) and quickest(asked, plan)

    for seed in range(60):
        document = problem_to_document(make_problem(seed, "scattered" if seed % 2 else "prefix"))
        tasks = [{**task, "bits_per_s_per_hz": 0.5} for task in document["tasks"][:4]]
        asked = trunkline.load({**document, "tasks": tasks, "overlap": True})
        assert most(asked, both) == most(asked), seed


def test_the_theorems_hold_where_they_should(make_problem):
    """Without optional fields some best plan has all forms at once (components for clusters)."""

    def all_forms(asked: LoadingProblem, plan: Plan) -> bool:
        forms = (one_visit, ascending, full, quickest, clusters)
        return all(form(asked, plan) for form in forms)

    for seed in range(60):
        drawn = make_problem(seed, "scattered" if seed % 2 else "prefix", seed % 3 == 0)
        document = problem_to_document(drawn)
        # of bandwidth 2, so that a bit uploads in a second
        tasks = [{**task, "bits_per_s_per_hz": 0.5} for task in document["tasks"][:4]]
        asked = trunkline.load({**document, "tasks": tasks})
        assert most(asked, all_forms) == most(asked), seed
