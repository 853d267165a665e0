"""The thread that watches: deadlines, forwards that hang, and the store."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from typing import Final

from trunkline.errors import Reason, RefusedError, TrunklineError
from trunkline.server.catalogue import look_up
from trunkline.server.computing import Computing, GivenUp
from trunkline.server.state import State

log = logging.getLogger(__name__)

WATCH_S: Final = 0.02
"""How often waiting requests and a running forward are looked at."""

STORE_S: Final = 2.0
"""How often the store's index is looked at."""

MOST_STUCK: Final = 4
"""With so many forwards that hang, the server is not alive any more."""


class Watching:
    """Refuses what can no longer be answered in time, gives up on forwards that hang, and takes in
    models that come into the store, change or leave it.

    Args:
        only: if given, no other models are taken in.
    """

    def __init__(
        self, state: State, computing: Computing, only: frozenset[str] | None = None
    ) -> None:
        self._state = state
        self._computing = computing
        self._only = only
        self.removed: set[str] = set()
        self._index = self._index_state()
        self.thread = threading.Thread(target=self._loop, name="trunkline-watch", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        looked = time.monotonic()
        while not self._state.closed:
            time.sleep(WATCH_S)
            try:
                self._lapse()
                self._give_up()
                if time.monotonic() - looked > STORE_S:
                    looked = time.monotonic()
                    self.refresh()
            except Exception:  # a store that cannot be read, say: the next look may find it well
                log.exception("looking at deadlines and at the store failed")

    def _lapse(self) -> None:
        """Refuse what can no longer be answered in time."""
        with self._state.lock:
            now = time.monotonic()
            gone = (
                self._state.scheduler.lapse(now)
                if self._state.requests and not self._state.paused
                else []
            )
            requests = [found for one in gone if (found := self._state.take(one.key))]
            again = self._state.free_in(now)
        for request in requests:
            message = f"model {request.model.name!r} could not answer before the deadline any more"
            error = RefusedError(Reason.DEADLINE, message, again)
            self._state.refuse([request], error, Reason.DEADLINE)

    def _give_up(self) -> None:
        """Let another thread compute while one hangs in a forward."""
        with self._state.lock:
            run = self._state.run
            if run is None or time.monotonic() < run.limit_s:
                return
            name = run.model.name
            seconds = time.monotonic() - run.began_s
            problem = f"its forward did not end within {seconds:.1f} s and was given up on"
            self._state.run = None
            self._state.stuck.append(run)
            self._state.runtime.abandon()
            self._state.scheduler.computed(time.monotonic())
            run.model.stop(problem)
            if run.group is not None:
                run.group.refuse(problem)
            log.error("model %r: %s", name, problem)
            gone = self._state.withdraw(run.model)
            if len(self._state.stuck) < MOST_STUCK:
                self._computing.start()
            self._state.quiet.notify_all()
            self._state.may_load.notify_all()
            # A loop in Python ends by this; a call that never returns does not.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(run.thread), ctypes.py_object(GivenUp)
            )
        error = RefusedError(Reason.UNAVAILABLE, f"model {name!r}: {problem}")
        self._state.refuse([*run.requests, *gone], error, Reason.UNAVAILABLE)

    def drop(self, name: str, why: str) -> None:
        """Serve a model no longer; what waits for it is refused."""
        with self._state.changing():
            served = self._state.models.get(name)
            gone = [] if served is None else self._state.withdraw(served)
            if served is not None:
                served.stop(why)
            self._state.adopt()
        error = RefusedError(Reason.UNAVAILABLE, f"model {name!r} cannot be served: {why}")
        self._state.refuse(gone, error, Reason.UNAVAILABLE)

    def refresh(self) -> None:
        """Take in models that came into the store, changed or left it since the last look."""
        state = self._index_state()
        if state == self._index:
            return
        names = set(self._state.runtime.store.names())
        if self._only is not None:
            names &= self._only
        with self._state.lock:
            known = {name: one.stored.digest for name, one in self._state.models.items()}
            asleep = set(self.removed)
        for name in sorted(known.keys() - names):
            self.drop(name, "it left the store")
            with self._state.changing():
                del self._state.models[name]
                self._state.adopt()
        for name in sorted(names - asleep):
            try:
                if name in known and self._state.runtime.store.model(name).digest == known[name]:
                    continue
                with self._state.changing():
                    self._state.replace(name, look_up(self._state.runtime, name))
            except TrunklineError as error:
                log.warning("model %r cannot be served: %s", name, error)
        self._index = state

    def _index_state(self) -> tuple[int, int]:
        try:
            found = (self._state.runtime.store.path / "index.json").stat()
        except OSError:
            return (0, 0)
        return found.st_mtime_ns, found.st_ino
