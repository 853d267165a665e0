"""`greedy`: Algorithm 3 of PartialLoading, in slots as printed or in continuous time.

Again and again the model is taken that serves the most tasks per unit of time, equation (22), given
the model before it. In slots a visit takes whole slots and each model is visited once, as printed.
In continuous time nothing is rounded, the current model may go on at no load (its batches merged),
and a model may be visited again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trunkline.loading.forward import run_greedy
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import batches_of, load_bytes_after, plan_of
from trunkline.loading.service import Reading, Service, Table, Upload, service_of
from trunkline.loading.slots import slots_in, slots_of
from trunkline.loading.trie import Visit


def greedy(
    problem: LoadingProblem, *, upload: Upload = "sum", slot_s: float | None = None
) -> LoadingPlan:
    """The plan of Algorithm 3; `slot_s` None is continuous time, else the length of a slot [s].

    Problems with arrivals, own deadlines, a memory budget or resident blocks are planned batch by
    batch under the same rule (`forward`), always in continuous time.
    """
    reading = Reading(upload)
    plain = problem.plain
    if plain is None:
        batches = run_greedy(problem, reading)
    else:
        service = service_of(plain, reading)
        visits = (
            _Continuous(plain, service).visits
            if slot_s is None
            else _slotted_visits(plain, service, slot_s)
        )
        batches = batches_of(plain, service, visits)
    return plan_of(problem, "greedy", batches, bound=servable_bound(problem))


@dataclass
class _Continuous:
    """Algorithm 3 without slots.

    Attributes:
        visits: the visits chosen, in order.
    """

    problem: LoadingProblem
    service: Service
    visits: list[Visit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._done = [0] * len(self.service.tables)
        self._rest = list(self.service.tables)  # tables of the tasks that a new visit would serve
        clock, current = 0.0, -1
        while (best := self._best(current, clock)) is not None:
            _, count, seconds, model = best
            clock += seconds
            self._done[model] += count
            if model == current:
                self.visits[-1] = (model, self.visits[-1][1] + count)
            else:
                self.visits.append((model, count))
                if current >= 0:
                    self._rest[current] = self._table_from(current, self._done[current])
            current = model

    def _best(self, current: int, clock: float) -> tuple[float, int, float, int] | None:
        """(rate, tasks, seconds, model) of the greatest rate that ends in time, then most tasks."""
        best: tuple[float, int, float, int] | None = None
        previous = current if current >= 0 else None
        for model, table in enumerate(self._rest):
            begun = self.visits[-1][1] if model == current else 0
            left = table[begun + 1 :]
            if not left.size:
                continue
            load_bytes = load_bytes_after(self.problem, model, previous)
            seconds = left - table[begun] + self.problem.loading.seconds(load_bytes)
            reach = int(seconds.searchsorted(self.service.limit_s - clock, side="right"))
            if not reach:
                continue
            with np.errstate(divide="ignore"):
                rates = np.arange(1, reach + 1) / seconds[:reach]
            k = reach - 1 - int(rates[::-1].argmax())
            choice = (float(rates[k]), k + 1, float(seconds[k]), model)
            if best is None or choice[:2] > best[:2]:
                best = choice
        return best

    def _table_from(self, model: int, done: int) -> Table:
        """The service table of a later visit, which begins new batches."""
        uploads = [self.problem.upload_s[k] for k in self.service.order[model][done:]]
        return self.service.reading.table(self.problem.models[model], uploads)


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
