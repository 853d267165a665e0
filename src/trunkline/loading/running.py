"""Batches run in order under any optional field, each step as early as can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from trunkline.loading.clocks import START, stages_of
from trunkline.loading.plan import Batch
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.schedule import Group, make_batch
from trunkline.loading.service import Reading


def batches_keeping(
    problem: LoadingProblem,
    reading: Reading,
    groups: Sequence[Group],
    kept: Sequence[Collection[str]],
) -> tuple[Batch, ...]:
    """The batches of these groups, each as early as can be.

    Args:
        kept: with a memory budget, for each group the blocks that must stay when it loads, beside
            its model's own. More stays where there is room.
    """
    run = Run(problem, reading)
    for place, ((model, members), stay) in enumerate(zip(groups, kept, strict=True)):
        if problem.memory_bytes is None:
            run.add(model, members)
        else:
            later = [problem.library.block_sets[one] for one, _ in groups[place + 1 :]]
            worth = dict.fromkeys(frozenset().union(*later), 1)
            run.add(model, members, run.room_for(model, stay, worth))
    return tuple(run.batches)


class Run:
    """Batches run until now.

    Attributes:
        batches: those added until now.
        resident: the blocks that are resident after them.
        clocks: when the stages are free after them.
    """

    def __init__(self, problem: LoadingProblem, reading: Reading) -> None:
        self.batches: list[Batch] = []
        self.resident = problem.resident
        self.clocks = START
        self.stages = stages_of(problem.overlap)
        self._problem = problem
        self._reading = reading

    @property
    def computing(self) -> frozenset[str]:
        """The blocks of the last batch's model."""
        if not self.batches:
            return frozenset()
        return self._problem.library.block_sets[self._problem.model_index[self.batches[-1].model]]

    def missing_bytes(self, model: int) -> float:
        """What a batch of a model would load."""
        library = self._problem.library
        return library.bytes_of(library.block_sets[model] - self.resident)

    def add(
        self,
        model: int,
        members: Sequence[int],
        evicted: Collection[str] = (),
        load_bytes: float | None = None,
    ) -> None:
        """Run a batch next.

        Args:
            model: its model's position.
            members: the positions of its tasks.
            evicted: with a memory budget, the blocks to drop first.
            load_bytes: what it loads, if not just what is missing.
        """
        problem = self._problem
        needs = problem.library.block_sets[model]
        if load_bytes is None:
            load_bytes = self.missing_bytes(model)
        batch = make_batch(problem, model, members, load_bytes, 0.0, self._reading)
        arrival_s = max(problem.tasks[k].arrival_s for k in members)
        waits = not self.computing.isdisjoint(evicted)
        work = (arrival_s, batch.upload_s, batch.load_s)
        start_s, load_start_s, compute_start_s = self.stages.starts(self.clocks, *work, waits)
        self.clocks = self.stages.step(self.clocks, *work, batch.compute_s, waits)
        batch = replace(batch, start_s=start_s, finish_s=compute_start_s + batch.compute_s)
        if problem.overlap:
            batch = replace(batch, load_start_s=load_start_s, compute_start_s=compute_start_s)
        if problem.memory_bytes is None:
            self.resident = needs
        else:
            self.resident = self.resident.union(needs).difference(evicted)
            batch = replace(batch, evicted=tuple(sorted(evicted)))
        self.batches.append(batch)

    def room_for(self, model: int, stay: Collection[str], worth: Mapping[str, int]) -> list[str]:
        """What to drop so that a model fits: what is worth least first, but what the last batch
        computes with only if nothing else makes room.

        Args:
            model: its position.
            stay: what must stay beside its own blocks.
            worth: how much blocks are worth to keep; others nothing.
        """
        library, needs = self._problem.library, self._problem.library.block_sets[model]
        excess = library.bytes_of(self.resident | needs) - self._problem.memory_limit
        computing = self.computing if self._problem.overlap else frozenset[str]()
        evicted: list[str] = []
        for block in sorted(
            self.resident.difference(needs, stay),
            key=lambda b: (b in computing, worth.get(b, 0), -library.blocks[b], b),
        ):
            if excess <= 0:
                break
            if library.blocks[block] > 0:
                evicted.append(block)
                excess -= library.blocks[block]
        return evicted
