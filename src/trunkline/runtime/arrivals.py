"""Blocks that come one by one: who brings them tells, who needs them waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Final

from trunkline.errors import StreamError
from trunkline.runtime.resident import ResidentBlock
from trunkline.units import shorten

Clock = Callable[[], float]
"""Seconds on one monotonic clock."""

LOOK_S: Final = 0.5
"""Who waits looks so often whether the threads that bring the blocks still live."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A block that is there.

    Attributes:
        block: its tensors.
        sent_bytes: bytes of its tensors that came over the link, 0 for a block held before.
        arrived_s: when its last byte was there.
        ready_s: when its tensors could be used: checked, and in the memory of the device.
    """

    block: ResidentBlock
    sent_bytes: int
    arrived_s: float
    ready_s: float


class Arrivals:
    """Blocks by digest, each delivered once, from any thread, or an error in place of the rest.

    A wait ends in one of three ways: the block is there; an error was told (`fail`), and every wait
    for a block that is not there raises it; or all threads that were to bring blocks (`expect`)
    have ended without either.

    Args:
        clock: of all times.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock = clock
        self._there: dict[str, Arrival] = {}
        self._error: BaseException | None = None
        self._threads: list[Thread] = []
        self._changed = Condition()

    def expect(self, thread: Thread) -> None:
        """Note a thread, started already, that brings blocks."""
        with self._changed:
            self._threads.append(thread)

    def deliver(self, block: ResidentBlock, sent_bytes: int, arrived_s: float) -> None:
        """Tell that a block is there; what `fail` was told holds for the others only."""
        with self._changed:
            ready_s = self.clock()
            found = Arrival(block, sent_bytes, arrived_s, ready_s)
            self._there.setdefault(block.block.digest, found)
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Tell that no more blocks come, and why; the first error counts."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def wait(self, digests: Iterable[str]) -> None:
        """Return when all these blocks are there.

        Raises:
            StreamError: the threads that were to bring them have ended; or what `fail` was told.
        """
        for digest in digests:
            with self._changed:
                while digest not in self._there:
                    self._check(digest)
                    self._changed.wait(LOOK_S)

    def get(self, digest: str) -> Arrival | None:
        """A block that is there, None if it is not."""
        with self._changed:
            return self._there.get(digest)

    def _check(self, digest: str) -> None:
        if self._error is not None:
            raise self._error
        if not any(thread.is_alive() for thread in self._threads):
            raise StreamError(f"the block {shorten(digest)} was not brought by anyone")
