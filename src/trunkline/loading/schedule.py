"""From visits (which model serves how many, in which order) to a plan with all its times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.service import Reading, Service
from trunkline.loading.trie import Visit

Group = tuple[int, Sequence[int]]
"""A model's position and the positions of the tasks of one batch."""


def batches_of(
    problem: LoadingProblem,
    service: Service,
    visits: Iterable[Visit],
    *,
    whole: bool = False,
) -> tuple[Batch, ...]:
    """The batches of a sequence of visits, back to back from time 0.

    Each visit serves its model's quickest tasks (those not served by an earlier visit), in batches
    of Theorem 2.2. `whole` loads all of a model's blocks at each visit (Remark 4), else only those
    that the previous visit's model lacks, equation (8).
    """
    batches: list[Batch] = []
    clock = 0.0
    previous: int | None = None
    for groups in groups_of(problem, service, visits):
        for model, members in groups:
            load_bytes = load_bytes_after(problem, model, previous, whole=whole)
            previous = model
            batch = make_batch(problem, model, members, load_bytes, clock, service.reading)
            batches.append(batch)
            clock = batch.finish_s
    return tuple(batches)


def groups_of(
    problem: LoadingProblem, service: Service, visits: Iterable[Visit]
) -> list[list[Group]]:
    """The groups of each visit as `batches_of` makes its batches."""
    served = [0] * len(problem.models)
    found = []
    for model, count in visits:
        groups: list[Group] = []
        for size in service.reading.batch_sizes(count, problem.models[model].max_batch):
            first = served[model]
            served[model] += size
            groups.append((model, service.order[model][first : first + size]))
        found.append(groups)
    return found


def load_bytes_after(
    problem: LoadingProblem, model: int, previous: int | None, *, whole: bool = False
) -> float:
    """Bytes that a visit to `model` loads when `previous` was the model before it."""
    if model == previous:
        return 0
    return problem.library.missing_bytes(model, None if whole else previous)


def make_batch(
    problem: LoadingProblem,
    model: int,
    members: Sequence[int],
    load_bytes: float,
    start_s: float,
    reading: Reading,
) -> Batch:
    """The batch of these tasks (positions) that starts at `start_s` and loads `load_bytes`."""
    costs = problem.models[model]
    uploads = [problem.upload_s[k] for k in members]
    upload_s = reading.upload_seconds(uploads)
    load_s = problem.loading.seconds(load_bytes)
    compute_s = costs.seconds_per_task * len(members) + costs.seconds_per_batch
    return Batch(
        model=costs.id,
        tasks=tuple(problem.tasks[k].id for k in members),
        shares=tuple(shares(uploads)),
        load_bytes=load_bytes,
        upload_s=upload_s,
        load_s=load_s,
        compute_s=compute_s,
        start_s=start_s,
        finish_s=start_s + upload_s + load_s + compute_s,
    )


def shares(uploads: Sequence[float]) -> list[float]:
    """The optimal shares of the band, equation (12): u_k over the batch's sum of u_k."""
    together = sum(uploads)
    if together <= 0:
        return [0.0] * len(uploads)
    return [seconds / together for seconds in uploads]


def plan_of(
    problem: LoadingProblem,
    method: str,
    batches: tuple[Batch, ...],
    *,
    bound: int,
) -> LoadingPlan:
    """The plan made of these batches; proven where it serves as many as the bound allows.

    Raises:
        RuntimeError: it serves more than the bound, so one of the two is wrong (a bug).
    """
    served = sum(len(batch.tasks) for batch in batches)
    if served > bound:
        raise RuntimeError(f"{method!r} serves {served} tasks over its own bound of {bound}")
    return LoadingPlan(
        method=method,
        served=served,
        tasks=len(problem.tasks),
        bound=bound,
        proven=served == bound,
        solve_s=0.0,
        finish_s=batches[-1].finish_s if batches else 0.0,
        batches=batches,
    )
