"""`optimal`: the most tasks in time, in continuous time, exact wherever the structure allows.

Each connected component of the sharing is solved alone for its table "least seconds to serve k
tasks" and the tables are combined (clusters: between different components every block is loaded,
so neither order nor interleaving of components matters). A component is solved

- by its trie, at any size, where the sharing is prefix-like (`trie`);
- by dynamic programming over subsets where it is scattered and small (`subsets`);
- else by the best of several orders with an exact split, with a table from below beside it
  (`ordered`), and then the plan says `proven: false` unless the two meet.

Problems with arrivals, deadlines per task, a memory budget or resident blocks: see `extended`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trunkline.library import Component
from trunkline.loading.extended import extended
from trunkline.loading.ordered import BestOf, OrderedTable, nearest_order, relaxed_table
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Service, Table, Upload, service_of
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
    reading = Reading(upload)
    plain = problem.plain
    if plain is None:
        return extended(problem, reading, lambda *plain: _visits(*plain)[0])
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
