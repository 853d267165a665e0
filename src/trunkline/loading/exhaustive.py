"""`exhaustive`: brute force over everything a plan may do, for tests and tiny problems.

No theorem is used: any set of tasks of one model may be a batch, in any order, models may be
visited again, and with a memory budget any blocks may be dropped to make room (never more than
that needs: dropping takes no time and can be done later). Least times over states (tasks served,
blocks resident, blocks in use), all that the future depends on; where batches overlap there are
three times, and none of them alone decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations

from trunkline.errors import UnsupportedProblemError
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem, time_limit
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import make_batch, plan_of
from trunkline.loading.service import Reading, Upload
from trunkline.timing import TimeLimit

MAX_TASKS = 12
"""More tasks than this are refused: the states double with each."""

MAX_BLOCKS = 16
"""With a memory budget, more blocks (with bytes, resident or asked for) than this are refused."""

_State = tuple[int, frozenset[str], frozenset[str]]
"""Tasks served (bits), blocks resident, and blocks of the last batch's model."""

_Times = tuple[float, float, float]
"""When the last upload ended, when the next load may begin, when the last computation ended."""

_Reached = tuple[_Times, "_Reached | None", Batch | None]
"""Times in a state, how it was reached, and by which batch."""


def exhaustive(
    problem: LoadingProblem, *, upload: Upload = "sum", time_limit_s: float | None = None
) -> LoadingPlan:
    """A plan that provably serves the most tasks, and of those ends first.

    Args:
        time_limit_s: after so many seconds the best plan so far is returned, not proven.

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
    start: _State = (0, problem.resident, frozenset())
    fronts: dict[_State, list[_Reached]] = {start: [((0.0, 0.0, 0.0), None, None)]}
    layers: list[list[_State]] = [[] for _ in range(count + 1)]
    layers[0].append(start)
    limit = TimeLimit(time_limit_s)
    stopped = False
    for state in chain.from_iterable(layers):  # a layer only grows while earlier ones are read
        if stopped := limit.is_up:
            break
        for reached in fronts[state]:
            for after, times, batch in _steps(problem, state, reached[0], reading):
                if after not in fronts:
                    fronts[after] = []
                    layers[after[0].bit_count()].append(after)
                _keep(fronts[after], (times, reached, batch))
    best = max(fronts, key=lambda state: (state[0].bit_count(), -_first_end(fronts[state])))
    batches: list[Batch] = []
    reached = min(fronts[best], key=lambda one: one[0][2])
    while reached[1] is not None and reached[2] is not None:
        batches.append(reached[2])
        reached = reached[1]
    batches.reverse()
    served = sum(len(batch.tasks) for batch in batches)
    bound = servable_bound(problem) if stopped else served
    return plan_of(problem, "exhaustive", tuple(batches), bound=bound)


def _first_end(front: list[_Reached]) -> float:
    """The earliest end among the ways to a state."""
    return min(times[2] for times, _, _ in front)


def _keep(front: list[_Reached], new: _Reached) -> None:
    """Add a way to a state unless another is as early in all times; drop those it replaces."""

    def as_early(one: _Reached, other: _Reached) -> bool:
        return all(a <= b for a, b in zip(one[0], other[0], strict=True))

    if not any(as_early(one, new) for one in front):
        front[:] = [one for one in front if not as_early(new, one)]
        front.append(new)


def _steps(
    problem: LoadingProblem, state: _State, times: _Times, reading: Reading
) -> Iterator[tuple[_State, _Times, Batch]]:
    """Every batch that can run next and end in time, with the state and the times after it."""
    served, resident, computing = state
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
                for evicted in _evictions(problem, resident, needs):
                    batch = make_batch(problem, index, members, load_bytes, 0.0, reading)
                    batch, after = _timed(problem, batch, members, times, evicted & computing)
                    due = min(problem.deadline_of(problem.tasks[k]) for k in members)
                    if batch.finish_s > time_limit(due):
                        continue
                    now = served | sum(1 << k for k in members)
                    if problem.memory_bytes is None:
                        yield (now, needs, frozenset()), after, batch
                    else:
                        batch = replace(batch, evicted=tuple(sorted(evicted)))
                        locked = needs if problem.overlap else frozenset[str]()
                        yield (now, (resident - evicted) | needs, locked), after, batch


def _timed(
    problem: LoadingProblem,
    batch: Batch,
    members: tuple[int, ...],
    times: _Times,
    waits_for: frozenset[str],
) -> tuple[Batch, _Times]:
    """A batch with its times, and the times after it; its load waits for the computation that
    holds the blocks in `waits_for`."""
    uploaded, may_load, ended = times
    arrival = max(problem.tasks[k].arrival_s for k in members)
    if not problem.overlap:
        start = max(ended, arrival)
        finish = start + batch.upload_s + batch.load_s + batch.compute_s
        return replace(batch, start_s=start, finish_s=finish), (finish, finish, finish)
    start = max(uploaded, arrival)
    load_start = max(start + batch.upload_s, may_load)
    if waits_for:
        load_start = max(load_start, ended)
    compute_start = max(load_start + batch.load_s, ended)
    finish = compute_start + batch.compute_s
    timed = replace(
        batch,
        start_s=start,
        load_start_s=load_start,
        compute_start_s=compute_start,
        finish_s=finish,
    )
    return timed, (start + batch.upload_s, max(load_start + batch.load_s, ended), finish)


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
