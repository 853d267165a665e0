"""Loading problems and plans as documents: `trunkline/loading-problem/1`, `.../loading-plan/1`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from trunkline.documents import (
    Identifier,
    NonNegative,
    Positive,
    PositiveInt,
    Raw,
    Strict,
    amounts,
    check_ids,
    decode,
)
from trunkline.errors import DocumentError
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading.plan import Batch, LoadingPlan
from trunkline.loading.problem import LoadingModel, LoadingProblem, Task

PROBLEM_FORMAT = "trunkline/loading-problem/1"

Share = Annotated[float, msgspec.Meta(ge=0, le=2)]


class _Stage(Strict):
    overhead_s: NonNegative
    bytes_per_s: Positive


class _Model(Strict):
    id: Identifier
    blocks: list[str]
    seconds_per_batch: NonNegative
    seconds_per_task: NonNegative
    max_batch: PositiveInt


class _Task(Strict):
    id: Identifier
    model: str
    upload_bits: NonNegative
    bits_per_s_per_hz: NonNegative
    arrival_s: NonNegative = 0.0
    deadline_s: NonNegative | None = None


class _Problem(Strict):
    format: Literal["trunkline/loading-problem/1"]
    deadline_s: NonNegative
    bandwidth_hz: NonNegative
    loading: list[_Stage]
    blocks: dict[str, Any]
    models: list[_Model]
    tasks: list[_Task]
    memory_bytes: NonNegative | None = None
    resident: list[str] = msgspec.field(default_factory=list)
    overlap: bool = False


class _Batch(Strict):
    model: str
    tasks: list[str]
    shares: list[Share]
    load_bytes: NonNegative
    upload_s: NonNegative
    load_s: NonNegative
    compute_s: NonNegative
    start_s: NonNegative
    finish_s: NonNegative
    evicted: list[str] | None = None
    load_start_s: NonNegative | None = None
    compute_start_s: NonNegative | None = None


class _Plan(Strict):
    format: Literal["trunkline/loading-plan/1"]
    method: str
    served: Annotated[int, msgspec.Meta(ge=0)]
    tasks: Annotated[int, msgspec.Meta(ge=0)]
    bound: Annotated[int, msgspec.Meta(ge=0)]
    proven: bool
    solve_s: NonNegative
    finish_s: NonNegative
    batches: list[_Batch]


def problem_from_document(raw: Raw) -> LoadingProblem:
    """The problem that a document states (DocumentError, with the path, where it states none)."""
    document = decode(raw, _Problem)
    sizes = amounts(document.blocks, "$.blocks", raw, "a size in bytes")
    check_ids((model.id for model in document.models), "$.models", raw)
    check_ids((task.id for task in document.tasks), "$.tasks", raw)
    for m, model in enumerate(document.models):
        for b, block in enumerate(model.blocks):
            if block not in sizes:
                raise DocumentError(f"$.models[{m}].blocks[{b}]", f"no block {block!r}", raw.source)
    known = {model.id for model in document.models}
    for t, task in enumerate(document.tasks):
        if task.model not in known:
            raise DocumentError(f"$.tasks[{t}].model", f"no model {task.model!r}", raw.source)
    for r, block in enumerate(document.resident):
        if block not in sizes:
            raise DocumentError(f"$.resident[{r}]", f"no block {block!r}", raw.source)
    return LoadingProblem(
        deadline_s=document.deadline_s,
        bandwidth_hz=document.bandwidth_hz,
        loading=Link(tuple(Stage(s.bytes_per_s, s.overhead_s) for s in document.loading)),
        library=ModelLibrary(sizes, [Model(m.id, tuple(m.blocks)) for m in document.models]),
        models=tuple(
            LoadingModel(m.id, m.seconds_per_batch, m.seconds_per_task, m.max_batch)
            for m in document.models
        ),
        tasks=tuple(
            Task(t.id, t.model, t.upload_bits, t.bits_per_s_per_hz, t.arrival_s, t.deadline_s)
            for t in document.tasks
        ),
        memory_bytes=document.memory_bytes,
        resident=frozenset(document.resident),
        overlap=document.overlap,
    )


def problem_to_document(problem: LoadingProblem) -> dict[str, Any]:
    """A problem as a document; optional fields stand only where they differ from their default."""
    document: dict[str, Any] = {
        "format": PROBLEM_FORMAT,
        "deadline_s": problem.deadline_s,
        "bandwidth_hz": problem.bandwidth_hz,
        "loading": [
            {"overhead_s": stage.overhead_s, "bytes_per_s": stage.bytes_per_s}
            for stage in problem.loading.stages
        ],
        "blocks": dict(problem.library.blocks),
        "models": [
            {
                "id": model.id,
                "blocks": list(problem.library[model.id].blocks),
                "seconds_per_batch": model.seconds_per_batch,
                "seconds_per_task": model.seconds_per_task,
                "max_batch": model.max_batch,
            }
            for model in problem.models
        ],
        "tasks": [_task_to_document(task) for task in problem.tasks],
    }
    if problem.memory_bytes is not None:
        document["memory_bytes"] = problem.memory_bytes
    if problem.resident:
        document["resident"] = sorted(problem.resident)
    if problem.overlap:
        document["overlap"] = True
    return document


def plan_from_document(raw: Raw) -> LoadingPlan:
    """The plan that a document states; whether it holds is for `check` to say."""
    document = decode(raw, _Plan)
    for n, batch in enumerate(document.batches):
        if (batch.load_start_s is None) != (batch.compute_start_s is None):
            problem = "load_start_s and compute_start_s stand together or not at all"
            raise DocumentError(f"$.batches[{n}]", problem, raw.source)
    return LoadingPlan(
        method=document.method,
        served=document.served,
        tasks=document.tasks,
        bound=document.bound,
        proven=document.proven,
        solve_s=document.solve_s,
        finish_s=document.finish_s,
        batches=tuple(_batch(batch) for batch in document.batches),
    )


def _batch(b: _Batch) -> Batch:
    return Batch(
        model=b.model,
        tasks=tuple(b.tasks),
        shares=tuple(b.shares),
        load_bytes=b.load_bytes,
        upload_s=b.upload_s,
        load_s=b.load_s,
        compute_s=b.compute_s,
        start_s=b.start_s,
        finish_s=b.finish_s,
        evicted=None if b.evicted is None else tuple(b.evicted),
        load_start_s=b.load_start_s,
        compute_start_s=b.compute_start_s,
    )


def _task_to_document(task: Task) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": task.id,
        "model": task.model,
        "upload_bits": task.upload_bits,
        "bits_per_s_per_hz": task.bits_per_s_per_hz,
    }
    if task.arrival_s:
        document["arrival_s"] = task.arrival_s
    if task.deadline_s is not None:
        document["deadline_s"] = task.deadline_s
    return document
