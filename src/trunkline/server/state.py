"""What the threads of an engine share, under one lock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import torch

from trunkline.errors import Reason, RefusedError, TrunklineError, UnknownModelError
from trunkline.loading.online import PARTS, Costs, Policy, Waiting
from trunkline.loading.scheduler import Batch, Scheduler
from trunkline.runtime.mixing import MixingRuntime
from trunkline.server.batching import Shape
from trunkline.server.catalogue import Served
from trunkline.server.estimates import Estimates
from trunkline.server.mixing import Group, Mixing
from trunkline.server.overlap import Overlap
from trunkline.server.work import Answer, BatchRecord, Limits, LoadRecord, Observer
from trunkline.store import library_of
from trunkline.units import shorten

D = TypeVar("D")

LOOK_S: Final = 0.1
"""While requests wait, what is next is asked so often, though nobody says that anything changed."""


class Nobody:
    """The observer where none was given."""

    def received(self, model: str) -> None:
        """Nothing."""

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """Nothing."""

    def refused(self, model: str, reason: Reason) -> None:
        """Nothing."""

    def loaded(self, record: LoadRecord) -> None:
        """Nothing."""

    def batch(self, record: BatchRecord) -> None:
        """Nothing."""

    def decided(self, seconds: float, waiting: int) -> None:
        """Nothing."""


class Request(Future[Answer]):
    """A request in the queue or in a batch, and the future of its answer.

    Args:
        cancelled: told once if it is cancelled.
    """

    def __init__(
        self,
        model: Served,
        inputs: Mapping[str, torch.Tensor],
        shape: Shape | None,
        waiting: Waiting,
        cancelled: Callable[[Request], None],
    ) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.shape = shape
        self.waiting = waiting
        self._tell = [cancelled]

    def cancel(self) -> bool:
        """Give it up; False if its batch has begun."""
        if not super().cancel():
            return False
        try:
            tell = self._tell.pop()  # once: another thread may do the same
        except IndexError:
            return True
        tell(self)
        return True


@dataclass(eq=False, slots=True)
class Run:
    """A batch that runs: since when, until when at the latest, and by which thread.

    Attributes:
        model: chosen by the policy; requests for others run with it where there is a `group`.
        problem: why it was given up on, if it was.
        each_s: how long each of its forwards may take; `limit_s` is when the present one must end.
        again: whether there was more than one: its requests ran one by one after all.
        usual_s: what a forward like its own takes by the profile; None until it ended well.
    """

    batch: Batch
    model: Served
    requests: list[Request]
    began_s: float
    limit_s: float
    thread: int
    group: Group | None = None
    problem: str = ""
    each_s: float = math.inf
    again: bool = False
    usual_s: float | None = None

    @property
    def models(self) -> list[Served]:
        """All models that have requests in it, the first one first."""
        return list(dict.fromkeys((self.model, *(one.model for one in self.requests))))


class State:
    """Requests, models, the scheduler, and what runs.

    All of it is read and written under `lock`, but for `refuse` and what the observer is told.

    Attributes:
        may_compute, may_load: notified when there may be something new to compute, or to load.
        quiet: notified when a load or a batch ended.
        places: where the scheduler's costs have each model that can be served.
        largest: the most samples that a batch of each may have; to be read without the lock.
        requests: those that wait, by key.
        run: the batch that computes.
        stuck: batches that were given up on and still run.
        mixing: which models' requests may run as one batch.
        overlap: whether to load beside computing.
        loads: what was loaded for each model since it last computed.
        decision_s: what the last decision took.
    """

    def __init__(
        self,
        runtime: MixingRuntime,
        models: Mapping[str, Served],
        estimates: Estimates,
        policy: Policy,
        limits: Limits,
        observer: Observer | None,
    ) -> None:
        self.runtime = runtime
        self.models = dict(models)
        self.estimates = estimates
        self.limits = limits
        self.observer: Observer = observer or Nobody()
        self.lock = threading.RLock()
        self.may_compute = threading.Condition(self.lock)
        self.may_load = threading.Condition(self.lock)
        self.quiet = threading.Condition(self.lock)
        self.mixing = Mixing(runtime)
        self.overlap = Overlap(limits.load_ahead, at_first=runtime.device.type != "cpu")
        self.scheduler = Scheduler(self.costs(), policy)
        self.places: dict[str, int] = {}
        self.largest: dict[str, int] = {}
        self.requests: dict[int, Request] = {}
        self.loads: dict[str, LoadRecord] = {}
        self.run: Run | None = None
        self.stuck: list[Run] = []
        self.paused = 0
        self.draining = self.closed = False
        self.decision_s = 0.0
        self.adopt()

    def free_in(self, now: float) -> float:
        """When the device is free, as a hint for another try."""
        busy = self.scheduler.computing
        return 0.0 if busy is None else max(0.0, busy.end_s - now)

    @property
    def patience_s(self) -> float | None:
        """How long a thread waits to be notified before it looks anew; None for ever."""
        return LOOK_S if self.requests else None

    def take(self, key: int) -> Request | None:
        """Take a request out of those that wait; the caller sees to the scheduler."""
        request = self.requests.pop(key, None)
        if request is not None:
            request.model.waiting -= 1
        return request

    def wake(self) -> None:
        """Let both threads look anew, since what they wait for may have changed."""
        self.may_compute.notify_all()
        self.may_load.notify_all()

    def refuse(self, requests: Iterable[Request], error: TrunklineError, why: Reason) -> None:
        """Answer with an error what has no answer; not under the lock, since callbacks run here."""
        for request in requests:
            if request.done() and not request.cancelled():
                continue
            if request.running() or request.set_running_or_notify_cancel():
                self.observer.refused(request.model.name, why)
                request.set_exception(error)

    def refuse_all(self, requests: Iterable[Request], name: str, why: str) -> None:
        """Refuse what waited for a model that cannot be served; not under the lock."""
        error = RefusedError(Reason.UNAVAILABLE, f"model {name!r} cannot be served: {why}")
        self.refuse(requests, error, Reason.UNAVAILABLE)

    def withdraw(self, served: Served) -> list[Request]:
        """Take a model's requests out of the queue."""
        gone = [one for one in self.requests.values() if one.model is served]
        for one in gone:
            self.take(one.waiting.key)
        self.scheduler.remove(one.waiting for one in gone)
        return gone

    def digests(self, pieces: Iterable[bool]) -> list[str]:
        """The blocks of the pieces that are marked."""
        blocks = self.scheduler.costs.blocks
        return [digest for piece, gone in zip(blocks, pieces, strict=True) if gone
                for digest in piece]  # fmt: skip

    def replace(self, name: str, served: Served) -> list[Request]:
        """Put a model in another's place; requests that wait go to the new one. If that cannot be
        served, they are returned, for the caller to refuse (`refuse_all`)."""
        before = self.models.get(name)
        gone = [] if before is None or served.signature is not None else self.withdraw(before)
        self.models[name] = served
        for one in self.requests.values():
            if one.model is before:
                one.model = served
                served.waiting += 1
        self.adopt()
        return gone

    def adopt(self) -> None:
        """Let the scheduler know which models there are."""
        self.mixing.adopt(self.models)
        resident = self.runtime.resident
        costs = self.costs()
        self.scheduler.adopt(costs, resident)
        self.places = {one.id: place for place, one in enumerate(costs.models)}
        self.largest = {one.id: min(self.limits.batch, one.max_batch) for one in costs.models}
        counted = set(self.digests(self.scheduler.resident))
        blocks = (block for one in self.models.values() for block in one.stored.blocks)
        empty = {block.digest for block in blocks if not block.bytes}  # in no piece, yet needed
        self.runtime.evict(resident - counted - empty)  # or nobody would count it
        for one in self.scheduler.queue:
            if one.key in self.requests:
                self.requests[one.key].waiting = one

    def look_around(self) -> None:
        """Tell the scheduler what is in memory, where that may not be as it planned."""
        there = self.scheduler.costs.where(self.runtime.resident)
        load = self.scheduler.loading
        self.scheduler.resident = there if load is None else (there & ~load.evict) | load.bring

    def load_hangs_in(self, now: float) -> float:
        """In how many seconds the load that runs is called stuck; infinite if none runs."""
        load = self.scheduler.loading
        if load is None:
            return math.inf
        return load.end_s - load.seconds + self.limits.longest_s(load.seconds) - now

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The lock, at a moment when nothing loads or computes (RefusedError: a load hangs)."""
        with self.lock:
            self.paused += 1
            try:
                while self.scheduler.computing or self.scheduler.loading:
                    left = self.load_hangs_in(time.monotonic())
                    if left <= 0:
                        message = "no model can be changed while a load hangs"
                        raise RefusedError(Reason.UNAVAILABLE, message)
                    self.quiet.wait(None if left == math.inf else left)
                yield
            finally:
                self.paused -= 1
                self.wake()

    def served(self, name: str) -> Served:
        """The model of a name (UnknownModelError)."""
        try:
            return self.models[name]
        except KeyError:
            raise UnknownModelError(f"no model {shorten(name)!r}") from None

    def costs(self) -> Costs:
        """What the scheduler knows of the models that can be served."""
        models = [one.stored for one in self.models.values() if one.signature is not None]
        models.sort(key=lambda one: one.name)
        return Costs(
            library_of(models),
            self.estimates.link,
            tuple(map(self.estimates.model, models)),
            self.runtime.memory_bytes,
            self.runtime.partial,
            PARTS,
        )

    def reprice(self) -> None:
        """Tell the scheduler what loads and forwards are expected to take now."""
        costs = self.scheduler.costs
        prices = (self.estimates.model(self.models[one.id].stored) for one in costs.models)
        self.scheduler.reprice(costs.priced(self.estimates.link, tuple(prices)))

    def decide(self, ask: Callable[[float], D]) -> D:
        """Ask the scheduler, and note how long it took."""
        if not self.requests:
            return ask(time.monotonic())
        waiting, began = len(self.requests), time.perf_counter()
        found = ask(time.monotonic())
        self.decision_s = time.perf_counter() - began
        self.observer.decided(self.decision_s, waiting)
        return found
