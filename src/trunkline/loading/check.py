"""Whether a loading plan holds: every time and limit recomputed from the definitions.

PartialLoading, Section III: constraints (2), (3), (5), (7), (8), (9), (10c)-(10e). This file shares
no code with any solver: it reads the problem's plain data and the plan, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trunkline.errors import InputError
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem, Task

RELATIVE = 2e-9
"""Two figures agree, and a limit holds, up to this relative difference: twice what planners allow
themselves, so that rounding never refuses a plan that just meets a limit."""

FIGURES = (
    "load_bytes",
    "upload_s",
    "load_s",
    "compute_s",
    "start_s",
    "load_start_s",
    "compute_start_s",
    "finish_s",
)

Upload = Literal["sum", "max"]


def check(problem: LoadingProblem, plan: LoadingPlan, *, upload: Upload = "sum") -> list[str]:
    """The violations of a plan, one sentence each; empty if the plan holds.

    What must hold: batches run one after the other and start after their tasks' arrivals; a task is
    served at most once, by its model, in time; a batch has 1 to max_batch tasks; shares are
    between 0 and 1 and sum to at most 1; upload, load and compute take as long as Section III says;
    a batch loads at least the blocks that are not resident and at most the whole model (a plan may
    reload what it has, never skip what it lacks); residents never pass the memory budget; the
    totals are the batches' totals and the bound is not below what is served.

    Where the problem allows overlap, a batch may say when it loads and computes. Then uploads do
    not overlap each other, nor do loads, nor computations; each batch's steps follow each other; a
    load begins after the batch before the last has ended; and no block is evicted while a batch
    computes with it.

    Args:
        upload: "sum" charges a batch by its shares, equation (7); "max" charges it the longest
            u_k of its tasks, as (16) and (23) are printed.
    """
    if upload not in ("sum", "max"):
        raise InputError(f"upload: 'sum' or 'max', got {upload!r}")
    if faults := list(_not_finite(plan)):
        return faults
    return list(_violations(problem, plan, upload))


def _not_finite(plan: LoadingPlan) -> Iterator[str]:
    """Figures that are no finite number; with one of them nothing else can be judged."""
    for n, batch in enumerate(plan.batches):
        for name in FIGURES:
            value = getattr(batch, name)
            if value is not None and not math.isfinite(value):
                yield f"batches[{n}]: {name} is {value}"
        if any(not math.isfinite(share) for share in batch.shares):
            yield f"batches[{n}]: a share is not a finite number"
    if not math.isfinite(plan.finish_s):
        yield f"plan: finish_s is {plan.finish_s}"


def _violations(problem: LoadingProblem, plan: LoadingPlan, upload: Upload) -> Iterator[str]:
    tasks = {task.id: task for task in problem.tasks}
    holds = {model.id: frozenset(model.blocks) for model in problem.library}
    resident = frozenset(problem.resident)
    served_in: dict[str, int] = {}
    line = _Line()
    for n, batch in enumerate(plan.batches):
        here = f"batches[{n}]"
        if batch.model not in holds:
            yield f"{here}: no model {batch.model!r}"
            continue
        members = [tasks[task] for task in batch.tasks if task in tasks]
        yield from _membership(batch, here, tasks, served_in, n)
        yield from _timing(problem, batch, members, here, upload)
        yield from _order(problem, batch, members, here, line)
        if not _is_before(line.ended_s, _loads(batch)):
            for block in sorted(line.computing.intersection(batch.evicted or ())):
                yield f"{here}: evicts {block!r} while the batch before it computes with it"
        resident, faults = _loading(problem, batch, here, holds[batch.model], resident)
        yield from faults
        line.add(batch, holds[batch.model])
    yield from _totals(problem, plan)


@dataclass
class _Line:
    """The batches until now.

    Attributes:
        uploaded_s, loaded_s, ended_s: when the last of their uploads, loads and computations ends.
        last_but_one_s: when the last computation but one ends.
        computing: the blocks of the last batch's model.
    """

    uploaded_s: float = 0.0
    loaded_s: float = 0.0
    ended_s: float = 0.0
    last_but_one_s: float = 0.0
    computing: frozenset[str] = frozenset()

    def add(self, batch: Batch, blocks: frozenset[str]) -> None:
        self.uploaded_s = max(self.uploaded_s, batch.start_s + batch.upload_s)
        self.loaded_s = max(self.loaded_s, _loads(batch) + batch.load_s)
        self.last_but_one_s = self.ended_s
        self.ended_s = max(self.ended_s, batch.finish_s)
        self.computing = blocks


def _membership(
    batch: Batch, here: str, tasks: dict[str, Task], served_in: dict[str, int], n: int
) -> Iterator[str]:
    if not batch.tasks:
        yield f"{here}: has no task"
    for task in batch.tasks:
        if task not in tasks:
            yield f"{here}: no task {task!r}"
        elif tasks[task].model != batch.model:
            yield f"{here}: task {task!r} asks for {tasks[task].model!r}, not {batch.model!r}"
        if task in served_in:
            yield f"{here}: task {task!r} is already served in batches[{served_in[task]}]"
        served_in[task] = n


def _timing(
    problem: LoadingProblem,
    batch: Batch,
    members: list[Task],
    here: str,
    upload: Upload,
) -> Iterator[str]:
    """How long the steps of a batch take, and whether its tasks are in time."""
    costs = next(model for model in problem.models if model.id == batch.model)
    size = len(batch.tasks)
    if size > costs.max_batch:
        yield f"{here}: {size} tasks, but {batch.model!r} takes at most {costs.max_batch}"
    yield from _shares(batch, here)
    yield from _agree(here, "upload_s", batch.upload_s, _upload(problem, batch, members, upload))
    compute = costs.seconds_per_task * size + costs.seconds_per_batch
    yield from _agree(here, "compute_s", batch.compute_s, compute)
    yield from _agree(here, "finish_s", batch.finish_s, _computes(batch) + batch.compute_s)
    for task in members:
        deadline = problem.deadline_s if task.deadline_s is None else task.deadline_s
        if batch.finish_s > deadline * (1 + RELATIVE):
            late = f"ends at {batch.finish_s:g} s, after the deadline {deadline:g} s"
            yield f"{here}: {late} of task {task.id!r}"


def _order(
    problem: LoadingProblem, batch: Batch, members: list[Task], here: str, line: _Line
) -> Iterator[str]:
    """Whether each step of a batch begins when it may."""
    there = max([0.0, *(task.arrival_s for task in members)])
    if not problem.overlap:
        if batch.load_start_s is not None or batch.compute_start_s is not None:
            yield f"{here}: overlaps others, but the problem does not allow it"
        yield from _not_before(here, "starts", batch.start_s, there, line.ended_s)
        return
    uploaded, loaded = batch.start_s + batch.upload_s, _loads(batch) + batch.load_s
    may_load = max(line.loaded_s, line.last_but_one_s)
    yield from _not_before(here, "starts", batch.start_s, there, line.uploaded_s)
    yield from _not_before(here, "loads", _loads(batch), uploaded, may_load)
    yield from _not_before(here, "computes", _computes(batch), loaded, line.ended_s)


def _not_before(here: str, what: str, moment: float, own: float, others: float) -> Iterator[str]:
    """Whether a step begins when its own batch and the others let it."""
    earliest = max(own, others)
    if not _is_before(earliest, moment):
        yield f"{here}: {what} at {moment:g} s, before {earliest:g} s"


def _is_before(one: float, other: float) -> bool:
    """Whether one moment is no later than another, up to rounding."""
    return one <= other or _close(one, other)


def _loads(batch: Batch) -> float:
    """When a batch starts loading."""
    stated = batch.load_start_s
    return batch.start_s + batch.upload_s if stated is None else stated


def _computes(batch: Batch) -> float:
    """When a batch starts computing."""
    stated = batch.compute_start_s
    return _loads(batch) + batch.load_s if stated is None else stated


def _shares(batch: Batch, here: str) -> Iterator[str]:
    if len(batch.shares) != len(batch.tasks):
        yield f"{here}: {len(batch.shares)} shares for {len(batch.tasks)} tasks"
    if any(not 0 <= share <= 1 + RELATIVE for share in batch.shares):
        yield f"{here}: a share is not between 0 and 1"
    elif math.fsum(batch.shares) > 1 + RELATIVE:
        yield f"{here}: the shares sum to {math.fsum(batch.shares):.12g}, over 1"


def _upload(problem: LoadingProblem, batch: Batch, members: list[Task], upload: Upload) -> float:
    """Equations (6), (7): the slowest task's upload with its share of the band (or all of it)."""
    longest = 0.0
    for task, share in zip(members, batch.shares, strict=False):
        if task.upload_bits > 0:
            band = problem.bandwidth_hz * (share if upload == "sum" else 1.0)
            rate = band * task.bits_per_s_per_hz
            longest = max(longest, task.upload_bits / rate if rate > 0 else math.inf)
    return longest


def _loading(
    problem: LoadingProblem, batch: Batch, here: str, needs: frozenset[str], before: frozenset[str]
) -> tuple[frozenset[str], list[str]]:
    """Equation (8) with the residency rule in force; returns what is resident afterwards."""
    faults: list[str] = []
    sizes = problem.library.blocks

    def total(blocks: frozenset[str]) -> float:
        return math.fsum(sizes[block] for block in blocks)

    kept = before
    if problem.memory_bytes is None:
        if batch.evicted:
            faults.append(f"{here}: evicts blocks, but the problem has no memory budget")
    else:
        evicted = frozenset(batch.evicted or ())
        for block in sorted(evicted - before):
            faults.append(f"{here}: evicts {block!r}, which is not resident")
        kept = before - evicted
    missing = total(needs - kept)
    if batch.load_bytes < missing and not _close(batch.load_bytes, missing):
        faults.append(f"{here}: loads {batch.load_bytes:g} bytes, but lacks {missing:g}")
    whole = total(needs)
    if batch.load_bytes > whole and not _close(batch.load_bytes, whole):
        faults.append(f"{here}: loads {batch.load_bytes:g} bytes, the model has {whole:g}")
    seconds = 0.0
    if batch.load_bytes > 0:
        for stage in problem.loading.stages:
            seconds += stage.overhead_s + batch.load_bytes / stage.bytes_per_s
    faults += _agree(here, "load_s", batch.load_s, seconds)
    if problem.memory_bytes is None:
        return needs, faults
    after = kept | needs
    if total(after) > problem.memory_bytes * (1 + RELATIVE):
        held = f"{total(after):g} bytes are resident"
        faults.append(f"{here}: {held}, over the budget of {problem.memory_bytes:g}")
    return after, faults


def _totals(problem: LoadingProblem, plan: LoadingPlan) -> Iterator[str]:
    served = sum(len(batch.tasks) for batch in plan.batches)
    if plan.served != served:
        yield f"served is {plan.served}, the batches have {served} tasks"
    if plan.tasks != len(problem.tasks):
        yield f"tasks is {plan.tasks}, the problem has {len(problem.tasks)}"
    if plan.bound < plan.served:
        yield f"bound is {plan.bound}, below the {plan.served} served"
    if plan.proven and plan.bound != plan.served:
        yield f"proven, but bound {plan.bound} and served {plan.served} differ"
    last = max((batch.finish_s for batch in plan.batches), default=0.0)
    yield from _agree("plan", "finish_s", plan.finish_s, last)


def _agree(here: str, name: str, stated: float, true: float) -> Iterator[str]:
    if not _close(stated, true):
        yield f"{here}: {name} is {stated:.12g}, recomputed {true:.12g}"


def _close(a: float, b: float, scale: float = 0.0) -> bool:
    """Whether two figures agree; `scale` is the size of what they are differences of."""
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-12 * scale)
