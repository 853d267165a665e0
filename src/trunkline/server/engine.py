"""The engine of a server: requests in, answers out, one model computing at a time.

Three threads share the state under one lock. `compute` asks the scheduler for the next batch and
runs it; `load` asks for the next load and carries it out, beside the computing; `watch` refuses
requests that can no longer be answered in time, gives up on forwards that hang, and takes in models
that come into the store. A forward that is given up on keeps its thread; another takes over.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import torch

from trunkline.errors import (
    InputError,
    NotInStoreError,
    Reason,
    RefusedError,
    StoreError,
    TrunklineError,
    UnknownModelError,
)
from trunkline.loading.online import Costs, Waiting, policy
from trunkline.loading.scheduler import Batch, Load, Scheduler
from trunkline.runtime import Runtime
from trunkline.runtime.inputs import reason as said
from trunkline.server.batching import Shape, samples_of, shape_of
from trunkline.server.catalogue import Served, look_up
from trunkline.server.estimates import Estimates
from trunkline.server.executing import Outputs, carry_out
from trunkline.server.work import Answer, BatchRecord, Limits, Observer, ServedModel, Snapshot
from trunkline.store import library_of
from trunkline.units import shorten

log = logging.getLogger(__name__)

WATCH_S: Final = 0.02
"""How often waiting requests and a running forward are looked at."""

STORE_S: Final = 2.0
"""How often the store's index is looked at."""

MOST_STUCK: Final = 4
"""With so many forwards that hang, the server is not alive any more."""

D = TypeVar("D")


class _GivenUp(Exception):
    """Raised in a forward that does not end."""


class _Nobody:
    """The observer where none was given."""

    def received(self, model: str) -> None:
        """Nothing."""

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """Nothing."""

    def refused(self, model: str, reason: Reason) -> None:
        """Nothing."""

    def batch(self, record: BatchRecord) -> None:
        """Nothing."""

    def decided(self, seconds: float, waiting: int) -> None:
        """Nothing."""


@dataclass(eq=False, slots=True)
class _Request:
    """A request in the queue or in a batch."""

    model: Served
    inputs: Mapping[str, torch.Tensor]
    shape: Shape | None
    waiting: Waiting
    future: Future[Answer]


@dataclass(eq=False, slots=True)
class _Run:
    """A batch that runs: since when, until when at the latest, and by which thread."""

    batch: Batch
    model: Served
    requests: list[_Request]
    began_s: float
    limit_s: float
    thread: int


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A load that ended, for the record of the batch that it was for."""

    bytes: int
    begin_s: float
    end_s: float
    planned_s: float


class LocalEngine:
    """Serves the models of a runtime's store; see `trunkline.server.work.Engine`.

    Args:
        runtime: moves blocks and runs models. It is closed with the engine.
        models: what is served, by name.
        estimates: what loads and forwards take.
        policy_name: chooses the next batch (`trunkline.loading.online.POLICIES`).
        limits: of the queue, batches and forwards; None for the defaults.
        observer: told of everything.
        only: if given, no other models of the store are taken in.
    """

    def __init__(
        self,
        runtime: Runtime,
        models: Mapping[str, Served],
        estimates: Estimates,
        policy_name: str = "urgency",
        limits: Limits | None = None,
        observer: Observer | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self._runtime = runtime
        self._models = dict(models)
        self._estimates = estimates
        self._limits = limits or Limits()
        self._observer: Observer = observer or _Nobody()
        self._only = None if only is None else frozenset(only)
        self._lock = threading.RLock()
        self._may_compute = threading.Condition(self._lock)
        self._may_load = threading.Condition(self._lock)
        self._quiet = threading.Condition(self._lock)  # a load or a batch ended
        self._scheduler = Scheduler(self._costs(), policy(policy_name))
        self._scheduler.adopt(self._scheduler.costs, runtime.resident)
        self._requests: dict[int, _Request] = {}
        self._keys = itertools.count()
        self._loads: dict[str, _Loaded] = {}
        self._run: _Run | None = None
        self._stuck: list[_Run] = []
        self._paused = 0
        self._draining = self._closed = False
        self._removed: set[str] = set()
        self._decision_s = 0.0
        self._index = self._index_state()
        self._threads = [
            threading.Thread(target=work, name=f"trunkline-{name}", daemon=True)
            for name, work in (("load", self._load_loop), ("watch", self._watch_loop))
        ]
        for thread in self._threads:
            thread.start()
        self._start_computing()

    # ---- requests ----

    def submit(
        self, model: str, inputs: Mapping[str, torch.Tensor], deadline_s: float
    ) -> Future[Answer]:
        """Put a request into the queue; see `Engine.submit`."""
        now = time.monotonic()
        with self._lock:
            signature = self._served(model).signature
        if signature is not None:
            signature.check(inputs)
        samples, shape = samples_of(inputs), shape_of(inputs)
        if not 0 < samples <= self._limits.batch:
            raise InputError(
                f"model {model!r}: {samples} samples, from 1 to {self._limits.batch} are allowed"
            )
        self._observer.received(model)
        try:
            with self._lock:
                return self._admit(self._served(model), inputs, shape, samples, deadline_s, now)
        except RefusedError as error:
            self._observer.refused(model, error.reason)
            raise
        except UnknownModelError:
            self._observer.refused(model, Reason.UNAVAILABLE)
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
        if self._draining or self._closed:
            raise RefusedError(Reason.DRAINING, "the server is stopping")
        if served.signature is None or not served.is_open(now):
            rest = None if served.retry_s is None else max(0.0, served.retry_s - now)
            raise RefusedError(
                Reason.UNAVAILABLE, f"model {name!r} cannot be served: {served.reason}", rest
            )
        if len(self._requests) >= self._limits.queue:
            raise RefusedError(
                Reason.QUEUE_FULL, f"{self._limits.queue} requests wait already", self._free_in(now)
            )
        place = self._places[name]
        waiting = Waiting(deadline_s, now, next(self._keys), place, samples)
        if not self._scheduler.receive(waiting, now):
            soonest = self._scheduler.earliest_s(waiting, now) - now
            raise RefusedError(
                Reason.DEADLINE,
                f"model {name!r} could answer in {1e3 * soonest:.0f} ms at the soonest, and "
                f"{1e3 * (deadline_s - now):.0f} ms are left",
                self._free_in(now),
            )
        request = _Request(served, inputs, shape, waiting, Future())
        self._requests[waiting.key] = request
        served.waiting += 1
        request.future.add_done_callback(lambda future: self._if_cancelled(future, request))
        self._may_compute.notify_all()
        self._may_load.notify_all()
        return request.future

    def _free_in(self, now: float) -> float:
        """When the device is free, as a hint for another try."""
        busy = self._scheduler.computing
        return 0.0 if busy is None else max(0.0, busy.end_s - now)

    def _if_cancelled(self, future: Future[Answer], request: _Request) -> None:
        if not future.cancelled():
            return
        with self._lock:
            there = self._take(request.waiting.key)
            if there is not None:
                self._scheduler.remove([request.waiting])
        self._observer.refused(request.model.name, Reason.CANCELLED)

    def _take(self, key: int) -> _Request | None:
        request = self._requests.pop(key, None)
        if request is not None:
            request.model.waiting -= 1
        return request

    def _refuse(self, requests: Iterable[_Request], error: TrunklineError, why: Reason) -> None:
        """Answer with an error; not under the lock, since callbacks run here."""
        for request in requests:
            if request.future.running() or request.future.set_running_or_notify_cancel():
                self._observer.refused(request.model.name, why)
                request.future.set_exception(error)

    # ---- computing ----

    def _start_computing(self) -> None:
        self._computer = threading.Thread(
            target=self._compute_loop, name="trunkline-compute", daemon=True
        )
        self._computer.start()

    def _compute_loop(self) -> None:
        while True:
            with self._lock:
                while not (run := self._next_run()):
                    if self._closed or self._computer is not threading.current_thread():
                        return
                    self._may_compute.wait()
                self._may_load.notify_all()
            with suppress(_GivenUp):
                if run.requests:
                    self._carry_out(run)
            with self._lock:
                if self._run is not run:  # given up on, and back after all
                    self._stuck.remove(run)
                    run.model.recover()
                    return
                self._run = None
                self._scheduler.computed(time.monotonic())
                self._quiet.notify_all()
                self._may_load.notify_all()

    def _next_run(self) -> _Run | None:
        if self._closed or self._paused or self._computer is not threading.current_thread():
            return None
        batch = self._decide(self._scheduler.next_batch)
        if batch is None:
            return None
        requests = [found for one in batch.requests if (found := self._take(one.key))]
        kept = self._alike(requests)
        for one in requests:
            if one not in kept:  # of another shape: in another batch
                self._requests[one.waiting.key] = one
                one.model.waiting += 1
                self._scheduler.queue.add(one.waiting)
        kept = [one for one in kept if one.future.set_running_or_notify_cancel()]
        now = time.monotonic()
        longest = max(self._limits.stuck_after_s, self._limits.stuck_after * batch.seconds)
        served = self._models[self._scheduler.costs.models[batch.model].id]
        self._run = _Run(batch, served, kept, now, now + longest, threading.get_ident())
        return self._run

    def _alike(self, requests: Sequence[_Request]) -> list[_Request]:
        """Those that can run together with the most urgent one."""
        if not requests:
            return []
        first = requests[0]
        if first.shape is None or not first.model.batches:
            return [first]
        return [one for one in requests if one.shape == first.shape]

    def _carry_out(self, run: _Run) -> None:
        name = run.model.name
        loaded = self._loads.pop(name, None)
        began = time.monotonic()
        batch = [(one.inputs, one.waiting.tasks) for one in run.requests]
        answers, error = carry_out(self._runtime, run.model, batch, lambda: self._run is run)
        ended = time.monotonic()
        with self._lock:
            if self._run is not run:  # given up on: everybody was told
                return
            run.limit_s = math.inf
        samples = sum(tasks for _, tasks in batch)
        self._deliver(run, answers, began, ended, loaded)
        if error is None:
            self._learn(run, samples, ended - began)
        nothing = _Loaded(0, began, began, 0.0)
        record = loaded or nothing
        self._observer.batch(
            BatchRecord(
                name,
                len(run.requests),
                samples,
                record.bytes,
                run.model.stored.bytes,
                record.begin_s,
                record.end_s,
                began,
                ended,
                record.planned_s,
                run.batch.seconds,
                self._decision_s,
                "" if error is None else str(error),
            )
        )

    def _deliver(
        self,
        run: _Run,
        answers: Sequence[Outputs | TrunklineError],
        began: float,
        ended: float,
        loaded: _Loaded | None,
    ) -> None:
        name, batch = run.model.name, sum(one.waiting.tasks for one in run.requests)
        for request, outputs in zip(run.requests, answers, strict=True):
            waiting = request.waiting
            if isinstance(outputs, TrunklineError):
                self._refuse([request], outputs, Reason.FAILED)
            elif ended > waiting.deadline_s:
                late = 1e3 * (ended - waiting.deadline_s)
                message = f"model {name!r} answered {late:.0f} ms after the deadline"
                self._refuse([request], RefusedError(Reason.LATE, message), Reason.LATE)
            else:
                load_s = 0.0 if loaded is None else max(
                    0.0, loaded.end_s - max(loaded.begin_s, waiting.arrived_s)
                )  # fmt: skip
                queue_s = max(0.0, began - waiting.arrived_s - load_s)
                self._observer.answered(name, ended - waiting.arrived_s, True)
                request.future.set_result(Answer(outputs, queue_s, load_s, ended - began, batch))

    def _learn(self, run: _Run, samples: int, seconds: float) -> None:
        with self._lock:
            if self._estimates.computed(run.model.stored, samples, seconds):
                self._reprice()

    # ---- loading ----

    def _load_loop(self) -> None:
        while True:
            with self._lock:
                while not (load := self._next_load()):
                    if self._closed:
                        return
                    self._may_load.wait()
                name = self._scheduler.costs.models[load.model].id
                evict = self._digests(load.evict)
            failure = self._bring(name, evict, load)
            with self._lock:
                self._scheduler.loaded(time.monotonic(), failed=failure is not None)
                refused = [] if failure is None else self._fail(name, failure)
                self._quiet.notify_all()
                self._may_compute.notify_all()
            if failure is not None:
                message = f"model {name!r} cannot be served: {failure}"
                self._refuse(refused, RefusedError(Reason.UNAVAILABLE, message), Reason.UNAVAILABLE)

    def _next_load(self) -> Load | None:
        if self._closed or self._paused:
            return None
        return self._decide(self._scheduler.next_load)

    def _bring(self, name: str, evict: Collection[str], load: Load) -> TrunklineError | None:
        """Carry a load out; what went wrong, if anything did."""
        began = time.monotonic()
        try:
            self._runtime.evict(evict)
            moved = self._runtime.prefetch(name)
        except TrunklineError as error:
            return error
        except Exception as error:  # a disk may fail in any way, and a device too
            return StoreError(said(error))
        ended = time.monotonic()
        with self._lock:
            self._models[name].recover()
            self._loads[name] = _Loaded(moved.bytes_moved, began, ended, load.seconds)
            if self._estimates.loaded(moved.bytes_moved, ended - began):
                self._reprice()
        return None

    def _fail(self, name: str, error: TrunklineError) -> list[_Request]:
        """Serve a model no longer, for a while; what waited for it."""
        served = self._models[name]
        served.fail(str(error), time.monotonic())
        log.warning("model %r cannot be served: %s", name, error)
        there = self._runtime.resident
        costs = self._scheduler.costs
        for piece, digests in enumerate(costs.blocks):
            self._scheduler.resident[piece] = there.issuperset(digests)
        return self._withdraw(served)

    def _withdraw(self, served: Served) -> list[_Request]:
        """Take a model's requests out of the queue."""
        gone = [one for one in self._requests.values() if one.model is served]
        for one in gone:
            self._take(one.waiting.key)
        self._scheduler.remove(one.waiting for one in gone)
        return gone

    def _digests(self, pieces: Iterable[bool]) -> list[str]:
        blocks = self._scheduler.costs.blocks
        return [digest for piece, gone in zip(blocks, pieces, strict=True) if gone
                for digest in piece]  # fmt: skip

    # ---- watching ----

    def _watch_loop(self) -> None:
        looked = time.monotonic()
        while not self._closed:
            time.sleep(WATCH_S)
            self._lapse()
            self._give_up()
            if time.monotonic() - looked > STORE_S:
                looked = time.monotonic()
                try:
                    self.refresh()
                except Exception:
                    log.exception("the store cannot be looked at")

    def _lapse(self) -> None:
        """Refuse what can no longer be answered in time."""
        with self._lock:
            now = time.monotonic()
            gone = self._scheduler.lapse(now) if self._requests and not self._paused else []
            requests = [found for one in gone if (found := self._take(one.key))]
            again = self._free_in(now)
        for request in requests:
            message = f"model {request.model.name!r} could not answer before the deadline any more"
            error = RefusedError(Reason.DEADLINE, message, again)
            self._refuse([request], error, Reason.DEADLINE)

    def _give_up(self) -> None:
        """Let another thread compute while one hangs in a forward."""
        with self._lock:
            run = self._run
            if run is None or time.monotonic() < run.limit_s:
                return
            name = run.model.name
            seconds = time.monotonic() - run.began_s
            problem = f"its forward did not end within {seconds:.1f} s and was given up on"
            self._run = None
            self._stuck.append(run)
            self._runtime.abandon()
            self._scheduler.computed(time.monotonic())
            run.model.stop(problem)
            log.error("model %r: %s", name, problem)
            gone = self._withdraw(run.model)
            if len(self._stuck) < MOST_STUCK:
                self._start_computing()
            self._quiet.notify_all()
            self._may_load.notify_all()
        error = RefusedError(Reason.UNAVAILABLE, f"model {name!r}: {problem}")
        self._refuse([*run.requests, *gone], error, Reason.UNAVAILABLE)
        # A loop in Python ends by this; a call that never returns does not.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(run.thread), ctypes.py_object(_GivenUp)
        )

    # ---- models ----

    def models(self) -> list[ServedModel]:
        """All models, by name."""
        there = self._runtime.resident
        with self._lock:
            return [one.describe(there) for _, one in sorted(self._models.items())]

    def model(self, name: str) -> ServedModel:
        """One of them (UnknownModelError)."""
        with self._lock:
            return self._served(name).describe(self._runtime.resident)

    def load(self, name: str) -> None:
        """Serve a model of the store; see `Engine.load`."""
        if self._only is not None and name not in self._only:
            raise UnknownModelError(f"no model {name!r} among those that this server may serve")
        try:
            with self._changing():
                served = look_up(self._runtime, name)
                self._replace(name, served)
                self._removed.discard(name)
        except NotInStoreError as error:
            raise UnknownModelError(str(error)) from None
        if served.signature is None:
            raise RefusedError(
                Reason.UNAVAILABLE, f"model {name!r} cannot be served: {served.reason}"
            )

    def unload(self, name: str) -> None:
        """Serve a model no longer (UnknownModelError)."""
        with self._lock:
            served = self._served(name)
        self._drop(name, "it was unloaded")
        with self._lock:
            self._removed.add(name)
            served.stop("it was unloaded")

    def _drop(self, name: str, why: str) -> None:
        with self._changing():
            served = self._models.get(name)
            gone = [] if served is None else self._withdraw(served)
            if served is not None:
                served.stop(why)
            self._adopt()
        error = RefusedError(Reason.UNAVAILABLE, f"model {name!r} cannot be served: {why}")
        self._refuse(gone, error, Reason.UNAVAILABLE)

    def refresh(self) -> None:
        """Take in models that came into the store, changed or left it since the last look."""
        state = self._index_state()
        if state == self._index:
            return
        names = set(self._runtime.store.names())
        if self._only is not None:
            names &= self._only
        with self._lock:
            known = {name: one.stored.digest for name, one in self._models.items()}
            asleep = set(self._removed)
        for name in sorted(known.keys() - names):
            self._drop(name, "it left the store")
            with self._changing():
                del self._models[name]
                self._adopt()
        for name in sorted(names - asleep):
            try:
                if name in known and self._runtime.store.model(name).digest == known[name]:
                    continue
                with self._changing():
                    self._replace(name, look_up(self._runtime, name))
            except TrunklineError as error:
                log.warning("model %r cannot be served: %s", name, error)
        self._index = state

    def _index_state(self) -> tuple[int, int]:
        try:
            found = (self._runtime.store.path / "index.json").stat()
        except OSError:
            return (0, 0)
        return found.st_mtime_ns, found.st_ino

    def _replace(self, name: str, served: Served) -> None:
        """Put a model in another's place; requests that wait go to the new one."""
        before = self._models.get(name)
        self._models[name] = served
        for one in self._requests.values():
            if one.model is before:
                one.model = served
                served.waiting += 1
        self._adopt()

    def _adopt(self) -> None:
        """Let the scheduler know which models there are."""
        self._scheduler.adopt(self._costs(), self._runtime.resident)
        for one in self._scheduler.queue:
            if one.key in self._requests:
                self._requests[one.key].waiting = one

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The lock, at a moment when nothing loads or computes."""
        with self._lock:
            self._paused += 1
            try:
                while self._scheduler.computing or self._scheduler.loading:
                    self._quiet.wait()
                yield
            finally:
                self._paused -= 1
                self._may_compute.notify_all()
                self._may_load.notify_all()

    def _served(self, name: str) -> Served:
        try:
            return self._models[name]
        except KeyError:
            raise UnknownModelError(f"no model {shorten(name)!r}") from None

    def _costs(self) -> Costs:
        models = [one.stored for one in self._models.values() if one.signature is not None]
        models.sort(key=lambda one: one.name)
        self._places = {one.name: place for place, one in enumerate(models)}
        return Costs(
            library_of(models),
            self._estimates.link,
            tuple(map(self._estimates.model, models)),
            self._runtime.memory_bytes,
            self._runtime.partial,
        )

    def _reprice(self) -> None:
        costs = self._scheduler.costs
        prices = (self._estimates.model(self._models[one.id].stored) for one in costs.models)
        self._scheduler.reprice(costs.priced(self._estimates.link, tuple(prices)))

    # ---- the whole ----

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not (self._draining or self._closed) and self.live

    @property
    def live(self) -> bool:
        """Whether batches can be computed."""
        return not self._closed and len(self._stuck) < MOST_STUCK

    def snapshot(self) -> Snapshot:
        """The server at this moment."""
        with self._lock:
            load, run = self._scheduler.loading, self._run
            resident = frozenset(self._runtime.resident)
            return Snapshot(
                time.monotonic(),
                [one.describe(resident) for _, one in sorted(self._models.items())],
                resident,
                self._runtime.resident_bytes,
                self._runtime.memory_bytes,
                str(self._runtime.device),
                None if run is None else run.model.name,
                None if load is None else self._scheduler.costs.models[load.model].id,
                self._draining,
                len(self._stuck),
            )

    def drain(self, seconds: float) -> bool:
        """Take no more requests, finish those that wait; whether all were within the time."""
        ends = time.monotonic() + seconds
        with self._lock:
            self._draining = True
            while self._requests or self._run is not None:
                left = ends - time.monotonic()
                if left <= 0 or self._closed:
                    break
                self._quiet.wait(min(0.05, left))  # requests are refused without a notice
            return not self._requests and self._run is None

    def close(self) -> None:
        """Refuse what waits and let everything go; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            gone = [found for key in list(self._requests) if (found := self._take(key))]
            run, computer = self._run, self._computer
            for condition in (self._may_compute, self._may_load, self._quiet):
                condition.notify_all()
        error = RefusedError(Reason.DRAINING, "the server is stopping")
        self._refuse(gone, error, Reason.DRAINING)
        for thread in (*self._threads, computer):
            if thread is not threading.current_thread():
                thread.join(self._limits.stuck_after_s)
        if computer.is_alive() and run is not None:
            self._refuse(run.requests, error, Reason.DRAINING)
        else:
            self._runtime.close()

    def _decide(self, ask: Callable[[float], D]) -> D:
        if not self._requests:
            return ask(time.monotonic())
        waiting, began = len(self._requests), time.perf_counter()
        found = ask(time.monotonic())
        self._decision_s = time.perf_counter() - began
        self._observer.decided(self._decision_s, waiting)
        return found
