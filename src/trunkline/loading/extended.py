"""`optimal` for problems with optional fields: budget, residents, arrivals, own deadlines.

1. One deadline for all tasks, all there at the start: tables, exact for tries of any size (nothing
   resident) and for few models, for any number of tasks (`residency`).
2. Else, or where the tables grow too large: a greedy plan, improved (`insertion`), under the bound
   of a relaxation (`relax`).
3. If the two do not meet and few tasks can be served at all: branch and bound (`branch`), which
   finds a better plan, or proves that there is none, or at least lowers the bound.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trunkline.library import Component, Trie
from trunkline.loading.branch import MAX_STATES, branch_and_bound
from trunkline.loading.evictions import keep_soonest
from trunkline.loading.insertion import ROUNDS, greedy_groups, improve
from trunkline.loading.line import Line
from trunkline.loading.masks import BlockMasks
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import relaxed_bound
from trunkline.loading.residency import ResidencyTable, Step, TooManyStatesError
from trunkline.loading.running import batches_keeping
from trunkline.loading.schedule import Group, groups_of, plan_of
from trunkline.loading.service import Reading, Service, Table, service_of
from trunkline.loading.tables import Fold
from trunkline.loading.trie import TrieTable, Visit

MAX_TASKS = 24
"""With more servable tasks than this, branch and bound is tried only where time is given for it."""

MOST_STATES = 1_000_000
"""Nor does it go on for ever then: a state takes some hundred bytes."""

VisitsOf = Callable[[LoadingProblem, Service], list[Visit]]
"""Plans a plain problem: the visits, in order."""


def extended(
    problem: LoadingProblem,
    reading: Reading,
    visits_of: VisitsOf,
    *,
    time_limit_s: float | None = None,
) -> LoadingPlan:
    """The plan of a problem with optional fields that make a difference.

    Args:
        visits_of: plans the same problem without them, for a start where all tasks share one
            deadline.
        time_limit_s: improve and search for so long (about half of it each), instead of `ROUNDS`
            rounds and `MAX_STATES` states.
    """
    begun = time.perf_counter()
    one = None if problem.overlap else problem.one_deadline
    solved = None if one is None else solve_by_tables(one, reading)
    if solved is not None and solved.proven:
        return plan_of(problem, "optimal", solved.batches, bound=solved.bound)
    line = Line(problem, reading)
    bound = relaxed_bound(problem, reading)
    starts = [greedy_groups(line)]
    if solved is not None:
        bound = min(bound, solved.bound)
        starts.append(line.groups_of(solved.batches))
    elif one is not None:
        starts.append(_plain_groups(one, reading, visits_of))
    rounds, until, states = ROUNDS, math.inf, MAX_STATES
    if time_limit_s is not None:
        rounds, until, states = sys.maxsize, begun + time_limit_s / 2, MOST_STATES
    improved = improve(line, starts, rounds=rounds, enough=bound, until=until)
    if time_limit_s is not None and improved.served < bound:
        improved.keep_best(time_limit_s / 10)
    plans = [line.batches(improved.groups, improved.kept)]
    if solved is not None:
        plans.append(solved.batches)
    best = max(plans, key=_merit)
    served = _merit(best)[0]
    if served < bound and (line.servable <= MAX_TASKS or time_limit_s is not None):
        until = math.inf if time_limit_s is None else begun + time_limit_s
        found = branch_and_bound(line, served, max_states=states, until=until)
        bound = min(bound, found.bound)
        if found.groups:
            best = line.batches(found.groups, found.kept)
    return plan_of(problem, "optimal", best, bound=bound)


def _merit(batches: Sequence[Batch]) -> tuple[int, float]:
    """More tasks first, then an earlier end."""
    return sum(len(b.tasks) for b in batches), -batches[-1].finish_s if batches else 0.0


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


def _plain_groups(problem: LoadingProblem, reading: Reading, visits_of: VisitsOf) -> list[Group]:
    """The batches of a problem with one deadline, planned as if nothing else were stated."""
    fitting = [
        k for k, task in enumerate(problem.tasks) if problem.fits(problem.model_index[task.model])
    ]
    plain = replace(
        problem,
        tasks=tuple(problem.tasks[k] for k in fitting),
        memory_bytes=None,
        resident=frozenset(),
    )
    service = service_of(plain, reading)
    return [
        (model, [fitting[k] for k in members])
        for groups in groups_of(plain, service, visits_of(plain, service))
        for model, members in groups
    ]
