"""A server of models under a virtual clock: the policies of `trunkline.loading.online`, replayed.

One batch at a time: evict, load, compute, each as long as the costs say. A request that can no
longer be answered in time is refused as soon as the server is free to notice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.traces import Arrival
from trunkline.loading.online import Costs, Policy, Queue, View, Waiting, evictions
from trunkline.loading.problem import in_time


@dataclass(frozen=True)
class Replay:
    """What became of a trace.

    Attributes:
        received, served, refused, late: requests; served means answered by the deadline, and
            received = served + refused + late.
        bytes_moved: by all loads.
        bytes_asked: of the whole models of all batches; without sharing as much would move.
        batches: how many.
        busy_s: seconds of loading and computing.
        finish_s: when the last batch ended.
        waits_s: of the served, from arrival to answer.
        decisions_s: what the policy took on this machine, each time it was asked.
    """

    received: int
    served: int
    refused: int
    late: int
    bytes_moved: float
    bytes_asked: float
    batches: int
    busy_s: float
    finish_s: float
    waits_s: NDArray[np.float64]
    decisions_s: NDArray[np.float64]

    @property
    def goodput(self) -> float:
        """The share of requests answered by their deadline (1 for an empty trace)."""
        return self.served / self.received if self.received else 1.0

    def wait_s(self, quantile: float) -> float:
        """A quantile of the waits of the served; not a number if nobody was."""
        return float(np.quantile(self.waits_s, quantile)) if self.waits_s.size else math.nan


def replay(costs: Costs, trace: Sequence[Arrival], policy: Policy) -> Replay:
    """Serve a trace by a policy."""
    server = _Server(costs, policy)
    coming = sorted(enumerate(trace), key=lambda one: (one[1].arrival_s, one[0]))
    place = 0
    while True:
        while place < len(coming) and coming[place][1].arrival_s <= server.now_s:
            server.receive(*coming[place])
            place += 1
        if server.step():
            continue
        if place == len(coming):
            return server.report(len(coming))
        server.now_s = max(server.now_s, coming[place][1].arrival_s)


class _Server:
    """Clock, queue and memory."""

    def __init__(self, costs: Costs, policy: Policy) -> None:
        self.now_s = 0.0
        self._costs = costs
        self._policy = policy
        self._queue = Queue(len(costs.models))
        self._resident = np.zeros(len(costs.sizes), dtype=bool)
        self._asked = np.zeros(len(costs.models))
        self._last_use = np.zeros(len(costs.sizes))
        self._refused = self._late = self._batches = 0
        self._moved = self._bytes_asked = self._busy = 0.0
        self._waits: list[float] = []
        self._decisions: list[float] = []

    def receive(self, key: int, arrival: Arrival) -> None:
        """Put a request into the queue."""
        self._asked[arrival.model] += 1
        self._queue.add(Waiting(arrival.deadline_s, arrival.arrival_s, key, arrival.model))

    def step(self) -> bool:
        """Run the next batch; False if there is none to run."""
        view = View(
            self._costs, self.now_s, self._queue, self._resident, self._asked, self._last_use
        )
        hopeless = view.hopeless()
        self._refused += len(hopeless)
        self._queue.remove(hopeless)
        if not len(self._queue):
            return False
        begun = time.perf_counter()
        choice = self._policy(view)
        self._decisions.append(time.perf_counter() - begun)
        if choice is None:
            return False
        needs = self._costs.holds[choice.model]
        moved = float(self._costs.sizes @ (needs & ~self._resident))
        finish_s = view.finish_s(choice.model, choice.batch)
        self._resident = (self._resident & ~evictions(view, choice.model)) | needs
        self._last_use[needs] = self.now_s
        self._queue.remove(choice.batch)
        self._moved += moved
        self._bytes_asked += float(self._costs.sizes @ needs)
        self._batches += 1
        self._busy += finish_s - self.now_s
        self.now_s = finish_s
        for one in choice.batch:
            if in_time(finish_s, one.deadline_s):
                self._waits.append(finish_s - one.arrived_s)
            else:
                self._late += 1
        return True

    def report(self, received: int) -> Replay:
        """What became of everything."""
        return Replay(
            received=received,
            served=len(self._waits),
            refused=self._refused,
            late=self._late,
            bytes_moved=self._moved,
            bytes_asked=self._bytes_asked,
            batches=self._batches,
            busy_s=self._busy,
            finish_s=self.now_s,
            waits_s=np.array(self._waits),
            decisions_s=np.array(self._decisions),
        )
