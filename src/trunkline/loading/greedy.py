"""`greedy`: Algorithm 3 of PartialLoading, in slots as printed or in continuous time.

Again and again the model is taken that serves the most tasks per unit of time, equation (22), given
the model before it. In slots a visit takes whole slots and each model is visited once, as printed.
In continuous time nothing is rounded, the current model may go on at no load (its batches merged),
and a model may be visited again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trunkline.loading.forward import run_greedy
from trunkline.loading.plan import LoadingPlan
from trunkline.loading.problem import LoadingProblem
from trunkline.loading.relax import servable_bound
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Service, Table, Upload, cut, service_of
from trunkline.loading.slots import slots_in, slots_of
from trunkline.loading.subsets import load_seconds
from trunkline.loading.trie import Visit

Times = NDArray[np.float64]


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
        choices = _Choices(plain, service)
        visits = (
            _Continuous(plain, service, choices).visits
            if slot_s is None
            else _slotted_visits(choices, slots_in(plain.deadline_s, slot_s), slot_s)
        )
        batches = batches_of(plain, service, visits)
    return plan_of(problem, "greedy", batches, bound=servable_bound(problem))


class _Choices:
    """Every (model, number of tasks) that a visit could be, side by side in flat arrays.

    Models are numbered as in `asked`, those that have tasks; -1 stands for no model.

    Attributes:
        asked: positions of the models in the library.
        owner: the model of each choice.
        counts: its tasks; 1, 2, ... for each model.
        service: seconds of serving them, without the load; infinite for what is done.
    """

    def __init__(self, problem: LoadingProblem, service: Service) -> None:
        self.asked = [i for i, table in enumerate(service.tables) if table.size > 1]
        tables = [service.tables[i][1:] for i in self.asked]
        sizes = [table.size for table in tables]
        self._starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.intp)
        self.owner = np.repeat(np.arange(len(tables)), sizes)
        self.service: Times = np.concatenate(tables) if tables else np.empty(0)
        self.counts = np.arange(self.owner.size) - self._starts[self.owner] + 1
        first, after = load_seconds(problem.library, problem.loading, self.asked)
        self._loads = np.vstack([after, first])[:, self.owner]  # the last row follows no model

    def seconds_after(self, current: int) -> Times:
        """Load and service of each choice when model `current` was the last."""
        seconds: Times = self.service + self._loads[current]
        return seconds

    def best(self, times: Times, limit: float) -> int | None:
        """The choice of the most tasks per unit of time among those within a limit, (22); of equal
        ones the one of the most tasks, then the first. None where nothing is within the limit."""
        if not times.size:
            return None
        with np.errstate(divide="ignore"):
            rates = np.where(times <= limit, self.counts / times, -1.0)
        greatest = rates.max()
        if greatest < 0:
            return None
        return int(np.where(rates == greatest, self.counts, 0).argmax())

    def replace(self, model: int, seconds: Sequence[float] | Times = ()) -> None:
        """Set what a model's next visit takes to serve 1, 2, ... tasks; more it cannot serve."""
        own = self.service[self._starts[model] : self._starts[model + 1]]
        own[: len(seconds)] = seconds
        own[len(seconds) :] = np.inf


def _slotted_visits(choices: _Choices, slots_left: int, slot_s: float) -> list[Visit]:
    """Algorithm 3 line by line: line 6 chooses model and slots, a chosen model is done."""
    visits: list[Visit] = []
    current = -1
    while slots_left > 0:
        slots = np.maximum(slots_of(choices.seconds_after(current), slot_s), 1)
        chosen = choices.best(slots, slots_left)
        if chosen is None:
            break
        current = int(choices.owner[chosen])
        slots_left -= int(slots[chosen])
        visits.append((choices.asked[current], int(choices.counts[chosen])))
        choices.replace(current)
    return visits


class _Continuous:
    """Algorithm 3 without slots: the current model may go on, and any may be visited again.

    Attributes:
        visits: the visits chosen, in order.
    """

    def __init__(self, problem: LoadingProblem, service: Service, choices: _Choices) -> None:
        self.visits: list[Visit] = []
        self._problem = problem
        self._service = service
        self._asked = choices.asked
        self._served = [0] * len(choices.asked)
        clock, current, table = 0.0, -1, np.zeros(1)
        while True:
            seconds = choices.seconds_after(current)
            chosen = choices.best(seconds, service.limit_s - clock)
            if chosen is None:
                break
            model, count = int(choices.owner[chosen]), int(choices.counts[chosen])
            clock += float(seconds[chosen])
            if model == current:
                count += self.visits.pop()[1]
            else:
                if current >= 0:
                    choices.replace(current, self._table(current)[1:])
                table = self._table(model)
                current = model
            self.visits.append((self._asked[model], count))
            self._served[model] += int(choices.counts[chosen])
            choices.replace(model, table[count + 1 :] - table[count])

    def _table(self, model: int) -> Table:
        """The service table of a new visit to a model, which begins new batches."""
        position, done = self._asked[model], self._served[model]
        if not done:
            return self._service.tables[position]
        uploads = [self._problem.upload_s[k] for k in self._service.order[position][done:]]
        table = self._service.reading.table(self._problem.models[position], uploads)
        return cut(table, self._service.limit_s)
