"""`exhaustive`: brute force over everything a plan may do, for tests and tiny problems.

No theorem is used: any set of tasks of one model may be a batch, in any order, models may be
visited again, and with a memory budget any blocks may be dropped to make room (never more than
that needs: dropping takes no time and can be done later). Least finish time over states (tasks
served, blocks resident), which is all that the future depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from trunkline.errors import UnsupportedProblemError
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem, time_limit
from trunkline.loading.schedule import make_batch, plan_of
from trunkline.loading.service import Reading, Upload

MAX_TASKS = 12
"""More tasks than this are refused: the states double with each."""

MAX_BLOCKS = 16
"""With a memory budget, more blocks (with bytes, resident or asked for) than this are refused."""

_State = tuple[int, frozenset[str]]  # tasks served (bits), blocks resident


def exhaustive(problem: LoadingProblem, *, upload: Upload = "sum") -> LoadingPlan:
    """A plan that provably serves the most tasks, and of those ends first.

    Raises:
        UnsupportedProblemError: more than `MAX_TASKS` tasks, or with a memory budget more than
            `MAX_BLOCKS` blocks.
    """
    count = len(problem.tasks)
    if count > MAX_TASKS:
        raise UnsupportedProblemError(
            f"'exhaustive' takes at most {MAX_TASKS} tasks, the problem has {count}"
        )
    if problem.memory_bytes is not None and (blocks := _blocks_in_doubt(problem)) > MAX_BLOCKS:
        raise UnsupportedProblemError(
            f"'exhaustive' weighs at most {MAX_BLOCKS} blocks for a memory budget, "
            f"the problem has {blocks}"
        )
    reading = Reading(upload)
    start: _State = (0, problem.resident)
    finish: dict[_State, float] = {start: 0.0}
    came_from: dict[_State, tuple[_State, Batch]] = {}
    layers: list[list[_State]] = [[] for _ in range(count + 1)]
    layers[0].append(start)
    for layer in layers:
        for state in layer:
            for after, batch in _steps(problem, state, finish[state], reading):
                if after not in finish:
                    layers[after[0].bit_count()].append(after)
                elif finish[after] <= batch.finish_s:
                    continue
                finish[after] = batch.finish_s
                came_from[after] = (state, batch)
    best = min(finish, key=lambda state: (-state[0].bit_count(), finish[state]))
    batches: list[Batch] = []
    while best in came_from:
        best, batch = came_from[best]
        batches.append(batch)
    batches.reverse()
    served = sum(len(batch.tasks) for batch in batches)
    return plan_of(problem, "exhaustive", tuple(batches), bound=served)


def _steps(
    problem: LoadingProblem, state: _State, clock: float, reading: Reading
) -> Iterator[tuple[_State, Batch]]:
    """Every batch that can run next and end in time, with the state after it."""
    served, resident = state
    for index, model in enumerate(problem.models):
        waiting = [
            k
            for k, task in enumerate(problem.tasks)
            if task.model == model.id and not served >> k & 1
        ]
        if not waiting:
            continue
        needs = problem.library.block_sets[index]
        load_bytes = problem.library.bytes_of(needs - resident)
        for size in range(1, min(len(waiting), model.max_batch) + 1):
            for members in combinations(waiting, size):
                begin = max([clock, *(problem.tasks[k].arrival_s for k in members)])
                batch = make_batch(problem, index, members, load_bytes, begin, reading)
                tasks = [problem.tasks[k] for k in members]
                if any(batch.finish_s > time_limit(problem.deadline_of(t)) for t in tasks):
                    continue
                now = served | sum(1 << k for k in members)
                for evicted in _evictions(problem, resident, needs):
                    after = (resident - evicted) | needs
                    if problem.memory_bytes is None:
                        yield (now, needs), batch
                    else:
                        yield (now, after), replace(batch, evicted=tuple(sorted(evicted)))


def _blocks_in_doubt(problem: LoadingProblem) -> int:
    """The blocks with bytes that are resident at the start or that a task's model holds."""
    asked = (problem.library[task.model].blocks for task in problem.tasks)
    return sum(problem.library.blocks[b] > 0 for b in problem.resident.union(*asked))


def _evictions(
    problem: LoadingProblem, resident: frozenset[str], needs: frozenset[str]
) -> Iterator[frozenset[str]]:
    """Every choice of blocks to drop that makes room for a model and of which none could stay;
    nothing where it cannot fit."""
    if problem.memory_bytes is None:
        yield resident - needs
        return
    sizes = problem.library.blocks
    others = sorted(block for block in resident - needs if sizes[block] > 0)
    excess = problem.library.bytes_of(resident | needs) - problem.memory_limit
    for size in range(len(others) + 1):
        for evicted in combinations(others, size):
            freed = sum(sizes[block] for block in evicted)
            if freed >= excess and all(freed - sizes[block] < excess for block in evicted):
                yield frozenset(evicted)
