"""Problems with optional fields: a memory budget, residents, arrivals, own deadlines.

One deadline for all tasks, all there at the start: solved by tables, exact for tries of any size
(no residents) and for few models (`residency`). Everything else gets the best of several plans
(`forward`), under a bound from a relaxation: valid, and honest about the gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trunkline.library import Component, Trie
from trunkline.loading.evictions import keep_soonest
from trunkline.loading.forward import Forward
from trunkline.loading.masks import BlockMasks
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import relaxed_bound
from trunkline.loading.residency import ResidencyTable, Step, TooManyStatesError
from trunkline.loading.schedule import batches_keeping, groups_of, plan_of
from trunkline.loading.service import Reading, Service, Table, service_of
from trunkline.loading.tables import Fold
from trunkline.loading.trie import TrieTable, Visit

MAX_DEADLINES = 8
"""How many of the tasks' own deadlines are tried as the common one."""

VisitsOf = Callable[[LoadingProblem, Service], list[Visit]]
"""Plans a plain problem: the visits, in order."""


def extended(
    problem: LoadingProblem, method: str, reading: Reading, visits_of: VisitsOf
) -> LoadingPlan:
    """The plan of a problem with optional fields that make a difference.

    Args:
        method: the name that the plan bears.
        visits_of: plans the same problem without them, for a start.
    """
    one = problem.one_deadline
    solved = None if one is None else solve_by_tables(one, reading)
    if solved is not None and solved.proven:
        return plan_of(problem, method, solved.batches, bound=solved.bound)
    bound = relaxed_bound(problem, reading)
    tried = _several(problem, reading, visits_of)
    if solved is not None:
        bound = min(bound, solved.bound)
        tried.append(solved.batches)
    return plan_of(problem, method, max(tried, key=_merit), bound=bound)


@dataclass(frozen=True)
class _Solved:
    """A plan by tables, and how many tasks any plan serves at most."""

    batches: tuple[Batch, ...]
    bound: int

    @property
    def proven(self) -> bool:
        """Whether no plan serves more."""
        return sum(len(batch.tasks) for batch in self.batches) == self.bound


def solve_by_tables(problem: LoadingProblem, reading: Reading) -> _Solved | None:
    """The plan of a problem with one deadline, all tasks there at the start; None where it is too
    large for tables.

    Components are separate, as in a plain problem: a visit loads blocks of its own component only,
    and components visited one after the other leave each other more room. Only those with blocks
    that are resident at the start are solved together, since one waits in the other's way.
    """
    tasks = tuple(task for task in problem.tasks if problem.fits(problem.model_index[task.model]))
    problem = replace(problem, tasks=tasks)
    service = service_of(problem, reading)
    try:
        tables = [_table(problem, part, service) for part in _parts(problem, service)]
    except TooManyStatesError:
        return None
    fold = Fold([one.table for one in tables], service.limit_s)
    below = Fold([one.below for one in tables], service.limit_s)
    counts = fold.split(fold.table.size - 1)
    steps = [step for one, k in zip(tables, counts, strict=True) if k for step in one.steps(k)]
    visits = groups_of(problem, service, [(step.model, step.count) for step in steps])
    groups = [group for groups in visits for group in groups]
    kept = [step.kept for step, own in zip(steps, visits, strict=True) for _ in own]
    return _Solved(batches_keeping(problem, reading, groups, kept), below.table.size - 1)


def _parts(problem: LoadingProblem, service: Service) -> list[Component]:
    """What can be solved apart: the components with residents as one, first, then the others."""
    asked = [i for i, table in enumerate(service.tables) if table.size > 1]
    resident = problem.useful_residents
    touched: list[int] = []
    others: list[Component] = []
    for component in problem.library.components:
        for part in component.restricted([i for i in component.models if i in asked]):
            if any(resident & problem.library.block_sets[i] for i in part.models):
                touched += part.models
            else:
                others.append(part)
    return ([Component(tuple(touched), ())] if touched else []) + others


def _table(
    problem: LoadingProblem, part: Component, service: Service
) -> _TrieSteps | ResidencyTable:
    """The least-time table of a part: by its trie, else over its subsets."""
    resident = any(problem.useful_residents & problem.library.block_sets[i] for i in part.models)
    if part.trie is not None and not resident:
        return _TrieSteps(problem, part.trie, service)
    return ResidencyTable(problem, part.models, service.tables, service.limit_s)


class _TrieSteps:
    """The table of a trie, and its visits as steps.

    A budget changes nothing: in post-order each block is loaded once, under any residency rule, and
    no plan loads fewer bytes or starts fewer loads. What stays is what is needed soonest, the next
    model's blocks first, so that is what the previous-model rule keeps, and more.
    """

    def __init__(self, problem: LoadingProblem, trie: Trie, service: Service) -> None:
        self._problem = problem
        self._solved = TrieTable(trie, service.tables, problem.loading, service.limit_s)
        self.table: Table = self._solved.table
        self.below: Table = self.table

    def steps(self, k: int) -> list[Step]:
        """The visits, in order, that serve k tasks in `table[k]` seconds."""
        visits = self._solved.visits(k)
        library = self._problem.library
        masks = BlockMasks(library.blocks, [library.block_sets[model] for model, _ in visits])
        kept = keep_soonest(masks.needs, masks, self._problem.memory_limit, 0)
        return [
            Step(model, count, masks.names(stay))
            for (model, count), stay in zip(visits, kept, strict=True)
        ]


def _several(
    problem: LoadingProblem, reading: Reading, visits_of: VisitsOf
) -> list[tuple[Batch, ...]]:
    """Plans for a problem too large to solve exactly.

    One is greedy throughout. The others take a deadline that some task has, plan the tasks due
    then or later as if it were the only one and nothing else were stated, run these batches under
    what is stated, and go on greedily.
    """
    deadlines = sorted({problem.deadline_of(task) for task in problem.tasks})
    tried = [Forward(problem, reading).run_greedy()]
    for deadline_s in deadlines[:: -(-len(deadlines) // MAX_DEADLINES) or 1]:
        due = [
            k
            for k, task in enumerate(problem.tasks)
            if problem.deadline_of(task) >= deadline_s
            and problem.fits(problem.model_index[task.model])
        ]
        tasks = tuple(replace(problem.tasks[k], arrival_s=0.0, deadline_s=None) for k in due)
        plain = replace(
            problem, deadline_s=deadline_s, tasks=tasks, memory_bytes=None, resident=frozenset()
        )
        service = service_of(plain, reading)
        visits = groups_of(plain, service, visits_of(plain, service))
        groups = [
            (model, [due[k] for k in members]) for groups in visits for model, members in groups
        ]
        tried.append(Forward(problem, reading).replay(groups).run_greedy())
    return [tuple(plan.batches) for plan in tried]


def _merit(batches: Sequence[Batch]) -> tuple[int, float]:
    """More tasks first, then an earlier end."""
    return sum(len(b.tasks) for b in batches), -batches[-1].finish_s if batches else 0.0
