"""A greedy plan, batch by batch, under everything a loading problem may state. [derived]

At each free moment, of all batches that could start (for each model, its quickest waiting tasks,
one to b_max of them, those left out that could not end in time), the one that serves the most tasks
per second until it ends is run. Handles arrivals, deadlines per task, a memory budget with
evictions, and blocks resident at the start; exact for none of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from trunkline.loading.plan import Batch
from trunkline.loading.problem import LoadingProblem, time_limit
from trunkline.loading.schedule import make_batch
from trunkline.loading.service import Upload


@dataclass
class _State:
    """Where the plan stands: the clock, what is resident, what still waits."""

    clock: float
    resident: frozenset[str]
    waiting: set[int]


def forward_batches(
    problem: LoadingProblem, *, upload: Upload = "sum", whole: bool = False
) -> tuple[Batch, ...]:
    """The batches of the greedy rule above; `whole` loads whole models at every change of model."""
    state = _State(0.0, problem.resident, set(range(len(problem.tasks))))
    batches: list[Batch] = []
    while state.waiting:
        best = _best(problem, state, upload, whole, batches[-1].model if batches else None)
        if best is None:
            later = [
                problem.tasks[k].arrival_s
                for k in state.waiting
                if problem.tasks[k].arrival_s > state.clock
            ]
            if not later:
                break
            state.clock = min(later)
            continue
        members, batch = best
        batch, state.resident = _with_evictions(problem, state, batch, members, whole)
        batches.append(batch)
        state.clock = batch.finish_s
        state.waiting -= set(members)
    return tuple(batches)


def _best(
    problem: LoadingProblem, state: _State, upload: Upload, whole: bool, previous: str | None
) -> tuple[list[int], Batch] | None:
    """The batch of the greatest rate among those that could start now."""
    best: tuple[float, int, list[int], Batch] | None = None
    waiting: dict[str, list[int]] = {}
    uploads = problem.upload_s
    for k in state.waiting:
        if problem.tasks[k].arrival_s <= state.clock:
            waiting.setdefault(problem.tasks[k].model, []).append(k)
    for index, model in enumerate(problem.models):
        if model.id not in waiting:
            continue
        needs = problem.library.block_sets[index]
        size = problem.library.model_bytes[index]
        if problem.memory_bytes is not None and size > problem.memory_bytes:
            continue
        has = (needs if model.id == previous else frozenset()) if whole else state.resident
        load_bytes = problem.library.bytes_of(needs - has)
        candidates = sorted(waiting[model.id], key=lambda k: (uploads[k], problem.tasks[k].id))
        for most in range(1, min(len(candidates), model.max_batch) + 1):
            found = _in_time(problem, index, candidates, most, load_bytes, state.clock, upload)
            if found is None:
                continue
            members, batch = found
            seconds = batch.finish_s - state.clock
            rate = len(members) / seconds if seconds > 0 else math.inf
            if best is None or (rate, len(members)) > best[:2]:
                best = (rate, len(members), members, batch)
    return best and best[2:]


def _in_time(
    problem: LoadingProblem,
    model: int,
    candidates: list[int],
    most: int,
    load_bytes: float,
    clock: float,
    upload: Upload,
) -> tuple[list[int], Batch] | None:
    """A batch of up to `most` candidates all of which end in time; None if there is none."""
    left = [k for k in candidates if math.isfinite(problem.upload_s[k])]
    while left:
        members = left[:most]
        batch = make_batch(problem, model, members, load_bytes, clock, upload)
        late = {
            k for k in members if batch.finish_s > time_limit(problem.deadline_of(problem.tasks[k]))
        }
        if not late:
            return members, batch
        left = [k for k in left if k not in late]
    return None


def _with_evictions(
    problem: LoadingProblem, state: _State, batch: Batch, members: list[int], whole: bool
) -> tuple[Batch, frozenset[str]]:
    """The batch with what it evicts, and what is resident after it."""
    needs = frozenset(problem.library[batch.model].blocks)
    if problem.memory_bytes is None:
        return batch, needs
    sizes = problem.library.blocks
    demand = dict.fromkeys(state.resident, 0)
    for k in state.waiting.difference(members):
        for block in problem.library[problem.tasks[k].model].blocks:
            if block in demand:
                demand[block] += 1
    evicted: list[str] = sorted(state.resident - needs) if whole else []
    kept = state.resident.difference(evicted)
    held = sum(sizes[block] for block in kept | needs)
    for block in sorted(kept - needs, key=lambda b: (demand[b], -sizes[b], b)):
        if held <= problem.memory_bytes:
            break
        evicted.append(block)
        held -= sizes[block]
    return replace(batch, evicted=tuple(evicted)), (kept | needs).difference(evicted)
