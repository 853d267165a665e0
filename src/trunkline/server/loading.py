"""The thread that loads: what the scheduler wants in memory next, beside the computing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection

from trunkline.errors import StoreError, TrunklineError
from trunkline.loading.scheduler import Load
from trunkline.runtime.inputs import reason
from trunkline.server.overlap import Work
from trunkline.server.state import Request, State
from trunkline.server.work import LoadRecord

log = logging.getLogger(__name__)


class Loading:
    """Carries out loads in a thread of its own."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.thread = threading.Thread(target=self._loop, name="trunkline-load", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        while True:
            with self._state.lock:
                while not (load := self._next_load()):
                    if self._state.closed:
                        return
                    self._state.may_load.wait(self._state.patience_s)
                self._state.overlap.begin(Work.LOAD, time.monotonic())
                name = self._state.scheduler.costs.models[load.model].id
                evict = self._state.digests(load.evict)
            failure = self._bring(name, evict, load)
            with self._state.lock:
                expected_s = None if failure else self._state.estimates.load_seconds(load.bytes)
                self._state.overlap.end(Work.LOAD, time.monotonic(), expected_s)
                self._state.scheduler.loaded(time.monotonic(), failed=failure is not None)
                if failure is not None or self._state.stuck:
                    self._state.look_around()
                refused = [] if failure is None else self._fail(name, failure)
                self._state.quiet.notify_all()
                self._state.may_compute.notify_all()
            if failure is not None:
                self._state.refuse_all(refused, name, str(failure))

    def _next_load(self) -> Load | None:
        if self._state.closed or self._state.paused:
            return None
        if self._state.stuck and self._state.scheduler.computing:
            return None  # the blocks of a forward that hangs take the room to load ahead
        return self._state.decide(self._state.scheduler.next_load)

    def _bring(self, name: str, evict: Collection[str], load: Load) -> TrunklineError | None:
        """Carry a load out; what went wrong, if anything did."""
        try:
            self._state.runtime.verify(name)  # before its first load: that says nothing of others
            began = time.monotonic()
            self._state.runtime.evict(evict)
            moved = self._state.runtime.prefetch(name)
        except TrunklineError as error:
            return error
        except Exception as error:  # a disk may fail in any way, and a device too
            return StoreError(reason(error))
        ended = time.monotonic()
        with self._state.lock:
            self._state.models[name].recover()
            record = LoadRecord(name, moved.bytes_moved, began, ended, load.seconds)
            self._state.loads[name] = record
            if moved.bytes_evicted:  # more than was planned
                self._state.look_around()
            if self._state.estimates.loaded(moved.bytes_moved, ended - began):
                self._state.reprice()
        try:
            self._state.observer.loaded(record)
        except Exception:  # the blocks are there, whatever becomes of the record
            log.exception("telling of a load of model %r failed", name)
        return None

    def _fail(self, name: str, error: TrunklineError) -> list[Request]:
        """Serve a model no longer, for a while; what waited for it."""
        served = self._state.models[name]
        served.fail(str(error), time.monotonic())
        log.warning("model %r cannot be served: %s", name, error)
        return self._state.withdraw(served)
