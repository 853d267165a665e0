"""Greedy plans under everything a loading problem may state, made batch by batch. [derived]

`Forward` keeps the clock, what is resident and what waits. At each free moment it takes, of all
batches that could start, the one that serves the most tasks per second until it ends. Not exact;
every plan holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trunkline.loading.plan import Batch
from trunkline.loading.problem import LoadingProblem, time_limit
from trunkline.loading.schedule import Group, make_batch
from trunkline.loading.service import Reading

MAX_THRESHOLDS = 16
"""At most this many different deadlines are weighed for the members of one batch."""


class Forward:
    """A plan in the making.

    Args:
        problem: with any optional field.
        reading: how uploads are charged.
        whole: load whole models at every change of model.
    """

    def __init__(self, problem: LoadingProblem, reading: Reading, *, whole: bool = False) -> None:
        self.batches: list[Batch] = []
        self._problem = problem
        self._reading = reading
        self._whole = whole
        self._clock = 0.0
        self._resident = problem.resident
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

    def run_greedy(self) -> Forward:
        """Run the batch of the greatest rate again and again, until none can end in time."""
        while True:
            best = self._best()
            if best is not None:
                self._run(*best[2])
                continue
            arrivals = [
                self._problem.tasks[k].arrival_s for members in self._waiting for k in members
            ]
            later = [arrival_s for arrival_s in arrivals if arrival_s > self._clock]
            if not later:
                return self
            self._clock = min(later)

    def _load_bytes(self, model: int) -> float:
        library = self._problem.library
        if self._whole:
            return 0 if model == self._current else library.model_bytes[model]
        return library.bytes_of(library.block_sets[model] - self._resident)

    def _load_seconds(self, model: int) -> float:
        return self._problem.loading.seconds(self._load_bytes(model))

    def _best(self) -> tuple[float, int, Group] | None:
        """The batch of the greatest rate (then of most tasks) of those that can start now."""
        best: tuple[float, int, Group] | None = None
        for model, members in enumerate(self._waiting):
            here = [k for k in members if self._problem.tasks[k].arrival_s <= self._clock]
            found = self._best_of(model, here) if here else None
            if found is not None and (best is None or found[:2] > best[:2]):
                best = found
        return best

    def _best_of(self, model: int, here: list[int]) -> tuple[float, int, Group] | None:
        """The best batch of one model: for a deadline, the quickest tasks that have at least it."""
        costs = self._problem.models[model]
        fixed = self._load_seconds(model) + costs.seconds_per_batch
        positions = np.array(here)
        latest = self._latest[positions]
        thresholds = np.unique(latest)
        if thresholds.size > MAX_THRESHOLDS:
            thresholds = np.quantile(thresholds, np.linspace(0, 1, MAX_THRESHOLDS), method="lower")
        best: tuple[float, int, Group] | None = None
        for threshold in thresholds:
            eligible = positions[latest >= threshold][: costs.max_batch]
            uploads = self._uploads[eligible]
            charged = np.cumsum(uploads) if self._reading.upload == "sum" else uploads
            counts = np.arange(1, eligible.size + 1)
            seconds = charged + fixed + costs.seconds_per_task * counts
            reach = int(np.searchsorted(self._clock + seconds, threshold, side="right"))
            if not reach:
                continue
            with np.errstate(divide="ignore"):
                rates = counts[:reach] / seconds[:reach]
            k = reach - 1 - int(rates[::-1].argmax())
            if best is None or (rates[k], k + 1) > best[:2]:
                best = (float(rates[k]), k + 1, (model, eligible[: k + 1].tolist()))
        return best

    def _run(self, model: int, members: Sequence[int]) -> None:
        """Run a batch now: evict, load, compute."""
        batch = make_batch(
            self._problem, model, members, self._load_bytes(model), self._clock, self._reading
        )
        needs = self._problem.library.block_sets[model]
        gone = set(members)
        self._waiting[model] = [k for k in self._waiting[model] if k not in gone]
        if self._problem.memory_bytes is None:
            self._resident = needs
        else:
            evicted = self._evictions(needs)
            self._resident = (self._resident | needs).difference(evicted)
            batch = replace(batch, evicted=tuple(sorted(evicted)))
        self._current = model
        self._clock = batch.finish_s
        self.batches.append(batch)

    def _evictions(self, needs: frozenset[str]) -> list[str]:
        """What goes before blocks are loaded: what the fewest waiting tasks need, until the rest
        fits; everything else where models load whole."""
        others = self._resident - needs
        if self._whole:
            return sorted(others)
        library, sizes = self._problem.library, self._problem.library.blocks
        excess = library.bytes_of(self._resident | needs) - self._problem.memory_limit
        demand = dict.fromkeys(others, 0)
        for model, members in enumerate(self._waiting):
            for block in others & library.block_sets[model]:
                demand[block] += len(members)
        evicted = []
        for block in sorted(others, key=lambda b: (demand[b], -sizes[b], b)):
            if excess <= 0:
                break
            evicted.append(block)
            excess -= sizes[block]
        return evicted
