"""The engine of a server: requests in, answers out, one model computing at a time.

Four threads share the state under one lock. `compute` asks the scheduler for the next batch and
runs it; `load` asks for the next load and carries it out, beside the computing; `watch` refuses
requests that can no longer be answered in time, and gives up on forwards that hang; `follow` takes
in models that come into the store. A forward that is given up on keeps its thread; another takes
over.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress

import torch

from trunkline.errors import (
    InputError,
    NotInStoreError,
    Reason,
    RefusedError,
    TrunklineError,
    UnknownModelError,
)
from trunkline.loading.online import Waiting
from trunkline.loading.policies import policy
from trunkline.loading.problem import in_time
from trunkline.runtime.mixing import MixingRuntime
from trunkline.server.batching import Shape, extent
from trunkline.server.catalogue import Served, look_up
from trunkline.server.computing import MOST_STUCK, Computing
from trunkline.server.estimates import Estimates
from trunkline.server.following import Following
from trunkline.server.loading import Loading
from trunkline.server.state import Request, State
from trunkline.server.watching import Watching
from trunkline.server.work import Answer, Limits, Observer, ServedModel, Snapshot
from trunkline.store import StoredModel


class LocalEngine:
    """Serves the models of a runtime's store; see `trunkline.server.work.Engine`.

    Args:
        runtime: moves blocks and runs models. It is closed with the engine.
        models: what is served, by name.
        estimates: what loads and forwards take.
        policy_name: chooses the next batch (`trunkline.loading.policies.POLICIES`).
        limits: of the queue, batches and forwards; None for the defaults.
        observer: told of everything.
        only: if given, no other models of the store are taken in.
    """

    def __init__(
        self,
        runtime: MixingRuntime,
        models: Mapping[str, Served],
        estimates: Estimates,
        policy_name: str = "urgency",
        limits: Limits | None = None,
        observer: Observer | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        limits = limits or Limits()
        self._state = State(runtime, models, estimates, policy(policy_name), limits, observer)
        self._only = None if only is None else frozenset(only)
        self._keys = itertools.count()
        self._loading = Loading(self._state)
        self._computing = Computing(self._state)
        self._watching = Watching(self._state, self._computing)
        self._following = Following(self._state, self._only)

    # ---- requests ----

    def submit(
        self,
        model: str,
        inputs: Mapping[str, torch.Tensor],
        deadline_s: float,
        more: bool = False,
    ) -> Future[Answer]:
        """Put a request into the queue; see `Engine.submit`."""
        now = time.monotonic()
        samples, shape = extent(inputs)
        self._state.served(model).check(inputs, shape)
        most = self._state.largest.get(model, self._state.limits.batch)
        if not 0 < samples <= most:
            raise InputError(f"model {model!r}: {samples} samples, from 1 to {most} are allowed")
        self._state.observer.received(model)
        try:
            with self._state.lock:
                served = self._state.served(model)
                future = self._admit(served, inputs, shape, samples, deadline_s, now)
                if not more:
                    self.begin()
                return future
        except RefusedError as error:
            self._state.observer.refused(model, error.reason)
            raise
        except UnknownModelError:
            self._state.observer.refused(model, Reason.UNAVAILABLE)
            raise

    def _admit(
        self,
        served: Served,
        inputs: Mapping[str, torch.Tensor],
        shape: Shape | None,
        samples: int,
        deadline_s: float,
        now: float,
    ) -> Future[Answer]:
        name = served.name
        if self._state.draining or self._state.closed:
            raise RefusedError(Reason.DRAINING, "the server is stopping")
        if served.signature is None or not served.is_open(now):
            rest = None if served.retry_s is None else max(0.0, served.retry_s - now)
            raise RefusedError(
                Reason.UNAVAILABLE, f"model {name!r} cannot be served: {served.reason}", rest
            )
        if len(self._state.requests) >= self._state.limits.queue:
            raise RefusedError(
                Reason.QUEUE_FULL,
                f"{self._state.limits.queue} requests wait already",
                self._state.free_in(now),
            )
        place = self._state.places[name]
        waiting = Waiting(deadline_s, now, next(self._keys), place, samples)
        self._doubt(served, waiting, now)
        if not self._state.scheduler.receive(waiting, now):
            soonest = self._state.scheduler.earliest_s(waiting, now) - now
            raise RefusedError(
                Reason.DEADLINE,
                f"model {name!r} could answer in {1e3 * soonest:.0f} ms at the soonest, and "
                f"{max(0.0, 1e3 * (deadline_s - now)):.0f} ms are left",
                self._state.free_in(now),
            )
        request = Request(served, inputs, shape, waiting, self._cancelled)
        self._state.requests[waiting.key] = request
        served.waiting += 1
        return request

    def begin(self) -> None:
        """Go on with what was put into the queue; see `Engine.begin`."""
        with self._state.lock:
            self._state.may_compute.notify_all()
            if self._state.scheduler.wants_load:
                self._state.may_load.notify_all()

    def _doubt(self, served: Served, one: Waiting, now: float) -> None:
        """Let a request try that would be refused only since something was slow of late, where
        nothing else is to do: or that would be expected for ever."""
        state, scheduler = self._state, self._state.scheduler
        if state.requests or scheduler.computing or scheduler.loading:
            return
        if in_time(scheduler.earliest_s(one, now), one.deadline_s):
            return
        costs = scheduler.costs
        lacking = float(costs.sizes @ (costs.holds[one.model] & ~scheduler.resident))
        if state.estimates.doubt(served.stored, lacking, one.tasks, one.deadline_s - now, now):
            state.reprice()

    def _cancelled(self, request: Request) -> None:
        with self._state.lock:
            there = self._state.take(request.waiting.key)
            if there is not None:
                self._state.scheduler.remove([request.waiting])
                self._state.wake()
        over = time.monotonic() >= request.waiting.deadline_s
        self._state.observer.refused(
            request.model.name, Reason.DEADLINE if over else Reason.CANCELLED
        )

    # ---- models ----

    def models(self) -> list[ServedModel]:
        """All models, by name."""
        there = self._state.runtime.resident
        with self._state.lock:
            return [one.describe(there) for _, one in sorted(self._state.models.items())]

    def model(self, name: str) -> ServedModel:
        """One of them (UnknownModelError)."""
        with self._state.lock:
            return self._state.served(name).describe(self._state.runtime.resident)

    def stored(self, name: str) -> StoredModel:
        """The model behind a name (UnknownModelError)."""
        return self._state.served(name).stored

    def load(self, name: str) -> None:
        """Serve a model of the store; see `Engine.load`."""
        if self._only is not None and name not in self._only:
            raise UnknownModelError(f"no model {name!r} among those that this server may serve")
        with suppress(TrunklineError):  # what fails fails again below, and is told there
            self._state.runtime.build(name)  # a large network takes its time: nobody waits for it
        try:
            with self._state.changing():
                served = look_up(self._state.runtime, name)
                gone = self._state.replace(name, served)
                self._following.removed.discard(name)
            self._state.refuse_all(gone, name, served.reason)
        except NotInStoreError as error:
            raise UnknownModelError(str(error)) from None
        if served.signature is None:
            raise RefusedError(
                Reason.UNAVAILABLE, f"model {name!r} cannot be served: {served.reason}"
            )

    def unload(self, name: str) -> None:
        """Serve a model no longer (UnknownModelError)."""
        with self._state.lock:
            served = self._state.served(name)
        self._following.drop(name, "it was unloaded")
        with self._state.lock:
            self._following.removed.add(name)
            served.stop("it was unloaded")

    # ---- the whole ----

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not (self._state.draining or self._state.closed) and self.live

    @property
    def live(self) -> bool:
        """Whether blocks can be loaded and batches be computed."""
        loads = self._loading.thread.is_alive() and self._state.load_hangs_in(time.monotonic()) > 0
        computes = self._computing.thread.is_alive() and len(self._state.stuck) < MOST_STUCK
        return loads and computes and not self._state.closed

    def snapshot(self) -> Snapshot:
        """The server at this moment."""
        with self._state.lock:
            load, run = self._state.scheduler.loading, self._state.run
            resident = frozenset(self._state.runtime.resident)
            return Snapshot(
                time.monotonic(),
                [one.describe(resident) for _, one in sorted(self._state.models.items())],
                resident,
                self._state.runtime.resident_bytes,
                self._state.runtime.memory_bytes,
                str(self._state.runtime.device),
                None if run is None else run.model.name,
                None if load is None else self._state.scheduler.costs.models[load.model].id,
                self._state.draining,
                len(self._state.stuck),
            )

    def drain(self, seconds: float) -> bool:
        """Take no more requests, finish those that wait; whether all were within the time."""
        ends = time.monotonic() + seconds
        with self._state.lock:
            self._state.draining = True
            while self._state.requests or self._state.run is not None:
                left = ends - time.monotonic()
                if left <= 0 or self._state.closed:
                    break
                self._state.quiet.wait(min(0.05, left))  # requests are refused without a notice
            return not self._state.requests and self._state.run is None

    def close(self) -> None:
        """Refuse what waits and let everything go; a second call does nothing."""
        with self._state.lock:
            if self._state.closed:
                return
            self._state.closed = True
            gone = [found for key in list(self._state.requests) if (found := self._state.take(key))]
            run, computer = self._state.run, self._computing.thread
            self._state.wake()
            self._state.quiet.notify_all()
        error = RefusedError(Reason.DRAINING, "the server is stopping")
        self._state.refuse(gone, error, Reason.DRAINING)
        self._following.stop()
        threads = (self._loading, self._watching, self._following)
        for thread in (*(one.thread for one in threads), computer):
            if thread is not threading.current_thread():
                thread.join(self._state.limits.stuck_after_s)
        if not computer.is_alive() or run is None:
            self._state.runtime.close()
            return
        with self._state.lock:
            hangs = self._state.run is run and run.limit_s < math.inf
            if hangs:  # or it would be answered twice if it ends after all
                self._state.run = None
                self._state.stuck.append(run)
        if hangs:
            self._state.refuse(run.requests, error, Reason.DRAINING)
