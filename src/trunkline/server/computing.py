"""The thread that computes: batch after batch, as the scheduler says."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from trunkline.errors import ModelFailedError, Reason, RefusedError, TrunklineError
from trunkline.loading.scheduler import Batch
from trunkline.runtime.inputs import reason
from trunkline.server.catalogue import Served
from trunkline.server.combining import Combined, Part, combine
from trunkline.server.executing import GivenUp, Outputs, carry_out
from trunkline.server.joining import joining
from trunkline.server.mixing import Group
from trunkline.server.overlap import Work
from trunkline.server.state import Request, Run, State
from trunkline.server.work import Answer, BatchRecord, LoadRecord

log = logging.getLogger(__name__)

MOST_STUCK: Final = 4
"""With so many forwards that hang nothing computes, until one of them ends."""

UNKNOWN: Final = 6.0
"""A forward of which nothing was ever measured has so many times `Limits.stuck_after_s`: were it
given up on, none of its kind would ever be measured."""


class Computing:
    """Runs batches in a thread of its own; in another one when that hangs (`start`)."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.start()

    def start(self) -> None:
        """Begin with a new thread; the one before ends when it comes back."""
        self.thread = threading.Thread(target=self._loop, name="trunkline-compute", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        while True:
            with self._state.lock:
                while not (run := self._next_run()):
                    if self._state.closed or self.thread is not threading.current_thread():
                        return
                    self._state.may_compute.wait(self._state.patience_s)
                if self._state.scheduler.wants_load:
                    self._state.may_load.notify_all()
            try:
                if run.requests:
                    self._carry_out(run)
            except GivenUp:
                pass
            except Exception as error:  # ours, not the model's: the next batch may fare better
                log.exception("a batch of model %r failed", run.model.name)
                failed = ModelFailedError(f"model {run.model.name!r}: {reason(error)}")
                self._state.refuse(run.requests, failed, Reason.FAILED)
            with self._state.lock:
                if self._state.run is not run:  # given up on, and back after all
                    none_computes = len(self._state.stuck) >= MOST_STUCK
                    self._state.stuck.remove(run)
                    if none_computes and not self._state.closed:
                        self.start()
                    if run.model.reason == run.problem:  # it may hang again: not at once
                        run.model.fail(run.problem, time.monotonic())
                    return
                self._state.run = None
                self._state.overlap.end(Work.BATCH, time.monotonic(), run.usual_s)
                self._state.scheduler.computed(time.monotonic())
                self._state.quiet.notify_all()
                if self._state.scheduler.wants_load:
                    self._state.may_load.notify_all()

    def _next_run(self) -> Run | None:
        if (
            self._state.closed
            or self._state.paused
            or self.thread is not threading.current_thread()
        ):
            return None
        batch = self._state.decide(self._state.scheduler.next_batch)
        if batch is None:
            return None
        requests = [found for one in batch.requests if (found := self._state.take(one.key))]
        kept = self._alike(requests)
        if len(kept) < len(requests):
            self._put_back(one for one in requests if one not in kept)
        kept = [one for one in kept if one.set_running_or_notify_cancel()]
        now = time.monotonic()
        if len(kept) < len(batch.requests):
            batch = self._state.scheduler.keep([one.waiting for one in kept], now)
        batch, kept, group = self._mix(batch, kept, now)
        served = self._state.models[self._state.scheduler.costs.models[batch.model].id]
        longest = self._longest_s(batch, served)
        self._state.overlap.begin(Work.BATCH, now)
        self._state.scheduler.ahead = self._state.overlap.next_batch()
        self._state.run = Run(
            batch, served, kept, now, now + longest, threading.get_ident(), group, each_s=longest
        )
        return self._state.run

    def _put_back(self, requests: Iterable[Request]) -> None:
        """What has another shape runs in another batch."""
        for one in requests:
            self._state.requests[one.waiting.key] = one
            one.model.waiting += 1
            self._state.scheduler.queue.add(one.waiting)

    def _longest_s(self, batch: Batch, served: Served) -> float:
        """When a forward is given up on, after its begin."""
        limits = self._state.limits
        if not self._state.estimates.is_known(served.stored):
            return UNKNOWN * limits.stuck_after_s
        return limits.longest_s(batch.seconds)

    def _mix(
        self, batch: Batch, kept: list[Request], now: float
    ) -> tuple[Batch, list[Request], Group | None]:
        """Take requests for other adapters of the same base along."""
        others, group, seconds = joining(self._state, kept, now) if kept else ([], None, 0.0)
        if group is None:
            return batch, kept, None
        batch = self._state.scheduler.join([one.waiting for one in others], now, seconds)
        taken = [found for one in others if (found := self._state.take(one.waiting.key))]
        kept += [one for one in taken if one.set_running_or_notify_cancel()]
        return batch, kept, group

    def _alike(self, requests: Sequence[Request]) -> list[Request]:
        """Those that can run together with the most urgent one."""
        if not requests:
            return []
        first = requests[0]
        if first.shape is None or not first.model.batches(first.inputs):
            return [first]
        return [one for one in requests if one.shape == first.shape]

    def _carry_out(self, run: Run) -> None:
        models = run.models
        with self._state.lock:
            loads = {
                one.name: self._state.loads.pop(one.name)
                for one in models
                if one.name in self._state.loads
            }
        began = time.monotonic()
        did = self._run(run)
        ended = time.monotonic()
        with self._state.lock:
            if self._state.run is not run:  # given up on: everybody was told
                return
            run.limit_s = math.inf
        self._deliver(run, did.answers, began, ended, loads)
        self._learn(run, did, ended - began)
        last = max(
            loads.values(),
            key=lambda one: one.end_s,
            default=LoadRecord(run.model.name, 0, began, began, 0.0),
        )
        self._state.observer.batch(
            BatchRecord(
                run.model.name,
                len(run.requests),
                _samples(run),
                sum(one.bytes for one in loads.values()),
                sum(one.stored.bytes for one in models),
                last.begin_s,
                last.end_s,
                began,
                ended,
                last.planned_s,
                run.batch.seconds,
                self._state.decision_s,
                "" if did.error is None else str(did.error),
                tuple(one.name for one in models[1:]),
            )
        )

    def _run(self, run: Run) -> Combined:
        runtime, wanted = self._state.runtime, lambda: self._goes_on(run)
        if run.group is None:
            batch = [(one.inputs, one.waiting.tasks) for one in run.requests]
            return Combined(*carry_out(runtime, run.model, batch, wanted))
        parts = [Part(one.model, one.inputs, one.waiting.tasks) for one in run.requests]
        return combine(runtime, run.group, parts, wanted)

    def _goes_on(self, run: Run) -> bool:
        """Whether a batch is wanted still; then its next forward has as long as the first."""
        with self._state.lock:
            if self._state.run is not run:
                return False
            run.again = True
            run.limit_s = time.monotonic() + run.each_s
            return True

    def _deliver(
        self,
        run: Run,
        answers: Sequence[Outputs | TrunklineError],
        began: float,
        ended: float,
        loads: Mapping[str, LoadRecord],
    ) -> None:
        batch = _samples(run)
        for request, outputs in zip(run.requests, answers, strict=True):
            waiting, name = request.waiting, request.model.name
            loaded = loads.get(name)
            if isinstance(outputs, TrunklineError):
                self._state.refuse([request], outputs, Reason.FAILED)
            elif ended > waiting.deadline_s:
                late = 1e3 * (ended - waiting.deadline_s)
                message = f"model {name!r} answered {late:.0f} ms after the deadline"
                self._state.refuse([request], RefusedError(Reason.LATE, message), Reason.LATE)
            else:
                load_s = 0.0 if loaded is None else max(
                    0.0, loaded.end_s - max(loaded.begin_s, waiting.arrived_s)
                )  # fmt: skip
                queue_s = max(0.0, began - waiting.arrived_s - load_s)
                self._state.observer.answered(name, ended - waiting.arrived_s, True)
                request.set_result(Answer(outputs, queue_s, load_s, ended - began, batch))

    def _learn(self, run: Run, did: Combined, seconds: float) -> None:
        with self._state.lock:
            if did.error is not None:  # blocks that a forward wrote into were evicted
                self._state.look_around()
            for one, answer in zip(run.requests, did.answers, strict=True):
                # it was let through to see whether it can again
                if one.model.retry_s is not None and not isinstance(answer, TrunklineError):
                    one.model.recover()
            estimates, stored = self._state.estimates, run.model.stored
            if did.samples:
                estimates.mixed(stored, did.samples, did.adapters, did.seconds)
            elif run.group is None and did.error is None and not run.again:
                run.usual_s = estimates.compute_seconds(stored, _samples(run))
                if estimates.computed(stored, _samples(run), seconds):
                    self._state.reprice()


def _samples(run: Run) -> int:
    return sum(one.waiting.tasks for one in run.requests)
