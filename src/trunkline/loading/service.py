"""Seconds to serve the k quickest tasks of one model, once its blocks are resident.

Theorem 2 of PartialLoading: some optimum serves a model's tasks in one visit, in ascending order of
u_k = D_k/(B R_k), with every batch but one full. So all that a planner needs of a model's tasks is

    service(k) = upload of the k quickest + mu k + beta ceil(k / b_max),   service(0) = 0.

Under the reading "max" a batch is charged the longest u_k in it, (16). The batch that is not full
is then best the one of the *quickest* tasks: u = 1, 2, 10 in batches of two cost 1 + 10 as {1},
{2, 10} and 2 + 10 as the printed {1, 2}, {10}. [derived]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
        upload: how a batch's upload is charged.
        limit_s: where tables are cut.
    """

    order: list[list[int]]
    tables: list[Table]
    upload: Upload
    limit_s: float


def service_of(
    problem: LoadingProblem, upload: Upload = "sum", limit_s: float | None = None
) -> Service:
    """The service tables of a problem; `limit_s` defaults to its latest deadline."""
    if limit_s is None:
        deadlines = [t.deadline_s for t in problem.tasks if t.deadline_s is not None]
        limit_s = time_limit(max([problem.deadline_s, *deadlines]))
    seconds = problem.upload_s
    order: list[list[int]] = [[] for _ in problem.models]
    index = problem.model_index
    for position, task in enumerate(problem.tasks):
        order[index[task.model]].append(position)
    table_of = _sum_table if upload == "sum" else _max_table
    tables = []
    for model, positions in zip(problem.models, order, strict=True):
        if len(positions) > 1:
            positions.sort(key=lambda k: (seconds[k], problem.tasks[k].id))
        table = table_of(model, [seconds[k] for k in positions])
        if table[-1] > limit_s:
            table = table[: int(np.searchsorted(table, limit_s, side="right"))]
        tables.append(table)
    return Service(order, tables, upload, limit_s)


def _sum_table(model: LoadingModel, uploads: list[float]) -> Table:
    """service(k) with uploads of a batch one after the other in effect, equation (11)."""
    table = [0.0]
    spent = 0.0
    beta, mu, full = model.seconds_per_batch, model.seconds_per_task, model.max_batch
    for k, seconds in enumerate(uploads):
        spent += seconds
        table.append(spent + mu * (k + 1) + beta * (k // full + 1))
    return np.array(table)


def _max_table(model: LoadingModel, uploads: list[float]) -> Table:
    """service(k) with a batch charged its longest upload, the batch of the quickest not full."""
    table = [0.0]
    beta, mu, full = model.seconds_per_batch, model.seconds_per_task, model.max_batch
    longest_sum: list[float] = [0.0] * (len(uploads) + 1)  # of the first k tasks
    for k in range(1, len(uploads) + 1):
        longest_sum[k] = uploads[k - 1] + longest_sum[max(0, k - full)]
        table.append(longest_sum[k] + mu * k + beta * -(-k // full))
    return np.array(table)


def batch_sizes(tasks: int, max_batch: int, upload: Upload) -> list[int]:
    """The sizes of the batches in which `tasks` tasks of one visit run."""
    full, rest = divmod(tasks, max_batch)
    if not rest:
        return [max_batch] * full
    return [*[max_batch] * full, rest] if upload == "sum" else [rest, *[max_batch] * full]
