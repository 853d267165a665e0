"""The scheduler of a server: what loads and what computes next, as requests come. [derived]

It has no clock and no threads. Whoever drives it, a server or a simulation, tells it what happens
and when, and asks at every free moment of the two resources:

- the device that computes: `next_batch`, then `computed`;
- the link that loads: `next_load`, then `loaded`.

While a batch computes, the next batch is chosen as of the time when it will end, and what its model
lacks is loaded meanwhile, if it fits beside the model that computes. When the device is free, the
choice is made anew among all that waits then: what was loaded ahead is cheap now, so it is mostly
taken, but not always.

Loading ahead has to spare the computing model's blocks, and so may drop others that requests wait
for and that would otherwise stay. It is done only where it saves more time than loading those again
would take.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from trunkline.loading.online import (
    Bits,
    Costs,
    Floats,
    Policy,
    Queue,
    View,
    Waiting,
    evictions,
)
from trunkline.loading.policies import urgency
from trunkline.loading.problem import in_time


@dataclass(frozen=True, eq=False, slots=True)
class Load:
    """Blocks to bring in.

    Attributes:
        model: whose.
        evict, bring: pieces of `Costs.blocks` that leave before it, and that come.
        bytes: of those that come.
        seconds: how long it should take.
        end_s: when it should be done.
    """

    model: int
    evict: Bits
    bring: Bits
    bytes: float
    seconds: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch to compute now; all blocks of its models are there.

    Attributes:
        model: chosen by the policy; others may have joined (`Scheduler.join`).
        seconds: how long it should take.
        end_s: when it should be done.
    """

    model: int
    requests: tuple[Waiting, ...]
    seconds: float
    end_s: float

    @property
    def tasks(self) -> int:
        """Its samples."""
        return sum(one.tasks for one in self.requests)

    @property
    def models(self) -> list[int]:
        """All models that have requests in it."""
        return sorted({self.model, *(one.model for one in self.requests)})


class Scheduler:
    """What waits, what is in memory, what loads and what computes.

    Args:
        costs: models, prices and memory.
        policy: chooses the next batch.
        ahead: whether to load beside computing.
    """

    def __init__(self, costs: Costs, policy: Policy = urgency, ahead: bool = True) -> None:
        self.costs = costs
        self.policy = policy
        self.ahead = ahead
        self.queue = Queue(len(costs.models))
        self.resident: Bits = np.zeros(len(costs.sizes), dtype=bool)
        self.asked = [0.0] * len(costs.models)
        self.last_use_s: Floats = np.zeros(len(costs.sizes))
        self.loading: Load | None = None
        self.computing: Batch | None = None
        self._priced: tuple[Costs, Bits, list[float]] | None = None

    # ---- requests ----

    def receive(self, one: Waiting, now_s: float) -> bool:
        """Put a request into the queue; False, and it is not, if it cannot be answered in time."""
        self.asked[one.model] += 1
        if not in_time(self.earliest_s(one, now_s), one.deadline_s):
            return False
        self.queue.add(one)
        return True

    def remove(self, gone: Iterable[Waiting]) -> None:
        """Take requests out of the queue."""
        self.queue.remove(gone)

    def lapse(self, now_s: float) -> list[Waiting]:
        """Take out of the queue, and return, what can no longer be answered in time."""
        gone = self._view(now_s).hopeless() if len(self.queue) else []
        self.queue.remove(gone)
        return gone

    def earliest_s(self, one: Waiting, now_s: float) -> float:
        """When a request would be answered if it were next, alone."""
        free_s, link_s = self._free(now_s)
        load_s, ready_s = self.load_s[one.model], now_s
        if load_s > 0:
            ready_s = link_s + load_s
        elif self.loading and (self.costs.holds[one.model] & self.loading.bring).any():
            ready_s = link_s
        return max(free_s, ready_s) + self.costs.compute_seconds(one.model, one.tasks)

    # ---- the link ----

    @property
    def load_s(self) -> list[float]:
        """How long each model would load as things are; kept until something moves."""
        if self._priced is None or not (
            self._priced[0] is self.costs and self._priced[1] is self.resident
        ):
            self._priced = self.costs, self.resident, self.costs.load_seconds(self.resident)
        return self._priced[2]

    @property
    def wants_load(self) -> bool:
        """Whether a model that requests wait for lacks something."""
        if not any(self.load_s):
            return False
        lines = zip(self.queue.by_model, self.load_s, strict=True)
        return any(line and load_s > 0 for line, load_s in lines)

    def next_load(self, now_s: float) -> Load | None:
        """What to load now, if anything; `loading` until `loaded` is called."""
        if self.loading is not None or not self.wants_load:
            return None
        if self.computing is not None and not self.ahead:
            return None
        view = self._view(now_s)
        choice = self.policy(view)
        if choice is None:
            return None
        bring: Bits = self.costs.holds[choice.model] & ~self.resident
        if not bring.any():
            return None
        amount = float(self.costs.sizes @ bring)
        seconds = self.costs.loading.seconds(amount)
        if self.computing is None:
            evict = evictions(view, choice.model)
        else:
            evict = self._evictions_ahead(view, choice.model, min(seconds, view.now_s - now_s))
        if evict is None:
            return None
        self.loading = Load(choice.model, evict, bring, amount, seconds, now_s + seconds)
        self.resident = (self.resident & ~evict) | bring
        return self.loading

    def loaded(self, now_s: float, failed: bool = False) -> None:
        """The load ended: all of it is there, or nothing of it."""
        assert self.loading is not None
        if failed:
            self.resident = self.resident & ~self.loading.bring
        else:
            self.last_use_s[self.loading.bring] = now_s
        self.loading = None

    # ---- the device ----

    def next_batch(self, now_s: float) -> Batch | None:
        """What to compute now, if anything; `computing` until `computed` is called."""
        if self.computing is not None or not len(self.queue):
            return None
        view = self._view(now_s)
        choice = self.policy(view)
        if choice is None or not self.is_there(choice.model):
            return None
        finish_s = view.finish_s(choice.model, choice.batch)
        self.queue.remove(choice.batch)
        self.computing = Batch(choice.model, choice.batch, finish_s - now_s, finish_s)
        self.last_use_s[self.costs.holds[choice.model]] = now_s
        return self.computing

    def keep(self, requests: Iterable[Waiting], now_s: float) -> Batch:
        """Let only these of the requests of `next_batch` compute; the caller sees to the others."""
        assert self.computing is not None
        kept, model = tuple(requests), self.computing.model
        seconds = self.costs.compute_seconds(model, sum(one.tasks for one in kept)) if kept else 0.0
        self.computing = Batch(model, kept, seconds, now_s + seconds)
        return self.computing

    def join(self, requests: Iterable[Waiting], now_s: float, seconds: float) -> Batch:
        """Let requests for other models, which are there, compute with the batch of `next_batch`.

        Args:
            seconds: how long all of it should take.
        """
        assert self.computing is not None
        joining = tuple(requests)
        self.queue.remove(joining)
        together = (*self.computing.requests, *joining)
        self.computing = Batch(self.computing.model, together, seconds, now_s + seconds)
        self.last_use_s[self._held(self.computing)] = now_s
        return self.computing

    def is_there(self, model: int) -> bool:
        """Whether all blocks of a model are there, and none is still on its way."""
        needs = self.costs.holds[model]
        if self.loading is not None and (needs & self.loading.bring).any():
            return False
        return not (needs & ~self.resident).any()

    def computed(self, now_s: float) -> None:
        """The batch ended."""
        assert self.computing is not None
        self.last_use_s[self._held(self.computing)] = now_s
        self.computing = None

    # ---- changes ----

    def adopt(self, costs: Costs, resident: Collection[str]) -> None:
        """Go on with other models or prices; what waits for a model that is not there any more must
        have been removed, and nothing may be loading or computing.

        Args:
            resident: ids of the blocks in memory. Those that are in no whole piece of the new
                costs are not counted from now on (`resident` says what is): the caller drops them.
        """
        assert self.loading is None
        assert self.computing is None
        before = {model.id: place for place, model in enumerate(self.costs.models)}
        here = {model.id: place for place, model in enumerate(costs.models)}
        waiting = [
            Waiting(one.deadline_s, one.arrived_s, one.key, here[self.costs.models[one.model].id],
                    one.tasks)
            for one in self.queue
        ]  # fmt: skip
        self.costs = costs
        self.queue = Queue(len(costs.models))
        for one in waiting:
            self.queue.add(one)
        self.asked = [
            self.asked[before[one.id]] if one.id in before else 0.0 for one in costs.models
        ]
        self.resident = costs.where(resident)
        self.last_use_s = np.zeros(len(costs.sizes))

    def reprice(self, costs: Costs) -> None:
        """Go on with other prices of the same models (`Costs.priced`)."""
        self.costs = costs

    # ---- inside ----

    def _view(self, now_s: float) -> View:
        """As of the time when the device will be free."""
        free_s, link_s = self._free(now_s)
        return View(
            self.costs,
            free_s,
            self.queue,
            self.resident,
            self.asked,
            self.last_use_s,
            link_s,
            None if self.loading is None else self.loading.bring,
            link_s,
            self.load_s,
        )

    def _held(self, batch: Batch) -> Bits:
        """The pieces that a batch needs."""
        models = batch.models
        held: Bits
        if len(models) == 1:
            held = self.costs.holds[models[0]]
        else:
            held = np.any(self.costs.holds[models], axis=0)
        return held

    def _evictions_ahead(self, view: View, model: int, saved_s: float) -> Bits | None:
        """What leaves for a load beside the computing batch, which saves so many seconds; None
        where it does not fit, or loading again what requests wait for would take longer."""
        assert self.computing is not None
        evict = evictions(view, model, self._held(self.computing))
        if evict is None or not evict.any():
            return evict
        later = evictions(view, model)
        asked = [place for place, line in enumerate(self.queue.by_model) if line]
        missed = evict & self.costs.holds[asked].any(axis=0)
        if later is not None:
            missed &= ~later
        again_s = self.costs.loading.seconds_per_byte * float(self.costs.sizes @ missed)
        return evict if again_s <= saved_s else None

    def _free(self, now_s: float) -> tuple[float, float]:
        """When the device and the link will be free. A load that is late is expected to take as
        long again as it is late, so that what does not need it goes first."""
        free_s = now_s if self.computing is None else max(now_s, self.computing.end_s)
        link_s = now_s
        if self.loading is not None:
            link_s += abs(self.loading.end_s - now_s)
        if self.computing is not None and not self.ahead:
            link_s = max(link_s, free_s)
        return free_s, link_s
