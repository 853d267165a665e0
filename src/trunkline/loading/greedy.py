"""`greedy`: Algorithm 3 of PartialLoading, in slots as printed or in continuous time.

Again and again the model is taken that serves the most tasks per unit of time, equation (22), given
the model before it. In slots a visit takes whole slots and each model is visited once, as printed.
In continuous time nothing is rounded and the current model may go on at no load, its batches
merged.
"""

from __future__ import annotations

import math

import numpy as np

from trunkline.loading.forward import forward_batches
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import batches_of, load_bytes_after, plan_of
from trunkline.loading.service import Service, Upload, service_of
from trunkline.loading.trie import Visit

ROUNDING = 1e-9
"""A time this close above a whole number of slots takes that number (float rounding)."""


def greedy(
    problem: LoadingProblem, *, upload: Upload = "sum", slot_s: float | None = None
) -> LoadingPlan:
    """The plan of Algorithm 3; `slot_s` None is continuous time, else the length of a slot [s].

    Problems with arrivals, own deadlines, a memory budget or resident blocks are planned batch by
    batch under the same rule (`forward`), always in continuous time.
    """
    if problem.is_plain:
        service = service_of(problem, upload)
        visits = (
            _continuous_visits(problem, service)
            if slot_s is None
            else _slotted_visits(problem, service, slot_s)
        )
        batches = batches_of(problem, service, visits)
    else:
        batches = forward_batches(problem, upload=upload)
    return plan_of(problem, "greedy", batches, bound=servable_bound(problem))


def _continuous_visits(problem: LoadingProblem, service: Service) -> list[Visit]:
    tables = service.tables
    done = [0] * len(tables)
    visits: list[Visit] = []
    clock, current = 0.0, None
    while True:
        best: tuple[float, int, float, int] | None = None
        for i, table in enumerate(tables):
            left = table[done[i] + 1 :]
            if not left.size or (done[i] and i != current):
                continue
            load_s = problem.loading.seconds(load_bytes_after(problem, i, current))
            seconds = left - table[done[i]] + load_s
            reach = int(np.searchsorted(seconds, service.limit_s - clock, side="right"))
            if reach:
                with np.errstate(divide="ignore"):
                    rates = np.arange(1, reach + 1) / seconds[:reach]
                k = reach - 1 - int(np.argmax(rates[::-1]))
                choice = (float(rates[k]), k + 1, float(seconds[k]), i)
                if best is None or choice[:2] > best[:2]:
                    best = choice
        if best is None:
            return visits
        _, count, seconds_taken, current = best
        clock += seconds_taken
        done[current] += count
        if visits and visits[-1][0] == current:
            visits[-1] = (current, visits[-1][1] + count)
        else:
            visits.append((current, count))


def _slotted_visits(problem: LoadingProblem, service: Service, slot_s: float) -> list[Visit]:
    """Algorithm 3 line by line: line 6 chooses model and slots, a chosen model is done."""
    slots_left = slots_in(problem.deadline_s, slot_s)
    waiting = {i for i, table in enumerate(service.tables) if table.size > 1}
    visits: list[Visit] = []
    current: int | None = None
    while waiting and slots_left > 0:
        best: tuple[float, int, int, int] | None = None
        for i in sorted(waiting):
            load_s = problem.loading.seconds(load_bytes_after(problem, i, current))
            slots = slots_of(service.tables[i][1:] + load_s, slot_s)
            counts = np.arange(1, slots.size + 1)
            within = slots <= slots_left
            if within.any():
                rates = counts[within] / np.maximum(slots[within], 1)
                k = int(np.flatnonzero(rates == rates.max())[-1])
                choice = (float(rates[k]), int(counts[k]), int(slots[k]), i)
                if best is None or choice[:2] > best[:2]:
                    best = choice
        if best is None:
            break
        _, count, taken, current = best
        waiting.discard(current)
        slots_left -= max(taken, 1)
        visits.append((current, count))
    return visits


def slots_in(seconds: float, slot_s: float) -> int:
    """T: how many whole slots fit into a time."""
    return math.floor(seconds / slot_s + ROUNDING)


def slots_of(seconds: np.ndarray, slot_s: float) -> np.ndarray:
    """How many slots each time takes, rounded up to whole ones."""
    slots: np.ndarray = np.ceil(seconds / slot_s - ROUNDING)
    return slots
