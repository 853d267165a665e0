"""Carrying a plan out: real loads, real forwards, uploads waited for.

Uploads are emulated: the run waits as long as the plan says they take, since users and their radio
links are part of the problem and not of this machine. Loads and forwards are real and timed.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch

from trunkline.errors import InputError, StoreError
from trunkline.loading import Batch, LoadingPlan, LoadingProblem
from trunkline.loading.problem import in_time
from trunkline.runtime.cache import drop_cached, warm_files
from trunkline.runtime.inputs import gather, infer
from trunkline.runtime.profile import computing_key
from trunkline.runtime.report import BatchRun, RunReport
from trunkline.runtime.resident import digest_of
from trunkline.runtime.runtime import Runtime
from trunkline.store import Store, StoredModel

SPIN_S = 0.0002
"""The end of a wait is spun, since sleeping ends a little late."""


def execute(
    problem: LoadingProblem,
    plan: LoadingPlan,
    store: Store,
    *,
    inputs: Mapping[str, torch.Tensor] | None = None,
    seed: int = 0,
    device: str = "cpu",
    uploads: bool = True,
    cold: bool = False,
    outputs: MutableMapping[str, torch.Tensor] | None = None,
    copy: bool = False,
    tell: Callable[[int, int], None] | None = None,
) -> RunReport:
    """Carry out a plan for models of a store.

    Before the clock starts, modules are built, every (architecture, batch size) is computed twice,
    as a server does when it starts, and the models' files are read, so that loads come from the
    page cache (unless `cold`); then only what the problem calls resident is in memory.

    Args:
        problem, plan: the plan must hold for the problem (`trunkline.check`), and its batches run
            one after the other.
        inputs: task id -> tensor without batch dimension; None generates them from `seed`.
        uploads: whether to wait for the uploads.
        cold: before each batch the clock stands still while the system is asked to forget the
            cached pages of the model's files, so that every load comes from the disk itself.
        outputs: takes each task's output, by task id (`task/name` where a model has several).
        copy: copy every block, also where it could be used in the pages of its file (with `cold`
            this is done anyway: the system does not forget pages in use).
        tell: told (batches done, batches in all).

    Raises:
        InputError: a plan whose batches overlap; models or blocks of the problem that the store
            does not have, or inputs that are missing or don't fit; `cold` on a system that keeps
            files cached.
        ArchitectureError, MemoryBudgetError, StoreError: as `Runtime.switch`.
    """
    if plan.overlaps:
        raise InputError(
            "the plan's batches overlap, and this runtime runs one after the other: plan the "
            'problem without "overlap"'
        )
    partial = plan.method != "independent"
    budget = None if problem.memory_bytes is None else int(problem.memory_bytes)
    with Runtime(store, device, budget, partial, copy=copy or cold) as runtime:
        models = _models(problem, plan, runtime)
        wanted = [(t, b.model, models[b.model].input) for b in plan.batches for t in b.tasks]
        tensors = gather(inputs, wanted, seed)
        stacked = [_stack([tensors[t] for t in b.tasks], b.tasks) for b in plan.batches]
        _warm_up(problem, plan, models, runtime, stacked)
        if not cold:
            _read_all(models.values(), store)
        run = _Run(problem, plan, runtime, uploads, cold)
        results = run.carry_out(stacked, tell, keep=outputs is not None)
        if outputs is not None:
            for batch, result in zip(plan.batches, results, strict=True):
                _split(result, batch.tasks, outputs)
    return RunReport(
        plan.method, partial, len(problem.tasks), problem.deadline_s, uploads, tuple(run.done)
    )


class _Run:
    """The clock, and the batches that are done."""

    def __init__(
        self,
        problem: LoadingProblem,
        plan: LoadingPlan,
        runtime: Runtime,
        uploads: bool,
        cold: bool,
    ) -> None:
        self.done: list[BatchRun] = []
        self._problem = problem
        self._plan = plan
        self._runtime = runtime
        self._uploads = uploads
        self._cold = cold
        self._tasks = {task.id: task for task in problem.tasks}
        self._begin = 0.0

    def carry_out(
        self, stacked: list[torch.Tensor], tell: Callable[[int, int], None] | None, keep: bool
    ) -> list[Any]:
        """Run all batches on their inputs; returns what they computed, if that is to be kept."""
        results = []
        models = [batch.model for batch in self._plan.batches]
        with _quiet():
            self._begin = time.perf_counter()
            for number, (batch, tensor) in enumerate(zip(self._plan.batches, stacked, strict=True)):
                if tell is not None:
                    tell(number, len(models))
                # A plan with a budget says what leaves; otherwise the runtime chooses.
                choose = batch.evicted is None and self._runtime.memory_bytes is not None
                following = models[number + 1 :] if choose else None
                result = self._batch(batch, tensor, following)
                if keep:
                    results.append(result)
        return results

    def _batch(self, batch: Batch, tensor: torch.Tensor, following: list[str] | None) -> Any:
        arrivals = [self._tasks[task].arrival_s for task in batch.tasks]
        _wait_until(self._begin + max(arrivals, default=0.0))
        if self._cold:
            self._forget_files(batch.model)
        start = time.perf_counter()
        if self._uploads:
            _wait_until(start + batch.upload_s)
        uploaded = time.perf_counter()
        self._runtime.evict(batch.evicted or ())
        switch = self._runtime.switch(batch.model, next_use=following)
        self._runtime.synchronize()
        loaded = time.perf_counter()
        result = self._runtime.infer(batch.model, tensor)
        self._runtime.synchronize()
        finish = time.perf_counter()
        self.done.append(
            BatchRun(
                planned=batch,
                start_s=start - self._begin,
                upload_s=uploaded - start,
                load_s=loaded - uploaded,
                compute_s=finish - loaded,
                finish_s=finish - self._begin,
                bytes_moved=switch.bytes_moved,
                late=self._late(batch, finish - self._begin),
            )
        )
        return result

    def _forget_files(self, model: str) -> None:
        """Let the system drop the model's files from its cache; takes no time on our clock."""
        paused = time.perf_counter()
        store = self._runtime.store
        blocks = self._runtime.stored(model).blocks
        if not drop_cached([store.blob_path(digest_of(block)) for block in blocks if block.bytes]):
            raise InputError(
                f"the system keeps the files of {store.path} cached: no load can come from the disk"
            )
        self._begin += time.perf_counter() - paused

    def _late(self, batch: Batch, finish_s: float) -> tuple[str, ...]:
        return tuple(
            task
            for task in batch.tasks
            if not in_time(finish_s, self._problem.deadline_of(self._tasks[task]))
        )


def _models(problem: LoadingProblem, plan: LoadingPlan, runtime: Runtime) -> dict[str, StoredModel]:
    """The plan's models, checked to have the problem's blocks, their skeletons built."""
    found: dict[str, StoredModel] = {}
    for batch in plan.batches:
        if batch.model in found:
            continue
        model = runtime.store.model(batch.model)
        blocks = {block.digest for block in model.blocks}
        if blocks != set(problem.library[batch.model].blocks):
            raise InputError(
                f"the problem's model {batch.model!r} has other blocks than the one in the store "
                f"at {runtime.store.path}: make the problem from this store (`trunkline problem`)"
            )
        runtime.prepare(batch.model)
        found[batch.model] = model
    return found


def _warm_up(
    problem: LoadingProblem,
    plan: LoadingPlan,
    models: Mapping[str, StoredModel],
    runtime: Runtime,
    stacked: list[torch.Tensor],
) -> None:
    """Compute every (architecture, batch size) of the plan once; then leave in memory what the
    problem says."""
    seen = set()
    for batch, tensor in zip(plan.batches, stacked, strict=True):
        model = models[batch.model]
        architecture = model.architecture.key if model.architecture else ""
        key = (computing_key(model) if model.input else architecture, tuple(tensor.shape))
        if key not in seen:
            seen.add(key)
            runtime.switch(batch.model)
            for _ in range(2):
                infer(runtime, batch.model, tensor)
    _start_with(problem, models, runtime)


def _read_all(models: Iterable[StoredModel], store: Store) -> None:
    """Have the system cache the models' files."""
    digests = {block.digest for model in models for block in model.blocks if block.bytes}
    try:
        warm_files(store.blob_path(digest) for digest in sorted(digests))
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}") from None


def _start_with(
    problem: LoadingProblem, models: Mapping[str, StoredModel], runtime: Runtime
) -> None:
    """Make exactly the problem's resident blocks resident; whole-model loading has no use for
    them."""
    runtime.clear()
    if not runtime.partial:
        return
    known = {block.digest: name for name, model in models.items() for block in model.blocks}
    wanted = [digest for digest in sorted(problem.resident) if digest in known]
    runtime.bring(wanted)


def _stack(tensors: list[torch.Tensor], tasks: tuple[str, ...]) -> torch.Tensor:
    for tensor, task in zip(tensors, tasks, strict=True):
        if tensor.shape != tensors[0].shape or tensor.dtype != tensors[0].dtype:
            raise InputError(
                f"input of task {task!r} has the shape {list(tensor.shape)}, that of "
                f"{tasks[0]!r} in the same batch {list(tensors[0].shape)}"
            )
    return torch.stack(tensors)


def _split(result: Any, tasks: tuple[str, ...], outputs: MutableMapping[str, torch.Tensor]) -> None:
    """Each task's part of a batch's output."""
    if isinstance(result, torch.Tensor):
        parts: dict[str, Any] = {"": result}
    elif isinstance(result, Mapping):
        parts = {f"/{key}": value for key, value in result.items()}
    elif isinstance(result, (list, tuple)):
        parts = {f"/{index}": value for index, value in enumerate(result)}
    else:
        parts = {}
    for suffix, value in parts.items():
        if isinstance(value, torch.Tensor) and value.dim() and value.shape[0] == len(tasks):
            for row, task in enumerate(tasks):
                outputs[task + suffix] = value[row].cpu().clone()


def _wait_until(moment: float) -> None:
    rest = moment - time.perf_counter()
    if rest > SPIN_S:
        time.sleep(rest - SPIN_S)
    while time.perf_counter() < moment:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection while the clock runs."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
