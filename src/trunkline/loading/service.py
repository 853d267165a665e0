"""Seconds to serve the k quickest tasks of one model, once its blocks are resident.

Theorem 2 of PartialLoading: some optimum serves a model's tasks in one visit, in ascending order of
u_k = D_k/(B R_k), with every batch but one full. So all that a planner needs of a model's tasks is

    service(k) = upload of the k quickest + mu k + beta ceil(k / b_max),   service(0) = 0.

Under the reading "max" a batch is charged the longest u_k in it, (16). The batch that is not full
is then best the one of the *quickest* tasks: u = 1, 2, 10 in batches of two cost 1 + 10 as {1},
{2, 10} and 2 + 10 as the printed {1, 2}, {10}. [derived]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import InputError
from trunkline.loading.problem import LoadingModel, LoadingProblem, time_limit

Upload = Literal["sum", "max"]

Table = NDArray[np.float64]
"""table[k] = least seconds to serve k tasks; table[0] = 0, never decreasing, shape (k_max + 1,)."""


@dataclass(frozen=True)
class Service:
    """The tasks of each model in the order in which they are served, and their tables.

    Attributes:
        order: for each model, positions of its tasks in the problem, quickest upload first.
        tables: for each model, service(k) for k = 0.., cut where it passes the latest deadline.
        limit_s: where tables are cut.
        reading: how batches are charged and grouped.
    """

    order: list[list[int]]
    tables: list[Table]
    limit_s: float
    reading: Reading


@dataclass(frozen=True)
class Reading:
    """How a visit's tasks are charged for uploading, and grouped into batches.

    Attributes:
        upload: "sum" charges a batch the sum of its u_k, "max" the longest.
        partial_last: whether the batch that is not full comes last, as (16) is printed; else it
            comes where it costs least (under "sum" that makes no difference).
    """

    upload: Upload = "sum"
    partial_last: bool = False

    def __post_init__(self) -> None:
        if self.upload not in ("sum", "max"):
            raise InputError(f"upload: 'sum' or 'max', got {self.upload!r}")

    @property
    def partial_first(self) -> bool:
        """Whether the batch that is not full is that of the quickest uploads."""
        return self.upload == "max" and not self.partial_last

    def table(self, model: LoadingModel, uploads: Sequence[float]) -> Table:
        """service(k) of one model for k = 0..len(uploads); uploads ascending."""
        if self.upload == "sum":
            return _sum_table(model, uploads)
        return _max_table(model, uploads, self.partial_first)

    def batch_sizes(self, tasks: int, max_batch: int) -> list[int]:
        """The sizes of the batches in which `tasks` tasks of one visit run, in order."""
        full, rest = divmod(tasks, max_batch)
        partial = [rest] if rest else []
        batches = [max_batch] * full
        return [*partial, *batches] if self.partial_first else [*batches, *partial]

    def upload_seconds(self, uploads: Sequence[float]) -> float:
        """What a batch of these u_k is charged."""
        return sum(uploads) if self.upload == "sum" else max(uploads)


def service_of(problem: LoadingProblem, reading: Reading) -> Service:
    """The service tables of a problem, cut at its latest deadline."""
    deadlines = [t.deadline_s for t in problem.tasks if t.deadline_s is not None]
    limit_s = time_limit(max([problem.deadline_s, *deadlines]))
    seconds = problem.upload_s
    order: list[list[int]] = [[] for _ in problem.models]
    index = problem.model_index
    for position, task in enumerate(problem.tasks):
        order[index[task.model]].append(position)
    tables = []
    for model, positions in zip(problem.models, order, strict=True):
        if len(positions) > 1:
            positions.sort(key=lambda k: (seconds[k], problem.tasks[k].id))
        tables.append(cut(reading.table(model, [seconds[k] for k in positions]), limit_s))
    return Service(order, tables, limit_s, reading)


def cut(table: Table, limit_s: float) -> Table:
    """The entries of a table that are within `limit_s`."""
    if table[-1] <= limit_s:
        return table
    return table[: int(table.searchsorted(limit_s, side="right"))]


def _sum_table(model: LoadingModel, uploads: Sequence[float]) -> Table:
    """service(k) with uploads of a batch one after the other in effect, equation (11)."""
    table = [0.0]
    spent = 0.0
    beta, mu, full = model.seconds_per_batch, model.seconds_per_task, model.max_batch
    for k, seconds in enumerate(uploads):
        spent += seconds
        table.append(spent + mu * (k + 1) + beta * (k // full + 1))
    return np.array(table)


def _max_table(model: LoadingModel, uploads: Sequence[float], partial_first: bool) -> Table:
    """service(k) with a batch charged its longest upload."""
    table = [0.0]
    beta, mu, full = model.seconds_per_batch, model.seconds_per_task, model.max_batch
    longest: list[float] = [0.0] * (len(uploads) + 1)  # summed over the batches of the first k
    for k in range(1, len(uploads) + 1):
        before = max(0, k - full) if partial_first else (k - 1) // full * full
        longest[k] = uploads[k - 1] + longest[before]
        table.append(longest[k] + mu * k + beta * -(-k // full))
    return np.array(table)
