"""The loading problem: which tasks to serve by their deadlines when models load partially.

PartialLoading, Section III. Tasks are served in batches, one model a batch, one batch after the
other; a batch uploads its tasks' inputs, loads the blocks that are not resident, and computes:

    upload    sum over the batch's tasks of u_k = D_k / (B R_k)                   (11)
    load      V(bytes of the model's blocks that are not resident)                (8)
    compute   mu_i b + beta_i for a batch of b <= b_max,i tasks of model i        (9)

Maximise the number of tasks whose batch ends by their deadline.

Beyond the paper, a problem may let batches overlap: a flow of three stages, each of which takes the
batches in their order, one at a time. While a batch computes, the next may load and later ones may
upload (their inputs wait in the server's memory). A batch

    uploads   once its tasks are there and the batch before it is uploaded
    loads     once it is uploaded, the batch before it is loaded and the one before that has ended
    computes  once it is loaded and the batch before it has ended

So one batch is loaded ahead at most: beside the blocks of the batch that computes, those of the
next one are in memory. With a memory budget both have to fit into it together: a load that evicts a
block of the batch before it waits until that one has ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from trunkline.errors import UnsupportedProblemError
from trunkline.library import ModelLibrary
from trunkline.links import Link

TIME_TOLERANCE = 1e-9
"""Times and memory may pass their limit by this much, relatively (float rounding)."""


@dataclass(frozen=True, slots=True)
class LoadingModel:
    """What computing with a model costs.

    Attributes:
        id: the model's id in the library.
        seconds_per_batch: beta, seconds that each batch takes whatever its size.
        seconds_per_task: mu, seconds that each task of a batch adds.
        max_batch: b_max, the most tasks in one batch (from the memory left for activations).
    """

    id: str
    seconds_per_batch: float
    seconds_per_task: float
    max_batch: int


@dataclass(frozen=True, slots=True)
class Task:
    """One request.

    Attributes:
        id: its name.
        model: id of the model that must answer it.
        upload_bits: D, size of its input; 0 for an input that is already here.
        bits_per_s_per_hz: R, the spectral efficiency of its user's link.
        arrival_s: when it arrives; its upload starts no earlier.
        deadline_s: its own deadline (a time, not a span), or None for the problem's.
    """

    id: str
    model: str
    upload_bits: float = 0.0
    bits_per_s_per_hz: float = 0.0
    arrival_s: float = 0.0
    deadline_s: float | None = None


@dataclass(frozen=True)
class LoadingProblem:
    """A loading problem; `trunkline.load` makes one from a document, checked.

    Attributes:
        deadline_s: the common deadline, seconds after the start.
        bandwidth_hz: B, the uplink bandwidth that a batch's tasks divide among them.
        loading: V, the link over which blocks are loaded.
        library: which model holds which block, and the blocks' sizes.
        models: compute costs, one for each model of the library, in the library's order.
        tasks: the requests.
        memory_bytes: residency budget for blocks; None means that only the blocks of the
            previous batch's model stay.
        resident: ids of the blocks that are resident at the start.
        overlap: whether the next batches' uploads and load may run while a batch computes.

    Raises:
        ValueError: the models are not the library's, a task or resident block names nothing, or
            the deadline or the bandwidth is negative or not finite.
    """

    deadline_s: float
    bandwidth_hz: float
    loading: Link
    library: ModelLibrary
    models: tuple[LoadingModel, ...]
    tasks: tuple[Task, ...]
    memory_bytes: float | None = None
    resident: frozenset[str] = field(default_factory=frozenset)
    overlap: bool = False

    def __post_init__(self) -> None:
        if [model.id for model in self.models] != [model.id for model in self.library]:
            raise ValueError("`models` must be the library's models, in its order")
        for task in self.tasks:
            if task.model not in self.model_index:
                raise ValueError(f"task {task.id!r} asks for no model {task.model!r}")
        if len({task.id for task in self.tasks}) != len(self.tasks):
            raise ValueError("two tasks have one id")
        for block in self.resident:
            if block not in self.library.blocks:
                raise ValueError(f"resident names no block {block!r}")
        if not (0 <= self.deadline_s < math.inf and 0 <= self.bandwidth_hz < math.inf):
            raise ValueError("deadline_s and bandwidth_hz must be at least 0 and finite")

    @cached_property
    def model_index(self) -> dict[str, int]:
        """The position of each model in `models`, by id."""
        return {model.id: index for index, model in enumerate(self.models)}

    @cached_property
    def plain(self) -> LoadingProblem | None:
        """The same problem as the paper states it: one deadline, all tasks there at the start,
        nothing resident, only the previous model's blocks kept, one batch after the other. None
        where an optional field makes a difference."""
        if self.overlap or self.memory_bytes is not None or self.useful_residents:
            return None
        one = self.one_deadline
        return one if one is None or not one.resident else replace(one, resident=frozenset())

    def plain_for(self, method: str) -> LoadingProblem:
        """The plain problem, for a method that takes no other.

        Raises:
            UnsupportedProblemError: an optional field makes a difference.
        """
        if self.plain is None:
            raise UnsupportedProblemError(
                f"{method!r} takes one deadline, tasks that are there at the start, no memory "
                "budget, nothing resident and no overlap; use 'optimal', 'insertion' or 'greedy'"
            )
        return self.plain

    @cached_property
    def one_deadline(self) -> LoadingProblem | None:
        """The same problem with the tasks' deadline as the common one; None where tasks arrive
        after the start or differ in their deadlines."""
        deadlines = {self.deadline_of(task) for task in self.tasks}
        if len(deadlines) > 1 or any(task.arrival_s for task in self.tasks):
            return None
        if all(task.deadline_s is None for task in self.tasks):
            return self
        return replace(
            self,
            deadline_s=deadlines.pop(),
            tasks=tuple(replace(task, deadline_s=None) for task in self.tasks),
        )

    @cached_property
    def useful_residents(self) -> frozenset[str]:
        """The blocks resident at the start that some task's model holds."""
        if not self.resident:
            return frozenset()
        asked = {self.model_index[task.model] for task in self.tasks}
        held = (self.library.block_sets[model] for model in asked)
        return self.resident.intersection(frozenset().union(*held))

    @property
    def memory_limit(self) -> float:
        """The bytes of blocks that may be resident, up to rounding; infinite without a budget."""
        if self.memory_bytes is None:
            return math.inf
        return self.memory_bytes * (1 + TIME_TOLERANCE)

    def fits(self, model: int) -> bool:
        """Whether a model's blocks fit into the memory budget at all."""
        return self.library.model_bytes[model] <= self.memory_limit

    @cached_property
    def upload_s(self) -> list[float]:
        """u_k = D_k/(B R_k) of each task, in seconds with the whole band.

        0 where there is nothing to upload, infinite where there is no band or no link to upload by.
        """
        band = self.bandwidth_hz
        return [
            0.0
            if task.upload_bits == 0
            else task.upload_bits / rate
            if (rate := band * task.bits_per_s_per_hz) > 0
            else math.inf
            for task in self.tasks
        ]

    def deadline_of(self, task: Task) -> float:
        """The time by which a task's batch must end."""
        return self.deadline_s if task.deadline_s is None else task.deadline_s


def in_time(finish_s: float, deadline_s: float) -> bool:
    """Whether `finish_s` meets `deadline_s`, up to rounding."""
    return finish_s <= time_limit(deadline_s)


def time_limit(deadline_s: float) -> float:
    """The latest finish that still counts as in time for `deadline_s`."""
    return deadline_s * (1.0 + TIME_TOLERANCE)
