"""What could be reached by knowing all requests beforehand: a search over whole traces. [derived]

The bound of `trunkline.experiments.clairvoyant` says what nobody can pass, and may be far above
what anybody can reach. This goes from below: a plan that answers so many requests, found by a beam
search that sees every request from the start. What a policy lacks to it is what better choices
could still gain, with a perfect forecast; what the plan lacks to a server with memory for
everything is the price of the memory.

One batch follows the other, and nothing loads beside computing. A state is a time, the pieces in
memory, and the requests answered. From each state every model's largest batch of requests that
have come is tried, and waiting for the next request; what is needed again latest leaves memory
first. Of the states whose time is in one slot (the shortest forward) the `width` with the most
answers go on, of equals the earliest.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from trunkline.experiments.traces import Arrival
from trunkline.loading.online import Costs
from trunkline.loading.problem import TIME_TOLERANCE, time_limit

WIDTH: Final = 60
"""Twice as wide finds a per cent more at most, at the serving benchmark's costs."""


class _State(NamedTuple):
    """Requests answered, the time, and bit masks of requests answered and pieces in memory."""

    answered: int
    now_s: float
    done: int
    resident: int


def foreseen(costs: Costs, trace: Sequence[Arrival], width: int = WIDTH) -> int:
    """So many requests of a trace can be answered by their deadlines, at least, by who knows all of
    them; nothing is resident at the start and nothing loads beside computing.

    Args:
        costs: with a budget. `partial` holds or not.
        width: states that go on from each slot.
    """
    return _Search(replace(costs, parts=1), trace).best(width) if trace else 0


class _Search:
    def __init__(self, costs: Costs, trace: Sequence[Arrival]) -> None:
        self.costs = costs
        self.trace = sorted(trace, key=lambda one: one.arrival_s)
        self.arrivals = [one.arrival_s for one in self.trace]
        self.due = [time_limit(one.deadline_s) for one in self.trace]
        self.longest_s = max(one.deadline_s - one.arrival_s for one in self.trace)
        self.sizes: list[float] = costs.sizes.tolist()
        self.needs = [_mask(np.flatnonzero(row).tolist()) for row in costs.holds]
        memory = costs.memory_bytes
        self.room = math.inf if memory is None else memory * (1 + TIME_TOLERANCE)

    def best(self, width: int) -> int:
        """The most answers of any state."""
        least_s = min(self.costs.compute_seconds(one.model, one.tasks) for one in self.trace)
        slot_s = max(least_s, self.longest_s / 100, 1e-9)
        slots: dict[int, dict[tuple[int, int], _State]] = {0: {(0, 0): _State(0, 0.0, 0, 0)}}
        most = 0
        while slots:
            slot = min(slots)
            states = sorted(slots.pop(slot).values(), key=_rank)
            most = max(most, states[0].answered)
            for state in states[:width]:
                for after in self._after(state):
                    into = slots.setdefault(max(slot + 1, int(after.now_s // slot_s)), {})
                    key = after.done >> self._past(after.now_s), after.resident
                    if key not in into or _rank(after) < _rank(into[key]):
                        into[key] = after
        return most

    def _after(self, state: _State) -> Iterator[_State]:
        """A state after each batch that can be next, and after the next request has come."""
        come = bisect_right(self.arrivals, state.now_s)
        waiting: dict[int, list[int]] = {}
        for place in range(self._past(state.now_s), come):
            if not state.done >> place & 1 and self.due[place] > state.now_s:
                waiting.setdefault(self.trace[place].model, []).append(place)
        for model, places in waiting.items():
            if not self.costs.fits[model]:
                continue
            begin_s = state.now_s + self._load_s(self.needs[model] & ~state.resident)
            batch, end_s = self._batch(model, places, begin_s)
            if batch:
                done = state.done | _mask(batch)
                resident = self._evicted(state, model, done)
                yield _State(state.answered + len(batch), end_s, done, resident)
        if come < len(self.arrivals):
            yield state._replace(now_s=self.arrivals[come])

    def _batch(self, model: int, places: list[int], begin_s: float) -> tuple[list[int], float]:
        """The most requests that can compute together from a time on, and when they end."""
        places.sort(key=lambda place: self.due[place])
        best: list[int] = []
        for first in range(len(places)):
            batch: list[int] = []
            tasks = 0
            for place in places[first:]:
                more = tasks + self.trace[place].tasks
                end_s = begin_s + self.costs.compute_seconds(model, more)
                if more > self.costs.models[model].max_batch or end_s > self.due[places[first]]:
                    break
                batch.append(place)
                tasks = more
            if len(batch) > len(best):
                best = batch
        tasks = sum(self.trace[place].tasks for place in best)
        return best, begin_s + self.costs.compute_seconds(model, tasks)

    def _past(self, now_s: float) -> int:
        """So many of the first requests cannot be waiting any more."""
        return bisect_left(self.arrivals, now_s - self.longest_s)

    def _load_s(self, missing: int) -> float:
        size = self._bytes(missing)
        return self.costs.loading.seconds(size) if size > 0 else 0.0

    def _bytes(self, pieces: int) -> float:
        return sum(self.sizes[piece] for piece in _places(pieces))

    def _evicted(self, state: _State, model: int, done: int) -> int:
        """What is in memory with a model, after what is needed latest has left."""
        if self.costs.memory_bytes is None:
            return self.needs[model]
        both = state.resident | self.needs[model]
        excess = self._bytes(both) - self.room
        if excess <= 0:
            return both
        order: list[int] = []
        left = both & ~self.needs[model]
        place = self._past(state.now_s)
        while left and place < len(self.trace):
            if not done >> place & 1 and self.due[place] > state.now_s:
                used = left & self.needs[self.trace[place].model]
                order += _places(used)
                left &= ~used
            place += 1
        for piece in [*_places(left), *reversed(order)]:
            if excess <= 0:
                break
            both &= ~(1 << piece)
            excess -= self.sizes[piece]
        return both


def _rank(state: _State) -> tuple[int, float]:
    return -state.answered, state.now_s


def _mask(places: Sequence[int]) -> int:
    return sum(1 << place for place in places)


def _places(mask: int) -> list[int]:
    """The bits that are set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
