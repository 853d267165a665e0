"""Greedy plans under everything a loading problem may state, made batch by batch. [derived]

At each free moment of the uplink, of all batches that could start, the one runs that serves the
most tasks per second until it ends. Not exact; every plan holds.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from trunkline.loading.plan import Batch
from trunkline.loading.problem import LoadingProblem, time_limit
from trunkline.loading.running import Run
from trunkline.loading.service import Reading

MAX_THRESHOLDS = 16
"""At most this many different deadlines are weighed for the members of one batch."""


def run_greedy(
    problem: LoadingProblem, reading: Reading, *, whole: bool = False
) -> tuple[Batch, ...]:
    """The batches of the greedy plan; `whole` loads whole models at every change of model."""
    return _Forward(problem, reading, whole).run()


class _Forward:
    """A plan in the making: what waits, and what has run."""

    def __init__(self, problem: LoadingProblem, reading: Reading, whole: bool) -> None:
        self._problem = problem
        self._reading = reading
        self._whole = whole
        self._run = Run(problem, reading)
        self._moment_s = 0.0
        self._current: int | None = None
        self._uploads = np.array(problem.upload_s)
        self._latest = np.array([time_limit(problem.deadline_of(t)) for t in problem.tasks])
        self._waiting: list[list[int]] = [[] for _ in problem.models]
        for k, task in enumerate(problem.tasks):
            model = problem.model_index[task.model]
            if math.isfinite(problem.upload_s[k]) and problem.fits(model):
                self._waiting[model].append(k)
        for members in self._waiting:
            members.sort(key=lambda k: (problem.upload_s[k], problem.tasks[k].id))

    def run(self) -> tuple[Batch, ...]:
        """Run the batch of the greatest rate again and again, until none can end in time."""
        while True:
            best = self._best()
            if best is not None:
                self._start(*best[2])
                continue
            arrivals = [
                self._problem.tasks[k].arrival_s for members in self._waiting for k in members
            ]
            later = [arrival_s for arrival_s in arrivals if arrival_s > self._moment_s]
            if not later:
                return tuple(self._run.batches)
            self._moment_s = min(later)

    def _start(self, model: int, members: list[int]) -> None:
        gone = set(members)
        self._waiting[model] = [k for k in self._waiting[model] if k not in gone]
        self._run.add(model, members, self._evicted(model), self._load_bytes(model))
        self._current = model
        self._moment_s = max(self._moment_s, self._run.clocks[0])

    def _load_bytes(self, model: int) -> float:
        if self._whole:
            return 0 if model == self._current else self._problem.library.model_bytes[model]
        return self._run.missing_bytes(model)

    def _evicted(self, model: int) -> list[str]:
        """What goes before a model loads: what the fewest waiting tasks need first; all that may go
        where models load whole."""
        if self._problem.memory_bytes is None:
            return []
        computing = self._ahead(model)
        if self._whole:
            needs = self._problem.library.block_sets[model]
            return sorted(self._run.resident.difference(needs, computing))
        demand: Counter[str] = Counter()
        for i, members in enumerate(self._waiting):
            if members:
                demand.update(dict.fromkeys(self._problem.library.block_sets[i], len(members)))
        return self._run.room_for(model, computing, demand)

    def _ahead(self, model: int) -> frozenset[str]:
        """The blocks that must stay so that a model can be loaded while the last batch computes;
        none where that cannot be, or batches do not overlap."""
        library, computing = self._problem.library, self._run.computing
        if not self._problem.overlap:
            return frozenset()
        both = library.bytes_of(computing | library.block_sets[model])
        return computing if both <= self._problem.memory_limit else frozenset()

    def _best(self) -> tuple[float, int, tuple[int, list[int]]] | None:
        """The batch of the greatest rate (then of most tasks) of those that can start now."""
        best: tuple[float, int, tuple[int, list[int]]] | None = None
        for model, members in enumerate(self._waiting):
            here = [k for k in members if self._problem.tasks[k].arrival_s <= self._moment_s]
            found = self._best_of(model, here) if here else None
            if found is not None and (best is None or found[:2] > best[:2]):
                best = found
        return best

    def _best_of(
        self, model: int, here: list[int]
    ) -> tuple[float, int, tuple[int, list[int]]] | None:
        """The best batch of one model: for a deadline, the quickest tasks that have at least it."""
        costs = self._problem.models[model]
        load_s = self._problem.loading.seconds(self._load_bytes(model))
        upload, load, compute = self._run.clocks
        if self._problem.overlap and not self._run.computing.isdisjoint(self._evicted(model)):
            load = max(load, compute)
        positions = np.array(here)
        latest = self._latest[positions]
        thresholds = np.unique(latest)
        if thresholds.size > MAX_THRESHOLDS:
            thresholds = np.quantile(thresholds, np.linspace(0, 1, MAX_THRESHOLDS), method="lower")
        best: tuple[float, int, tuple[int, list[int]]] | None = None
        for threshold in thresholds:
            eligible = positions[latest >= threshold][: costs.max_batch]
            uploads = self._uploads[eligible]
            charged = np.cumsum(uploads) if self._reading.upload == "sum" else uploads
            counts = np.arange(1, eligible.size + 1)
            loaded = np.maximum(max(upload, self._moment_s) + charged, load) + load_s
            computing = costs.seconds_per_batch + costs.seconds_per_task * counts
            ends = np.maximum(loaded, compute) + computing
            reach = int(np.searchsorted(ends, threshold, side="right"))
            if not reach:
                continue
            with np.errstate(divide="ignore"):
                rates = counts[:reach] / (ends[:reach] - compute)
            k = reach - 1 - int(rates[::-1].argmax())
            if best is None or (rates[k], k + 1) > best[:2]:
                best = (float(rates[k]), k + 1, (model, eligible[: k + 1].tolist()))
        return best
