"""A server of models under a virtual clock: the policies of `trunkline.loading.policies`, replayed.

The scheduler is the server's own (`trunkline.loading.scheduler`); loads and batches take as long as
the costs say. A request that can no longer be answered in time is refused at the next event.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.traces import Arrival
from trunkline.loading.online import Choice, Costs, Policy, View, Waiting
from trunkline.loading.problem import in_time
from trunkline.loading.scheduler import Scheduler


@dataclass(frozen=True)
class Replay:
    """What became of a trace.

    Attributes:
        received, served, refused, late: requests; served means answered by the deadline, and
            received = served + refused + late.
        bytes_moved: by all loads.
        bytes_asked: of the whole models of all batches; without sharing as much would move.
        batches: how many.
        loading_s, computing_s: how long the link and the device were busy.
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
    loading_s: float
    computing_s: float
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


def replay(costs: Costs, trace: Sequence[Arrival], policy: Policy, ahead: bool = True) -> Replay:
    """Serve a trace by a policy.

    Args:
        ahead: whether the next batch's blocks load beside the computing of the batch before.
    """
    run = _Run(costs, policy, ahead)
    for key, arrival in sorted(enumerate(trace), key=lambda one: (one[1].arrival_s, one[0])):
        run.go_on(until_s=arrival.arrival_s)
        run.receive(key, arrival)
    run.go_on(until_s=math.inf)
    return run.report(len(trace))


class _Run:
    """The scheduler, driven by a virtual clock."""

    def __init__(self, costs: Costs, policy: Policy, ahead: bool) -> None:
        self._scheduler = Scheduler(costs, self._timed(policy), ahead)
        self._costs = costs
        self._now_s = 0.0
        self._refused = self._late = self._batches = 0
        self._moved = self._bytes_asked = self._loading_s = self._computing_s = 0.0
        self._finish_s = 0.0
        self._waits: list[float] = []
        self._decisions: list[float] = []

    def receive(self, key: int, arrival: Arrival) -> None:
        """A request comes, now."""
        one = Waiting(arrival.deadline_s, arrival.arrival_s, key, arrival.model, arrival.tasks)
        if self._scheduler.receive(one, self._now_s):
            self._begin()
        else:
            self._refused += 1

    def go_on(self, until_s: float) -> None:
        """Let everything end that ends by a time, and begin what can begin then."""
        while (end_s := self._next_end()) < math.inf and end_s <= until_s:
            self._now_s = end_s
            self._end()
            self._begin()
        self._now_s = max(self._now_s, until_s)

    def _next_end(self) -> float:
        ends = [one.end_s for one in (self._scheduler.loading, self._scheduler.computing) if one]
        return min(ends, default=math.inf)

    def _end(self) -> None:
        load, batch = self._scheduler.loading, self._scheduler.computing
        if load is not None and load.end_s <= self._now_s:
            self._scheduler.loaded(self._now_s)
        if batch is not None and batch.end_s <= self._now_s:
            self._scheduler.computed(self._now_s)
            self._finish_s = self._now_s
            for one in batch.requests:
                if in_time(self._now_s, one.deadline_s):
                    self._waits.append(self._now_s - one.arrived_s)
                else:
                    self._late += 1

    def _begin(self) -> None:
        self._refused += len(self._scheduler.lapse(self._now_s))
        if batch := self._scheduler.next_batch(self._now_s):
            self._batches += 1
            self._computing_s += batch.seconds
            self._bytes_asked += float(self._costs.sizes @ self._costs.holds[batch.model])
        if load := self._scheduler.next_load(self._now_s):
            self._moved += load.bytes
            self._loading_s += load.seconds

    def _timed(self, policy: Policy) -> Policy:
        def ask(view: View) -> Choice | None:
            begun = time.perf_counter()
            choice = policy(view)
            self._decisions.append(time.perf_counter() - begun)
            return choice

        return ask

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
            loading_s=self._loading_s,
            computing_s=self._computing_s,
            finish_s=self._finish_s,
            waits_s=np.array(self._waits),
            decisions_s=np.array(self._decisions),
        )
