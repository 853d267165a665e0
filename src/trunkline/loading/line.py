"""A problem with optional fields as plain numbers and masks, for planners that try many batches.

Only what can be served at all is in it: tasks that can upload, whose model fits into memory and
that would be in time if they were alone and their model resident.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from trunkline.loading.clocks import stages_of
from trunkline.loading.masks import BlockMasks
from trunkline.loading.plan import Batch
from trunkline.loading.problem import LoadingProblem, in_time, time_limit
from trunkline.loading.running import batches_keeping
from trunkline.loading.schedule import Group
from trunkline.loading.service import Reading


class Line:
    """Tasks, models and blocks by position.

    Args:
        problem: with any optional field.
        reading: how uploads are charged.

    Attributes:
        position: of each task, by its id.
        is_sum: whether a batch is charged the sum of its uploads, not the longest.
        stages: how batches follow each other.
        upload_s, arrival_s, latest_s: of each task; the latest end of its batch, up to rounding.
        model: of each task.
        per_batch_s, per_task_s, max_batch: of each model.
        tasks: positions of the servable tasks of each model, quickest upload first.
        masks, needs: the blocks of models with servable tasks as bits; those of each model.
        budget: bytes of blocks that may be resident, None for the previous model's only.
        overlap: whether batches overlap.
        resident: what is resident at the start, of the blocks in `masks`.
    """

    def __init__(self, problem: LoadingProblem, reading: Reading) -> None:
        self.problem = problem
        self.reading = reading
        self.position = {task.id: k for k, task in enumerate(problem.tasks)}
        self.is_sum = reading.upload == "sum"
        self.overlap = problem.overlap
        self.stages = stages_of(problem.overlap)
        self.upload_s = problem.upload_s
        self.arrival_s = [task.arrival_s for task in problem.tasks]
        self.latest_s = [time_limit(problem.deadline_of(task)) for task in problem.tasks]
        self.model = [problem.model_index[task.model] for task in problem.tasks]
        self.per_batch_s = [model.seconds_per_batch for model in problem.models]
        self.per_task_s = [model.seconds_per_task for model in problem.models]
        self.max_batch = [model.max_batch for model in problem.models]
        self.tasks: list[list[int]] = [[] for _ in problem.models]
        for k in range(len(problem.tasks)):
            if self._servable(k):
                self.tasks[self.model[k]].append(k)
        for tasks in self.tasks:
            tasks.sort(key=lambda k: (self.upload_s[k], problem.tasks[k].id))
        library = problem.library
        held = [library.block_sets[i] if tasks else () for i, tasks in enumerate(self.tasks)]
        self.masks = BlockMasks({b: library.blocks[b] for blocks in held for b in blocks}, held)
        self.needs = self.masks.needs
        self.budget = None if problem.memory_bytes is None else problem.memory_limit
        self.resident = self.masks.mask(problem.resident)
        self._load_s: dict[int, float] = {}

    @property
    def servable(self) -> int:
        """How many tasks can be served at all."""
        return sum(map(len, self.tasks))

    def _servable(self, k: int) -> bool:
        task, model = self.problem.tasks[k], self.model[k]
        if not math.isfinite(self.upload_s[k]) or not self.problem.fits(model):
            return False
        alone = self.upload_s[k] + self.per_batch_s[model] + self.per_task_s[model]
        return in_time(task.arrival_s + alone, self.problem.deadline_of(task))

    def asks_for_more(self, k: int, than: int) -> bool:
        """Whether a task uploads no less, arrives no earlier and is due no later than another."""
        return (
            self.upload_s[k] >= self.upload_s[than]
            and self.arrival_s[k] >= self.arrival_s[than]
            and self.latest_s[k] <= self.latest_s[than]
        )

    def load_s(self, missing: int) -> float:
        """V of a set of blocks."""
        found = self._load_s.get(missing)
        if found is None:
            found = self.problem.loading.seconds(self.masks.bytes(missing))
            self._load_s[missing] = found
        return found

    def joint_upload_s(self, upload_s: float, k: int) -> float:
        """What a batch's upload of so many seconds becomes with one more task."""
        return upload_s + self.upload_s[k] if self.is_sum else max(upload_s, self.upload_s[k])

    def compute_s(self, model: int, tasks: int) -> float:
        """Equation (9)."""
        return self.per_task_s[model] * tasks + self.per_batch_s[model]

    def waits(self, needs: Sequence[int], kept: Sequence[int], place: int) -> bool:
        """Whether a batch evicts what the one before it computes with, so that its load waits.

        Args:
            needs, kept: of each batch, its model's blocks and what stays beside them.
            place: of the batch.
        """
        if self.budget is None or not place:
            return False
        return bool(needs[place - 1] & ~(kept[place] | needs[place]))

    def groups_of(self, batches: Iterable[Batch]) -> list[Group]:
        """Batches by positions."""
        return [
            (self.problem.model_index[batch.model], [self.position[name] for name in batch.tasks])
            for batch in batches
        ]

    def batches(self, groups: Sequence[Group], kept: Sequence[int]) -> tuple[Batch, ...]:
        """The batches of these groups when so much stays beside each one's own blocks."""
        names = [self.masks.names(stay) for stay in kept]
        return batches_keeping(self.problem, self.reading, groups, names)
