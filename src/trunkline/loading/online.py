"""Serving requests as they come: which batch next, and what leaves memory for it. [derived]

A server asks at each free moment; what it knows is a `View`: the clock, the requests that wait, the
blocks that are resident, what each model was asked for so far. A policy answers with a `Choice` or
with nothing. Policies keep no state and see no clock, so the same code runs in a server and in a
simulation. The policies are in `trunkline.loading.policies`.

The batch of a model is the same under every policy: as many of its waiting requests as can all be
answered in time, and of the ways to choose so many the most urgent. Requests that can no longer be
answered, even if they were next and alone, are for the caller to refuse (`View.hopeless`).
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trunkline.library import BlockGroup, ModelLibrary
from trunkline.links import Link
from trunkline.loading.problem import TIME_TOLERANCE, LoadingModel

PARTS: Final = 16
"""`Costs.parts` of a server and of a simulation. On random requests for the models of the serving
benchmark it saves 3 to 6 % of the bytes; finer pieces save little more."""

Bits = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Waiting(NamedTuple):
    """A request in the queue; ordered by deadline.

    Attributes:
        deadline_s: when its answer is due, on the clock of the view.
        arrived_s: when it came.
        key: the caller's number for it.
        model: position of its model in the library.
        tasks: how many samples it brings, at most the model's largest batch.
    """

    deadline_s: float
    arrived_s: float
    key: int
    model: int
    tasks: int = 1


@dataclass(frozen=True)
class Costs:
    """What loading and computing cost, and how much memory there is.

    Attributes:
        library: the models and their blocks.
        loading: V, the link over which blocks are loaded.
        models: compute costs, in the library's order.
        memory_bytes: the most payload that may be resident; None for the previous model's alone.
        partial: False loads models whole, and a model leaves whole.
        parts: blocks that the same models hold are cut into pieces of at most this part of the
            memory, if it is not 1: so little leaves beyond what a load needs.
    """

    library: ModelLibrary
    loading: Link
    models: tuple[LoadingModel, ...]
    memory_bytes: float | None = None
    partial: bool = True
    parts: int = 1

    @cached_property
    def pieces(self) -> tuple[BlockGroup, ...]:
        """What moves as one, where loading is partial: blocks that the same models hold."""
        if self.parts == 1 or self.memory_bytes is None:
            return self.library.merged
        most = self.memory_bytes / self.parts
        return tuple(part for group in self.library.merged for part in self._cut(group, most))

    def _cut(self, group: BlockGroup, most: float) -> Iterator[BlockGroup]:
        part: list[str] = []
        size = 0.0
        for block in group.blocks:
            bytes_ = self.library.blocks[block]
            if part and size + bytes_ > most:
                yield BlockGroup(group.models, tuple(part), size)
                part, size = [], 0.0
            part.append(block)
            size += bytes_
        yield BlockGroup(group.models, tuple(part), size)

    @cached_property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """Ids of the blocks of each piece (of each model, where loading is not partial)."""
        if self.partial:
            return tuple(group.blocks for group in self.pieces)
        return tuple(model.blocks for model in self.library)

    @cached_property
    def sizes(self) -> Floats:
        """Bytes of each piece."""
        if self.partial:
            return np.array([group.bytes for group in self.pieces])
        return np.array(self.library.model_bytes)

    @cached_property
    def holds(self) -> Bits:
        """Which model holds which piece: shape (models, pieces)."""
        if not self.partial:
            return np.eye(len(self.models), dtype=bool)
        held = np.zeros((len(self.models), len(self.sizes)), dtype=bool)
        for piece, group in enumerate(self.pieces):
            held[list(group.models), piece] = True
        return held

    @cached_property
    def weights(self) -> Floats:
        """Bytes of each piece for the models that hold it: shape (models, pieces)."""
        return self.holds * self.sizes

    @cached_property
    def fits(self) -> list[bool]:
        """Whether each model fits into the memory at all."""
        room = math.inf if self.memory_bytes is None else self.memory_bytes * (1 + TIME_TOLERANCE)
        return [size <= room for size in self.library.model_bytes]

    def load_seconds(self, resident: Bits) -> list[float]:
        """V of what each model lacks; infinite for one that does not fit into the memory."""
        lacking = (self.weights @ ~resident).tolist()
        fixed, per_byte = self.loading.overhead_s, self.loading.seconds_per_byte
        return [
            (fixed + one * per_byte if one > 0 else 0.0) if fits else math.inf
            for one, fits in zip(lacking, self.fits, strict=True)
        ]

    def where(self, resident: Collection[str]) -> Bits:
        """Which pieces are wholly among these blocks."""
        there = set(resident)
        return np.array([there.issuperset(ids) for ids in self.blocks], dtype=bool)

    def priced(self, loading: Link, models: tuple[LoadingModel, ...]) -> Costs:
        """The same models and memory at other prices, without deriving the sharing again."""
        fresh = replace(self, loading=loading, models=models)
        derived = ("pieces", "blocks", "sizes", "holds", "weights", "fits")
        vars(fresh).update({name: getattr(self, name) for name in derived})
        return fresh

    def compute_seconds(self, model: int, tasks: int) -> float:
        """mu b + beta of a batch."""
        costs = self.models[model]
        return costs.seconds_per_batch + costs.seconds_per_task * tasks


class Queue:
    """The requests that wait, by model and deadline."""

    def __init__(self, models: int) -> None:
        self.by_model: list[list[Waiting]] = [[] for _ in range(models)]

    def __len__(self) -> int:
        return sum(map(len, self.by_model))

    def __iter__(self) -> Iterator[Waiting]:
        return (one for line in self.by_model for one in line)

    def add(self, one: Waiting) -> None:
        """Put a request in."""
        line = self.by_model[one.model]
        if not line or line[-1].deadline_s < one.deadline_s:  # mostly, and `insort` compares often
            line.append(one)
        else:
            insort(line, one)

    def remove(self, gone: Iterable[Waiting]) -> None:
        """Take requests out."""
        keys: dict[int, set[int]] = {}
        for one in gone:
            keys.setdefault(one.model, set()).add(one.key)
        for model, of_model in keys.items():
            line = self.by_model[model]
            self.by_model[model] = [one for one in line if one.key not in of_model]


@dataclass(frozen=True)
class View:
    """What a policy sees.

    Attributes:
        now_s: when the batch could begin to compute, if its blocks were there.
        queue: the requests that wait.
        resident: which pieces of `Costs.blocks` are in memory, or on their way.
        asked: how many requests each model had so far (its popularity).
        last_use_s: when each piece was last used.
        load_from_s: when its load could begin, before or after `now_s`; None for `now_s`.
        arriving: which pieces are on their way; None for none.
        arrive_s: when they will be there.
        whole_load_s: `Costs.load_seconds` of what is resident, if the caller has it.
    """

    costs: Costs
    now_s: float
    queue: Queue
    resident: Bits
    asked: Sequence[float]
    last_use_s: Floats
    load_from_s: float | None = None
    arriving: Bits | None = None
    arrive_s: float = 0.0
    whole_load_s: Sequence[float] | None = None

    @cached_property
    def missing_s(self) -> Sequence[float]:
        """How long each model's missing blocks would load, whenever that began."""
        if self.whole_load_s is None:
            return self.costs.load_seconds(self.resident)
        return self.whole_load_s

    @cached_property
    def load_s(self) -> list[float]:
        """How long after `now_s` each model's blocks would be there."""
        loads = list(self.missing_s)
        if self.load_from_s is not None:
            later = self.load_from_s - self.now_s
            loads = [max(0.0, one + later) if one > 0 else 0.0 for one in loads]
        if self.arriving is not None and self.arrive_s > self.now_s:
            rest = self.arrive_s - self.now_s
            waits = (self.costs.holds @ self.arriving).tolist()
            loads = [
                max(one, rest) if wait else one for one, wait in zip(loads, waits, strict=True)
            ]
        return loads

    def batch(self, model: int) -> tuple[Waiting, ...]:
        """The model's batch: as many samples as can all be answered in time, the most urgent such.

        With d its earliest deadline, a batch has as many as end by d: one pass a deadline.
        """
        line = self.queue.by_model[model]
        sizes = [one.tasks for one in line]
        left, step = sum(sizes), math.gcd(*sizes) or 1  # batches are of multiples of that
        largest = self.costs.models[model].max_batch // step * step
        best: list[Waiting] = []
        most = 0
        least: list[int] = []
        for place, first in enumerate(line):
            if left <= most or most == largest:
                break
            room = self._room(model, first.deadline_s) // step * step
            if room > most:
                chosen, tasks = _fill(line, place, room, least[place] if least else step)
                if tasks > most:
                    best, most = chosen, tasks
                if tasks < room and not least:  # else each deadline would look at all that follow
                    least = list(accumulate(reversed(sizes), min))[::-1]
            left -= first.tasks
        return tuple(best)

    def _room(self, model: int, deadline_s: float) -> int:
        """The most samples of a batch that begins now and ends by a deadline."""
        costs = self.costs.models[model]
        begin_s = self.now_s + self.load_s[model]
        if costs.seconds_per_task <= 0:
            return costs.max_batch if begin_s + costs.seconds_per_batch <= deadline_s else 0
        rest_s = deadline_s - (begin_s + costs.seconds_per_batch)
        room = min(costs.max_batch, _whole(rest_s / costs.seconds_per_task))
        # rounding must not leave out what `finish_s` finds in time: it would wait for ever
        if room < costs.max_batch:
            room += begin_s + self.costs.compute_seconds(model, room + 1) <= deadline_s
        return room

    def finish_s(self, model: int, batch: Sequence[Waiting]) -> float:
        """When a batch that begins now ends."""
        tasks = sum(one.tasks for one in batch)
        return self.now_s + self.load_s[model] + self.costs.compute_seconds(model, tasks)

    def hopeless(self) -> list[Waiting]:
        """Requests that would be late even if they were next, alone."""
        return [
            one
            for model, line in enumerate(self.queue.by_model)
            for one in line
            if one.deadline_s < self.finish_s(model, (one,))
        ]


@dataclass(frozen=True, slots=True)
class Choice:
    """The next batch: a model and its requests, by deadline."""

    model: int
    batch: tuple[Waiting, ...]


Policy = Callable[[View], Choice | None]


def evictions(view: View, model: int, keep: Bits | None = None) -> Bits | None:
    """Which pieces leave before a model is loaded; None if it does not fit beside those to `keep`.

    Without a budget: all that it does not hold. With one, as few as needed: first what the fewest
    waiting and past requests would have to load again, per byte of it; the least recently used
    among equals. Whole models leave by last use alone.
    """
    costs = view.costs
    needs: Bits = costs.holds[model]
    others: Bits = view.resident & ~needs
    if costs.memory_bytes is None:
        return others if keep is None or not (others & keep).any() else None
    excess = float(costs.sizes @ (view.resident | needs)) - costs.memory_bytes * (
        1 + TIME_TOLERANCE
    )
    gone: Bits = np.zeros(len(others), dtype=bool)
    if excess <= 0:
        return gone
    places = np.flatnonzero(others if keep is None else others & ~keep)
    demand = np.zeros(len(places))
    if costs.partial:
        waiting = np.array([len(line) for line in view.queue.by_model], dtype=float)
        past = np.array(view.asked) / max(float(sum(view.asked)), 1.0)
        demand = (waiting + past) @ costs.holds[:, places]
    for place in places[np.lexsort((places, view.last_use_s[places], demand))]:
        if excess <= 0:
            break
        gone[place] = True
        excess -= float(costs.sizes[place])
    return gone if excess <= 0 else None


def _whole(tasks: float) -> int:
    """How many whole tasks: rounded down, but for what float rounding takes."""
    return math.floor(tasks * (1 + TIME_TOLERANCE)) if 0 <= tasks < math.inf else 0


def _fill(line: Sequence[Waiting], place: int, room: int, least: int) -> tuple[list[Waiting], int]:
    """The first requests from a place on that fit into so many samples together, and how many
    samples those are; each of them brings at least so many."""
    chosen, tasks = [], 0
    for at in range(place, len(line)):
        one = line[at]
        if tasks + one.tasks <= room:
            chosen.append(one)
            tasks += one.tasks
            if tasks + least > room:
                break
    return chosen, tasks
