"""The thread that follows the store: takes in models that come into it, change or leave it."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Final

from trunkline.errors import RefusedError, StoreError, TrunklineError
from trunkline.server.catalogue import look_up
from trunkline.server.state import State

log = logging.getLogger(__name__)

STORE_S: Final = 2.0
"""How often the store's index is looked at."""


class Following:
    """Keeps the models that are served those of the store.

    It has a thread of its own, since a change waits for the end of the batch that computes, and
    somebody has to watch that batch meanwhile.

    Args:
        only: if given, no other models are taken in.
    """

    def __init__(self, state: State, only: frozenset[str] | None = None) -> None:
        self._state = state
        self._only = only
        self.removed: set[str] = set()
        self._index = self._index_state()
        self._ended = threading.Event()
        self.thread = threading.Thread(target=self._loop, name="trunkline-follow", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def _loop(self) -> None:
        while not self._ended.wait(STORE_S):
            try:
                self.refresh()
            except (StoreError, RefusedError) as error:  # the next look may find it well
                log.warning("the store cannot be looked at: %s", error)
            except Exception:  # a bug; the models that are there are served all the same
                log.exception("looking at the store failed")

    def drop(self, name: str, why: str) -> None:
        """Serve a model no longer; what waits for it is refused."""
        with self._state.changing():
            served = self._state.models.get(name)
            gone = [] if served is None else self._state.withdraw(served)
            if served is not None:
                served.stop(why)
            self._state.adopt()
        self._state.refuse_all(gone, name, why)

    def refresh(self) -> None:
        """Take in models that came into the store, changed or left it since the last look, and
        those that could not even be read then."""
        state = self._index_state()
        with self._state.lock:
            known = {name: one.stored.digest for name, one in self._state.models.items()}
            asleep = set(self.removed)
        unread = {name for name, digest in known.items() if not digest}
        if state == self._index and not unread:
            return
        names = set(self._state.runtime.store.names())
        if self._only is not None:
            names &= self._only
        for name in sorted(known.keys() - names):
            self.drop(name, "it left the store")
            with self._state.changing():
                self._forget(name)
                self._state.adopt()
        for name in sorted(names - asleep):
            if state != self._index or name in unread:
                self._take_in(name, known.get(name))
        self._index = state

    def _forget(self, name: str) -> None:
        """Keep nothing of a model that left the store, nor for it alone."""
        del self._state.models[name]
        self._state.loads.pop(name, None)
        self.removed.discard(name)
        self._state.runtime.forget(name)
        self._state.runtime.tidy()

    def _take_in(self, name: str, known: str | None) -> None:
        """Serve a model as the store has it now, unless its manifest is the one that is known."""
        try:
            # here, since a slow disk must not make those wait who need the lock
            if self._state.runtime.store.model(name).digest == known:
                return
        except TrunklineError as error:
            if known:
                log.warning("model %r is served as it was: %s", name, error)
            if known is not None:
                return
        with suppress(TrunklineError):  # what fails fails again below, and is told there
            self._state.runtime.build(name)  # a large network takes its time: nobody waits for it
        try:
            with self._state.changing():
                served = look_up(self._state.runtime, name)
                gone = self._state.replace(name, served)
                self._state.runtime.tidy()
            self._state.refuse_all(gone, name, served.reason)
        except RefusedError:  # not now: the next look tries again
            raise
        except TrunklineError as error:
            log.warning("model %r cannot be served: %s", name, error)

    def _index_state(self) -> tuple[int, int]:
        try:
            found = (self._state.runtime.store.path / "index.json").stat()
        except OSError:
            return (0, 0)
        return found.st_mtime_ns, found.st_ino
