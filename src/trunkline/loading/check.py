"""Whether a loading plan holds: every time and limit recomputed from the definitions.

PartialLoading, Section III: constraints (2), (3), (5), (7), (8), (9), (10c)-(10e). This file shares
no code with any solver: it reads the problem's plain data and the plan, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from trunkline.errors import InputError
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem, Task

RELATIVE = 2e-9
"""Two figures agree, and a limit holds, up to this relative difference: twice what planners allow
themselves, so that rounding never refuses a plan that just meets a limit."""

FIGURES = ("load_bytes", "upload_s", "load_s", "compute_s", "start_s", "finish_s")

Upload = Literal["sum", "max"]


def check(problem: LoadingProblem, plan: LoadingPlan, *, upload: Upload = "sum") -> list[str]:
    """The violations of a plan, one sentence each; empty if the plan holds.

    What must hold: batches run one after the other and start after their tasks' arrivals; a task is
    served at most once, by its model, in time; a batch has 1 to max_batch tasks; shares are
    between 0 and 1 and sum to at most 1; upload, load and compute take as long as Section III says;
    a batch loads at least the blocks that are not resident and at most the whole model (a plan may
    reload what it has, never skip what it lacks); residents never pass the memory budget; the
    totals are the batches' totals and the bound is not below what is served.

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
            if not math.isfinite(value := getattr(batch, name)):
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
    clock = 0.0
    for n, batch in enumerate(plan.batches):
        here = f"batches[{n}]"
        if batch.model not in holds:
            yield f"{here}: no model {batch.model!r}"
            continue
        members = [tasks[task] for task in batch.tasks if task in tasks]
        yield from _membership(batch, here, tasks, served_in, n)
        yield from _timing(problem, batch, members, here, clock, upload)
        resident, faults = _loading(problem, batch, here, holds[batch.model], resident)
        yield from faults
        clock = max(clock, batch.finish_s)
    yield from _totals(problem, plan)


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
    clock: float,
    upload: Upload,
) -> Iterator[str]:
    costs = next(model for model in problem.models if model.id == batch.model)
    size = len(batch.tasks)
    if size > costs.max_batch:
        yield f"{here}: {size} tasks, but {batch.model!r} takes at most {costs.max_batch}"
    yield from _shares(batch, here)
    yield from _agree(here, "upload_s", batch.upload_s, _upload(problem, batch, members, upload))
    compute = costs.seconds_per_task * size + costs.seconds_per_batch
    yield from _agree(here, "compute_s", batch.compute_s, compute)
    earliest = max([clock, *(task.arrival_s for task in members)])
    if batch.start_s < earliest and not _close(batch.start_s, earliest):
        yield f"{here}: starts at {batch.start_s:g} s, before {earliest:g} s"
    finish = batch.start_s + batch.upload_s + batch.load_s + batch.compute_s
    yield from _agree(here, "finish_s", batch.finish_s, finish)
    for task in members:
        deadline = problem.deadline_s if task.deadline_s is None else task.deadline_s
        if batch.finish_s > deadline * (1 + RELATIVE):
            late = f"ends at {batch.finish_s:g} s, after the deadline {deadline:g} s"
            yield f"{here}: {late} of task {task.id!r}"


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
