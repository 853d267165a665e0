"""What no policy can pass: a bound on the requests answered in time, knowing all of them. [derived]

A linear programme over time cut into slots of one length L. It holds for every way to load and
compute that `trunkline.loading.scheduler` allows: one load at a time, one batch at a time, what
loads or is resident within the memory M, nothing resident at the start. Take any such way. A
request is answered by a batch that begins to compute at some moment from its arrival to its
deadline less beta + mu, in one of the slots F to E, say. Let

    x     1 if the request is answered in time
    a_ps  the share of piece p that is there when slot s begins
    l_ps  the share of it that is loaded within slot s (more than 1 if it is loaded more than once)

and let piece p have s_p bytes, and take c_p seconds on the link: the overhead of a load is counted
with the pieces that one model alone holds, of which no load brings two. (Pieces are all blocks that
the same models hold, however finely a scheduler cuts them: a share of one may be there.) Then

    x <= a_pF + l_pF + ... + l_pE   for each piece p of its model: when its batch begins, all of p
                                    is there, and what was not when F began has come since
    a_p,s+1 <= a_ps + l_ps          and so has what is there when the next slot begins
    sum over p of s_p a_ps <= M     the memory at that moment
    sum over p of c_p l_ps <= L     the link brings one thing at a time
    sum of (mu + beta / b_max) x <= the time from one moment to another, over the requests that
                                    come and are due between them: the device computes one batch at
                                    a time, and a request's part of its batch takes at least so long

so the greatest sum of x over all real numbers that obey these is at least what was answered. The
requests of one model with the same F and E are alike, and are one column.

A long trace is cut into parts. Of the requests that come within a part, at most as many are
answered as the programme says of that part alone, with any blocks of at most M bytes there when it
begins; the sum over the parts is the bound.

It is loose where memory matters most: a tenth of each of ten models may be resident at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.traces import Arrival
from trunkline.highs import Row, maximise, row
from trunkline.loading.online import Costs
from trunkline.loading.problem import TIME_TOLERANCE, time_limit

SLOTS_A_SPAN = 2.0
"""Slots a median time that requests wait; more bound better and take longer."""

SLOTS_A_PART = 64
"""A trace of more slots is cut."""

MOST_SLOTS = 4 * SLOTS_A_PART
"""A request that may wait for longer, from the begin of its part on, counts as answered."""

TIME_LIMIT_S = 30.0

ROUNDING = 1e-6


def clairvoyant_bound(
    costs: Costs,
    trace: Sequence[Arrival],
    slots_a_span: float = SLOTS_A_SPAN,
    time_limit_s: float = TIME_LIMIT_S,
) -> int:
    """No policy answers more requests of a trace by their deadlines.

    Args:
        slots_a_span: how many slots there are to the median time that requests wait.
        time_limit_s: for a part of the trace; all requests of one that takes longer count.
    """
    costs = replace(costs, parts=1)
    able = sorted(
        (one for one in trace if latest_s(costs, one) >= one.arrival_s),
        key=lambda one: one.arrival_s,
    )
    if not able:
        return 0
    span_s = float(np.median([one.deadline_s - one.arrival_s for one in able]))
    slot_s = span_s / slots_a_span
    if slot_s <= 0:
        return len(able)
    bound = len(able)
    for begin_s, part in _parts(able, slot_s * SLOTS_A_PART):
        end_s = begin_s + slot_s * MOST_SLOTS
        hurried = [one for one in part if latest_s(costs, one) < end_s]
        if hurried:
            found = _Programme(costs, hurried, begin_s, slot_s).bound(time_limit_s)
            bound -= len(hurried) - found
    return bound


def latest_s(costs: Costs, one: Arrival) -> float:
    """When a request's batch must begin to compute; minus infinity where none can."""
    if not costs.fits[one.model] or one.tasks > costs.models[one.model].max_batch:
        return -math.inf
    return time_limit(one.deadline_s) - costs.compute_seconds(one.model, one.tasks)


def _parts(able: Sequence[Arrival], length_s: float) -> Iterator[tuple[float, list[Arrival]]]:
    """The requests that come in each stretch of a length, and when it begins."""
    parts: dict[int, list[Arrival]] = {}
    for one in able:
        parts.setdefault(int(one.arrival_s // length_s), []).append(one)
    return ((number * length_s, part) for number, part in parts.items())


class _Programme:
    """The linear programme of a part; see the module's docstring."""

    def __init__(
        self, costs: Costs, part: Sequence[Arrival], begin_s: float, slot_s: float
    ) -> None:
        self.costs, self.part, self.begin_s, self.slot_s = costs, part, begin_s, slot_s
        self.latest = self._slots([latest_s(costs, one) for one in part])
        self.slots = 1 + int(self.latest.max())
        models = sorted({one.model for one in part})
        self.pieces = np.flatnonzero(costs.holds[models].any(axis=0)).tolist()
        self.gain: list[float] = []
        self.upper: list[float] = []
        self.rows: list[Row] = []
        every = [(p, slot) for p in self.pieces for slot in range(self.slots)]
        self.start = {key: self._column(1.0) for key in every}
        self.loads = {key: self._column(math.inf) for key in every}

    def bound(self, time_limit_s: float) -> int:
        """Its greatest value, rounded down; the number of requests if it is not found in time."""
        self._blocks()
        self._device(self._requests())
        solver: Any = maximise(self.gain, self.upper, self.rows)
        solver.setOptionValue("time_limit", time_limit_s)
        solver.run()
        if solver.modelStatusToString(solver.getModelStatus()) != "Optimal":
            return len(self.part)
        value = float(solver.getInfo().objective_function_value)
        return min(len(self.part), math.floor(value * (1 + ROUNDING) + ROUNDING))

    def _slots(self, moments: Sequence[float]) -> NDArray[np.int64]:
        since = np.asarray(moments) - self.begin_s
        return np.maximum(since // self.slot_s, 0).astype(np.int64)

    def _column(self, upper: float, gain: float = 0.0) -> int:
        self.upper.append(upper)
        self.gain.append(gain)
        return len(self.upper) - 1

    def _blocks(self) -> None:
        """Residency, the memory and the link."""
        costs, start, loads = self.costs, self.start, self.loads
        memory = costs.memory_bytes
        room = max(costs.library.model_bytes) if memory is None else memory * (1 + TIME_TOLERANCE)
        alone = costs.holds.sum(axis=0) == 1
        sizes = costs.sizes[self.pieces]
        seconds = costs.loading.seconds_per_byte * sizes
        seconds += costs.loading.overhead_s * alone[self.pieces]
        for slot in range(self.slots):
            at = [start[p, slot] for p in self.pieces]
            moved = [loads[p, slot] for p in self.pieces]
            empty = slot == 0 and self.begin_s <= 0
            self.rows.append(row(at, sizes / max(room, 1.0), most=0.0 if empty else 1.0))
            self.rows.append(row(moved, seconds / self.slot_s, most=1.0))
            if slot + 1 < self.slots:
                for p, *before in zip(self.pieces, at, moved, strict=True):
                    after = start[p, slot + 1]
                    self.rows.append(row((after, *before), (1, -1, -1), most=0))

    def _requests(self) -> list[int]:
        """Requests and the pieces that they need; the column of each."""
        groups: dict[tuple[int, int, int], list[int]] = {}
        first_of = self._slots([one.arrival_s for one in self.part]).tolist()
        for place, one in enumerate(self.part):
            key = (one.model, first_of[place], int(self.latest[place]))
            groups.setdefault(key, []).append(place)
        columns = [0] * len(self.part)
        for (model, first, last), places in groups.items():
            column = self._column(1.0, len(places))
            for place in places:
                columns[place] = column
            for p in np.flatnonzero(self.costs.holds[model]).tolist():
                loads = [self.loads[p, slot] for slot in range(first, last + 1)]
                there = [column, self.start[p, first], *loads]
                self.rows.append(row(there, [1.0] + [-1.0] * (len(there) - 1), most=0))
        return columns

    def _device(self, columns: Sequence[int]) -> None:
        """The device, in stretches of 1, 2, 4, 8, ... slots that overlap by half."""
        seconds = np.array([_device_seconds(self.costs, one) for one in self.part])
        come = np.array([one.arrival_s for one in self.part])
        due = np.array([time_limit(one.deadline_s) for one in self.part])
        first, last = self._slots(come.tolist()), self._slots(due.tolist())
        longest = 1 + int(last.max())
        length = 1
        while True:
            for begin in range(0, longest, max(length // 2, 1)):
                inside = np.flatnonzero((first >= begin) & (last < begin + length))
                if inside.size:
                    limit_s = float(due[inside].max() - come[inside].min())
                    self._add_device(columns, inside, seconds, limit_s)
            if length >= longest:
                return
            length *= 2

    def _add_device(
        self,
        columns: Sequence[int],
        inside: NDArray[np.int64],
        seconds: NDArray[np.float64],
        limit_s: float,
    ) -> None:
        """What is within a stretch is computed in it."""
        if seconds[inside].sum() <= limit_s:
            return
        needs: dict[int, float] = {}
        for place in inside.tolist():
            needs[columns[place]] = needs.get(columns[place], 0.0) + float(seconds[place])
        self.rows.append(row(list(needs), np.array(list(needs.values())) / limit_s, most=1.0))


def _device_seconds(costs: Costs, one: Arrival) -> float:
    """A request's part of its batch takes at least so long."""
    model = costs.models[one.model]
    return one.tasks * (model.seconds_per_task + model.seconds_per_batch / model.max_batch)
