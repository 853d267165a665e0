"""`optimal`: the most tasks in time, in continuous time, exact wherever the structure allows.

Each connected component of the sharing is solved alone for its table "least seconds to serve k
tasks" and the tables are combined (clusters: between different components every block is loaded,
so neither order nor interleaving of components matters). A component is solved

- by its trie, at any size, where the sharing is prefix-like (`trie`);
- by dynamic programming over subsets where it is scattered and small (`subsets`);
- else by the best of several orders with an exact split, with a table from below beside it
  (`ordered`), and then the plan says `proven: false` unless the two meet.

Problems with arrivals, deadlines per task, a memory budget or resident blocks are planned by
`greedy`, under a bound from the sharing's relaxation: valid, and honest about the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trunkline.library import Component
from trunkline.loading.forward import forward_batches
from trunkline.loading.ordered import OrderedTable, nearest_order, relaxed_table
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import relaxed_bound
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Service, Table, Upload, service_of
from trunkline.loading.subsets import SubsetTable, fits
from trunkline.loading.tables import Fold
from trunkline.loading.trie import TrieTable, Visit

MAX_ORDERS = 24
"""How many start models are tried for the order of a large scattered component."""


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
    if not problem.is_plain:
        batches = forward_batches(problem, upload=upload)
        return plan_of(problem, "optimal", batches, bound=relaxed_bound(problem, upload=upload))
    service = service_of(problem, upload)
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
    return plan_of(problem, "optimal", batches_of(problem, service, visits), bound=bound)


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
    if fits(len(component.models), sum(tables[i].size - 1 for i in component.models)):
        exact = SubsetTable(component.models, tables, library, loading, service.limit_s)
        return _Answer(exact, exact.table)
    best = _best_order(problem, component.models, service)
    below = relaxed_table(component, tables, library, loading, service.limit_s)
    return _Answer(best, below)


def _best_order(problem: LoadingProblem, models: Sequence[int], service: Service) -> OrderedTable:
    """The order, of those tried, whose exact split serves the most (then ends first)."""
    library, loading = problem.library, problem.loading
    starts = models[:: max(1, len(models) // MAX_ORDERS)]
    tried = (
        OrderedTable(
            nearest_order(start, models, library, loading),
            service.tables,
            library,
            loading,
            service.limit_s,
        )
        for start in starts
    )
    return max(tried, key=lambda t: (t.table.size, -float(t.table[-1])))
