"""`optimal`: the most tasks in time, in continuous time, exact wherever the structure allows.

Each connected component of the sharing is solved alone for its table "least seconds to serve k
tasks" and the tables are combined (clusters: between different components every block is loaded,
so neither order nor interleaving of components matters). A component is solved

- by its trie, at any size, where the sharing is prefix-like (`trie`);
- by dynamic programming over subsets where it is scattered and small (`subsets`);
- else by the best of several orders with an exact split, with a table from below beside it
  (`ordered`), and then the plan says `proven: false` unless the two meet.

Problems with arrivals, deadlines per task, a memory budget or resident blocks get the best of
several plans (`forward`), under a bound from a relaxation: valid, and honest about the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from trunkline.library import Component
from trunkline.loading.forward import Forward
from trunkline.loading.ordered import BestOf, OrderedTable, nearest_order, relaxed_table
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import relaxed_bound
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Service, Table, Upload, service_of
from trunkline.loading.subsets import SubsetTable, fits
from trunkline.loading.tables import Fold
from trunkline.loading.trie import TrieTable, Visit

MAX_ORDERS = 24
"""How many start models are tried for the order of a large scattered component."""

MAX_DEADLINES = 8
"""How many of the tasks' own deadlines are tried as the common one."""


class _Solved(Protocol):
    """A component's table with the visits behind its entries."""

    table: Table

    def visits(self, k: int) -> list[Visit]: ...


@dataclass(frozen=True)
class _Answer:
    """A component solved: its table, and a table from below (the same one if exact)."""

    solved: _Solved
    below: Table


def optimal(problem: LoadingProblem, *, upload: Upload = "sum") -> LoadingPlan:
    """The plan that serves the most tasks and, among those found, ends first.

    `bound` is always valid; `proven` says whether it is met.
    """
    reading = Reading(upload)
    plain = problem.plain
    if plain is None:
        batches = _extended(problem, reading)
        return plan_of(problem, "optimal", batches, bound=relaxed_bound(problem, reading))
    service = service_of(plain, reading)
    visits, bound = _visits(plain, service)
    return plan_of(problem, "optimal", batches_of(plain, service, visits), bound=bound)


def _visits(problem: LoadingProblem, service: Service) -> tuple[list[Visit], int]:
    """The visits of a plain problem, and a bound on the tasks that any plan serves."""
    answers = [
        _solve(problem, part, service)
        for component in problem.library.components
        for part in _parts(component, service)
    ]
    fold = Fold([answer.solved.table for answer in answers], service.limit_s)
    bound = fold.table.size - 1
    if any(answer.below is not answer.solved.table for answer in answers):
        bound = Fold([answer.below for answer in answers], service.limit_s).table.size - 1
    counts = fold.split(fold.table.size - 1)
    visits = [
        visit
        for answer, count in zip(answers, counts, strict=True)
        if count
        for visit in answer.solved.visits(count)
    ]
    return visits, bound


def _extended(problem: LoadingProblem, reading: Reading) -> tuple[Batch, ...]:
    """The best of several plans for a problem with optional fields.

    One is greedy throughout. The others take a deadline that some task has, plan the tasks due
    then or later as if it were the only one and nothing else were stated, run these batches under
    what is stated, and go on greedily.
    """
    deadlines = sorted({problem.deadline_of(task) for task in problem.tasks})
    tried = [Forward(problem, reading).run_greedy()]
    for deadline_s in deadlines[:: -(-len(deadlines) // MAX_DEADLINES) or 1]:
        kept = [
            k
            for k, task in enumerate(problem.tasks)
            if problem.deadline_of(task) >= deadline_s
            and problem.fits(problem.model_index[task.model])
        ]
        tasks = tuple(replace(problem.tasks[k], arrival_s=0.0, deadline_s=None) for k in kept)
        plain = replace(
            problem, deadline_s=deadline_s, tasks=tasks, memory_bytes=None, resident=frozenset()
        )
        service = service_of(plain, reading)
        position = {problem.tasks[k].id: k for k in kept}
        groups = [
            (plain.model_index[batch.model], [position[name] for name in batch.tasks])
            for batch in batches_of(plain, service, _visits(plain, service)[0])
        ]
        tried.append(Forward(problem, reading).replay(groups).run_greedy())
    best = max(tried, key=_merit)
    return tuple(best.batches)


def _merit(plan: Forward) -> tuple[int, float]:
    """More tasks first, then an earlier end."""
    served = sum(len(batch.tasks) for batch in plan.batches)
    return served, -plan.batches[-1].finish_s if plan.batches else 0.0


def _parts(component: Component, service: Service) -> Iterable[Component]:
    """The component, or what is left of it when only models with tasks in reach count."""
    asked = [i for i in component.models if service.tables[i].size > 1]
    if not asked:
        return ()
    if component.trie is not None:
        return (component,)
    return component.restricted(asked)


def _solve(problem: LoadingProblem, component: Component, service: Service) -> _Answer:
    """The least-time table of one component, exact if its structure or size allows."""
    tables, library, loading = service.tables, problem.library, problem.loading
    exact: _Solved
    if component.trie is not None:
        exact = TrieTable(component.trie, tables, loading, service.limit_s)
        return _Answer(exact, exact.table)
    if fits([tables[i].size - 1 for i in component.models]):
        exact = SubsetTable(component.models, tables, library, loading, service.limit_s)
        return _Answer(exact, exact.table)
    best = _best_orders(problem, component.models, service)
    below = relaxed_table(component, tables, library, loading, service.limit_s)
    return _Answer(best, below)


def _best_orders(problem: LoadingProblem, models: Sequence[int], service: Service) -> BestOf:
    """Entry by entry the best of several orders with an exact split."""
    library, loading = problem.library, problem.loading
    # By what they are, not by where they stand, so that the order of input does not show.
    models = sorted(models, key=lambda i: (library.model_bytes[i], service.tables[i].tolist()))
    starts = range(0, len(models), -(-len(models) // MAX_ORDERS))
    return BestOf(
        [
            OrderedTable(
                nearest_order(start, models, library, loading),
                service.tables,
                library,
                loading,
                service.limit_s,
            )
            for start in starts
        ]
    )
