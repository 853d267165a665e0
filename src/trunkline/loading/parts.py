"""A plain problem taken apart: components that a table solves exactly, and models that none does.

Models joined by shared blocks form connected components. Between two components everything is
loaded, so each component is solved alone, for the least seconds in which it serves k tasks, and the
tables are combined (`tables`). What remains are scattered components too large for their tables;
their models are planned together, along one path (`scattered`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Protocol

from trunkline.library import Component
from trunkline.links import Link
from trunkline.loading.consecutive import consecutive_order
from trunkline.loading.ordered import OrderedTable, relaxed_table
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.scattered import Path, Scattered, Split
from trunkline.loading.service import Service, Table
from trunkline.loading.subsets import SubsetTable, fits
from trunkline.loading.tables import Fold
from trunkline.loading.trie import TrieTable, Visit

MAX_LINE = 300
"""Orders are looked for among so many models at most."""

MAX_LINE_STEPS = 1 << 28
"""And only where planning along them takes so many additions at most (about a second)."""


class _Solved(Protocol):
    """A component's table with the visits behind its entries."""

    table: Table

    def visits(self, k: int) -> list[Visit]: ...


class Parts:
    """The components of a plain problem, solved where that is exact.

    Attributes:
        fold: the combined tables of the solved components.
        scattered: the models of the others.
    """

    def __init__(self, problem: LoadingProblem, service: Service) -> None:
        self._problem, self._service = problem, service
        self._solved: list[_Solved] = []
        self._open: list[Component] = []
        for component in problem.library.components:
            for part in _asked(component, service):
                exact = _solve(problem, part, service)
                if exact is not None:
                    self._solved.append(exact)
                else:
                    self._open.append(part)
        self.fold = Fold([one.table for one in self._solved], service.limit_s)
        self.scattered = Scattered.of(
            self._open, service, problem.library, problem.loading, self.fold.table
        )

    def visits(self, path: Path, split: Split) -> list[Visit]:
        """The visits of a plan: the solved components' and then those along the path."""
        counts = self.fold.split(split.rest)
        visits = [
            visit
            for one, count in zip(self._solved, counts, strict=True)
            if count
            for visit in one.visits(count)
        ]
        models = self.scattered.models
        return visits + [(models[i], k) for i, k in zip(path, split.counts, strict=True)]

    @cached_property
    def quick_bound(self) -> int:
        """No plan serves more tasks than this: the components without a solution relaxed."""
        if not len(self.scattered):
            return self.fold.table.size - 1
        service, problem = self._service, self._problem
        tables = [self.fold.table] + [
            relaxed_table(part, service.tables, problem.library, problem.loading, service.limit_s)
            for part in self._open
        ]
        return Fold(tables, service.limit_s).table.size - 1


def line_of(component: Component, service: Service, loading: Link) -> list[int] | None:
    """The one order of a component's models that is best for every subset, if there is one.

    It exists where every block's models stand together in it (`consecutive`). With an overhead a
    visit to a model whose blocks another one holds is free after that one only, so then no model
    may be inside another (equal ones may, they stand together).
    """
    models = component.models
    tasks = sum(service.tables[i].size - 1 for i in models)
    if len(models) > MAX_LINE or len(models) ** 2 * tasks > MAX_LINE_STEPS:
        return None
    sets = [frozenset(group.models) for group in component.groups]
    if loading.overhead_s > 0:
        held = {i: frozenset(n for n, members in enumerate(sets) if i in members) for i in models}
        if any(held[i] < held[j] for i in models for j in models):
            return None
    return consecutive_order(models, sets)


def _asked(component: Component, service: Service) -> Iterable[Component]:
    """The component, or what is left of it when only models with tasks in reach count."""
    asked = [i for i in component.models if service.tables[i].size > 1]
    if not asked:
        return ()
    if component.trie is not None:
        return (component,)
    return component.restricted(asked)


def _solve(problem: LoadingProblem, component: Component, service: Service) -> _Solved | None:
    """The exact table of one component, or None where its structure and size allow none."""
    tables, library, loading = service.tables, problem.library, problem.loading
    if component.trie is not None:
        return TrieTable(component.trie, tables, loading, service.limit_s)
    if (order := line_of(component, service, loading)) is not None:
        return OrderedTable(order, tables, library, loading, service.limit_s)
    if fits([tables[i].size - 1 for i in component.models]):
        return SubsetTable(component.models, tables, library, loading, service.limit_s)
    return None
