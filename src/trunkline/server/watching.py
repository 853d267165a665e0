"""The thread that watches: deadlines, and forwards that hang."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from typing import Final

from trunkline.errors import Reason, RefusedError
from trunkline.server.computing import MOST_STUCK, Computing
from trunkline.server.executing import GivenUp
from trunkline.server.state import State

log = logging.getLogger(__name__)

WATCH_S: Final = 0.02
"""How often waiting requests and a running forward are looked at."""


class Watching:
    """Refuses what can no longer be answered in time, and gives up on forwards that hang."""

    def __init__(self, state: State, computing: Computing) -> None:
        self._state = state
        self._computing = computing
        self.thread = threading.Thread(target=self._loop, name="trunkline-watch", daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        while not self._state.closed:
            time.sleep(WATCH_S)
            try:
                self._lapse()
                self._give_up()
            except Exception:  # a bug; who waits still needs somebody to watch
                log.exception("looking at deadlines failed")

    def _lapse(self) -> None:
        """Refuse what can no longer be answered in time."""
        with self._state.lock:
            now = time.monotonic()
            gone = self._state.scheduler.lapse(now) if self._state.requests else []
            requests = [found for one in gone if (found := self._state.take(one.key))]
            if requests:
                self._state.wake()
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
            run.problem = problem
            run.model.stop(problem)
            if run.group is not None:
                run.group.refuse(problem)
            log.error("model %r: %s", name, problem)
            gone = self._state.withdraw(run.model)
            # A loop in Python ends by this; a call that never returns does not. Before another
            # thread begins, which may get the id of one that is gone.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(run.thread), ctypes.py_object(GivenUp)
            )
            if len(self._state.stuck) < MOST_STUCK:
                self._computing.start()
            self._state.quiet.notify_all()
            self._state.may_load.notify_all()
        error = RefusedError(Reason.UNAVAILABLE, f"model {name!r}: {problem}")
        self._state.refuse([*run.requests, *gone], error, Reason.UNAVAILABLE)
