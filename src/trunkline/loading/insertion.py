"""`insertion`: fast plans for problems with any optional field, by ruin and recreate. [derived]

Again and again a part of the plan is taken out (batches in a row, all of a model, tasks at random)
and every task that is not served is put back, one by one, where it delays what follows least
(`sequence`). A plan that serves no fewer and ends about as early is gone on from; the best is kept.
(Schrimpf et al., 2000, and Christiaens and Vanden Berghe, 2020, do so for vehicle routes.)

Not exact: `benchmarks/extensions.py` measures the gap to the exact methods.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection, Iterable, Sequence

from trunkline.errors import InputError
from trunkline.loading.forward import run_greedy
from trunkline.loading.line import Line
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import relaxed_bound
from trunkline.loading.schedule import Group, plan_of
from trunkline.loading.sequence import BatchSequence
from trunkline.loading.service import Reading, Upload

ROUNDS = 200
"""How often a part is taken out and put back."""

LATER = 1.2
"""A plan that serves as many may end later by this factor and still be gone on from."""

BACK_TO_BEST = 0.02
"""How often the best plan is gone back to."""

AHEAD = 0.8
"""How often a plan under a memory budget is made so that models are loaded ahead."""

SEED = 0
"""Of the draws: the same problem gives the same plan."""


def insertion(
    problem: LoadingProblem, *, upload: Upload = "sum", rounds: int = ROUNDS
) -> LoadingPlan:
    """A plan of any problem, begun greedily.

    Args:
        rounds: how often a part is taken out and put back.

    Raises:
        InputError: fewer than 0 rounds.
    """
    if rounds < 0:
        raise InputError(f"rounds: at least 0, got {rounds}")
    reading = Reading(upload)
    line = Line(problem, reading)
    bound = relaxed_bound(problem, reading)
    found = improve(line, [greedy_groups(line)], rounds=rounds, enough=bound)
    return plan_of(problem, "insertion", line.batches(found.groups, found.kept), bound=bound)


def greedy_groups(line: Line) -> list[Group]:
    """The batches of the greedy plan, to begin with."""
    return line.groups_of(run_greedy(line.problem, line.reading))


def improve(
    line: Line,
    starts: Iterable[Sequence[Group]],
    *,
    rounds: int = ROUNDS,
    enough: int | None = None,
    until: float = math.inf,
) -> BatchSequence:
    """A plan that serves at least as many tasks as the best of some plans.

    Args:
        line: tasks, models and blocks.
        starts: plans to begin with, as batches; those that are late do not count.
        rounds: how often a part is taken out and put back.
        enough: stop when so many tasks are served.
        until: stop when `time.perf_counter()` says so.
    """
    return _Improvement(line, starts).run(rounds, enough, until)


class _Improvement:
    """The plan at hand and the best one."""

    def __init__(self, line: Line, starts: Iterable[Sequence[Group]]) -> None:
        self._line = line
        self._draw = random.Random(SEED)
        self._models, self._tasks = _in_order(line)
        begun = [BatchSequence(line, groups) for groups in starts]
        for plan in begun:
            self._fill(plan, self._left_out(plan))
        self._best = self._at_hand = max(begun, key=lambda plan: plan.merit)

    def run(self, rounds: int, enough: int | None, until: float) -> BatchSequence:
        most = len(self._tasks) if enough is None else enough
        for _ in range(rounds):
            if self._best.served >= most or time.perf_counter() > until:
                break
            plan = self._at_hand.copy()
            plan.ahead = self._line.overlap and self._draw.random() < AHEAD
            plan.drop(self._part(plan))
            self._fill(plan, self._shuffled(self._left_out(plan)))
            if self._goes_on_from(plan):
                self._at_hand = plan
            if plan.merit > self._best.merit:
                self._best = plan
            elif self._draw.random() < BACK_TO_BEST:
                self._at_hand = self._best
        return self._best

    def _goes_on_from(self, plan: BatchSequence) -> bool:
        """Whether a plan serves no fewer, and ends no later or, every other time, a little."""
        served, minus_end = plan.merit
        now, minus_now = self._at_hand.merit
        slack = LATER if self._draw.random() < 0.5 else 1.0
        return served > now or (served == now and minus_end >= slack * minus_now)

    def _part(self, plan: BatchSequence) -> Collection[int]:
        """The tasks of a part of the plan: some batches in a row, a model, or some at random."""
        draw, count = self._draw, len(plan.batches)
        if not count:
            return ()
        kind = draw.random()
        if kind < 0.5:
            length = draw.randint(1, max(1, min(4, count // 2)))
            first = draw.randrange(count - length + 1)
            chosen = plan.batches[first : first + length]
        elif kind < 0.7:
            model = draw.choice(plan.batches).model
            chosen = [batch for batch in plan.batches if batch.model == model]
        else:
            served = [k for batch in plan.batches for k in batch.members]
            return draw.sample(served, max(1, len(served) * draw.randint(1, 3) // 10))
        return {k for batch in chosen for k in batch.members}

    def _left_out(self, plan: BatchSequence) -> list[int]:
        """The tasks that a plan does not serve, quickest upload first."""
        served = plan.tasks
        return [k for k in self._tasks if k not in served]

    def _shuffled(self, tasks: list[int]) -> list[int]:
        """The tasks in the order in which they are to be put back: by upload, deadline or arrival,
        model by model, or at random."""
        line, kind = self._line, self._draw.random()
        if kind < 0.25:
            return tasks
        if kind < 0.5:
            return sorted(tasks, key=lambda k: line.latest_s[k])
        if kind < 0.6:
            return sorted(tasks, key=lambda k: line.arrival_s[k])
        if kind < 0.8:
            turn = {model: self._draw.random() for model in self._models}
            return sorted(tasks, key=lambda k: turn[line.model[k]])
        return self._draw.sample(tasks, len(tasks))

    def _fill(self, plan: BatchSequence, tasks: Sequence[int]) -> None:
        """Put back what finds a place; a task that asks for more than one that found none of the
        same model is not tried."""
        line = self._line
        failed: dict[int, list[int]] = {}
        for k in tasks:
            found_none = failed.setdefault(line.model[k], [])
            if not any(line.asks_for_more(k, than) for than in found_none) and not plan.insert(k):
                found_none.append(k)


def _in_order(line: Line) -> tuple[list[int], list[int]]:
    """The models and the tasks by what they are, not by where they stand, so that the order of
    input does not show."""
    library = line.problem.library
    like = [(line.upload_s[k], line.latest_s[k], line.arrival_s[k]) for k in range(len(line.model))]
    kinds = [
        (library.model_bytes[i], line.compute_s(i, 1), [like[k] for k in tasks])
        for i, tasks in enumerate(line.tasks)
    ]
    models = sorted(range(len(kinds)), key=lambda i: kinds[i])
    rank = {model: place for place, model in enumerate(models)}
    tasks = [k for tasks in line.tasks for k in tasks]
    return models, sorted(tasks, key=lambda k: (like[k], rank[line.model[k]]))
